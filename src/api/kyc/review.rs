//! Identity checks that people decide.

use entities::{kyc_change, kyc_verification};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use super::super::Tag;
use super::super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::super::caller::{App, Client, RecentReviewer, Reviewer};
use super::super::instant::Instant;
use super::super::payload::{Bounded, Cursor, Json, Line, Nullable, Path, Query};
use super::super::problem::errors;
use super::page;
use super::shapes::{KycStatus, Verification};
use crate::plugins::kyc::Check;
use crate::services::kyc::{self, Case, Decision, Page, Place, Proposal, Verdict};

/// Operations for reviewers.
pub struct ReviewApi;

/// What was looked at and found in order
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[oai(rename_all = "snake_case")]
pub enum IdentityCheck {
    /// An identity document
    Document,
    /// That the person is the one on the document, and alive
    Face,
    /// Where the person lives
    Address,
    /// A number that a state has given to the person
    IdNumber,
    /// An e-mail address
    Email,
    /// A telephone number
    Phone,
    /// Lists of sanctions and the like
    Watchlist,
    /// A register
    Database,
}

impl From<Check> for IdentityCheck {
    fn from(check: Check) -> Self {
        match check {
            Check::Document => Self::Document,
            Check::Face => Self::Face,
            Check::Address => Self::Address,
            Check::IdNumber => Self::IdNumber,
            Check::Email => Self::Email,
            Check::Phone => Self::Phone,
            Check::Watchlist => Self::Watchlist,
            Check::Database => Self::Database,
        }
    }
}

impl From<IdentityCheck> for Check {
    fn from(check: IdentityCheck) -> Self {
        match check {
            IdentityCheck::Document => Self::Document,
            IdentityCheck::Face => Self::Face,
            IdentityCheck::Address => Self::Address,
            IdentityCheck::IdNumber => Self::IdNumber,
            IdentityCheck::Email => Self::Email,
            IdentityCheck::Phone => Self::Phone,
            IdentityCheck::Watchlist => Self::Watchlist,
            IdentityCheck::Database => Self::Database,
        }
    }
}

/// What a reviewer wants
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[oai(rename = "ReviewVerdict", rename_all = "snake_case")]
pub enum ReviewVerdict {
    /// It counts
    Approve,
    /// It does not count
    Decline,
    /// The person may try again
    Resubmit,
}

impl From<ReviewVerdict> for Verdict {
    fn from(verdict: ReviewVerdict) -> Self {
        match verdict {
            ReviewVerdict::Approve => Self::Approve,
            ReviewVerdict::Decline => Self::Decline,
            ReviewVerdict::Resubmit => Self::Resubmit,
        }
    }
}

impl From<Verdict> for ReviewVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Approve => Self::Approve,
            Verdict::Decline => Self::Decline,
            Verdict::Resubmit => Self::Resubmit,
        }
    }
}

/// A decision about a verification
#[derive(Debug, Object)]
#[oai(example)]
struct ReviewDecision {
    /// What to do
    verdict: ReviewVerdict,
    /// Why, for those who look at it later; the person is not told
    #[oai(validator(min_length = 1, max_length = 500))]
    reason: Line,
    /// What was found in order; what an approval is worth depends on it
    #[oai(default, validator(max_items = 8, unique_items))]
    checks: Vec<IdentityCheck>,
}

impl Example for ReviewDecision {
    fn example() -> Self {
        Self {
            verdict: ReviewVerdict::Approve,
            reason: "Compared with the passport in a video call".into(),
            checks: vec![IdentityCheck::Document, IdentityCheck::Face],
        }
    }
}

/// What one reviewer wants, until another one agrees
#[derive(Debug, Object)]
struct ReviewProposal {
    /// Account of the reviewer
    reviewer: String,
    /// What to do
    verdict: ReviewVerdict,
    /// Why
    reason: String,
    /// What was found in order
    checks: Vec<IdentityCheck>,
    /// Since when
    at: Instant,
}

/// A verification, for reviewers
#[derive(Debug, Object)]
#[oai(example)]
struct ReviewCase {
    /// The check
    verification: Verification,
    /// Account of the person
    account_id: String,
    /// The provider's id of it
    provider_reference: Nullable<String>,
    /// The provider's own word for the status
    provider_status: Nullable<String>,
    /// The provider's codes for why
    reasons: Vec<String>,
    /// What was found in order
    checks: Vec<IdentityCheck>,
    /// What another reviewer wants
    proposal: Nullable<ReviewProposal>,
}

impl ReviewCase {
    fn new(row: &kyc_verification::Model) -> Self {
        let proposal = Proposal::of(row).map(|proposal| ReviewProposal {
            reviewer: proposal.reviewer,
            verdict: proposal.verdict.into(),
            reason: proposal.reason,
            checks: proposal.checks.into_iter().map(IdentityCheck::from).collect(),
            at: Instant(entities::Timestamp(proposal.at)),
        });
        Self {
            // A reviewer has no token of the person's.
            verification: Verification::new(row, row.ial),
            account_id: row.account_id.to_string(),
            provider_reference: row.reference.clone().into(),
            provider_status: row.raw_status.clone().into(),
            reasons: kyc::texts_of(&row.reasons),
            checks: kyc::checks_of(&row.checks).into_iter().map(IdentityCheck::from).collect(),
            proposal: proposal.into(),
        }
    }
}

impl Example for ReviewCase {
    fn example() -> Self {
        let proposal = ReviewProposal {
            reviewer: EXAMPLE_ID.into(),
            verdict: ReviewVerdict::Approve,
            reason: "Compared with the passport in a video call".into(),
            checks: vec![IdentityCheck::Document],
            at: EXAMPLE_INSTANT,
        };
        Self {
            verification: Verification { status: KycStatus::InReview, ..Verification::example() },
            account_id: EXAMPLE_ID.into(),
            provider_reference: Some("5cb56e8e0a975a35f333cb83".to_owned()).into(),
            provider_status: Some("onHold".to_owned()).into(),
            reasons: vec![],
            checks: vec![IdentityCheck::Document],
            proposal: Some(proposal).into(),
        }
    }
}

/// One thing that happened to a verification
#[derive(Debug, Object)]
#[oai(example)]
struct ReviewStep {
    /// When
    occurred_at: Instant,
    /// What it says, whether or not it counts
    status: String,
    /// Who says so: `provider`, `poll`, `person`, `reviewer` or `server`
    source: String,
    /// The provider's own word
    raw_status: String,
    /// The provider's codes for why
    reasons: Vec<String>,
}

impl From<kyc_change::Model> for ReviewStep {
    fn from(row: kyc_change::Model) -> Self {
        Self {
            occurred_at: Instant(row.occurred_at),
            reasons: kyc::texts_of(&row.reasons),
            status: row.status,
            source: row.source,
            raw_status: row.raw_status,
        }
    }
}

impl Example for ReviewStep {
    fn example() -> Self {
        Self {
            occurred_at: EXAMPLE_INSTANT,
            status: "in_review".into(),
            source: "provider".into(),
            raw_status: "onHold".into(),
            reasons: vec![],
        }
    }
}

/// A verification with all that happened to it
#[derive(Debug, Object)]
#[oai(example)]
struct ReviewFile {
    /// The verification
    case: ReviewCase,
    /// What happened, the newest first
    steps: Vec<ReviewStep>,
}

impl Example for ReviewFile {
    fn example() -> Self {
        Self { case: ReviewCase::example(), steps: vec![ReviewStep::example()] }
    }
}

/// Verifications that wait
#[derive(Debug, Object)]
#[oai(example)]
struct ReviewQueue {
    /// The ones that have waited longest first
    cases: Vec<ReviewCase>,
    /// Send it as `after` to read on; null at the end
    after: Nullable<String>,
}

impl Example for ReviewQueue {
    fn example() -> Self {
        Self { cases: vec![ReviewCase::example()], after: None.into() }
    }
}

errors!(QueueErrors: 401, 403, 422);
errors!(CaseErrors: 401, 403, 404, 422);
errors!(DecideErrors: 401, 403, 404, 408, 413, 415, 422);

#[OpenApi(tag = "Tag::Admin")]
impl ReviewApi {
    /// List the verifications to be reviewed
    ///
    /// For reviewers, with two factors. Those of a status, by default the ones in review.
    #[oai(path = "/api/v1/admin/kyc/verifications", method = "get", operation_id = "review_list")]
    async fn queue(
        &self,
        app: App<'_>,
        Reviewer(_caller): Reviewer,
        /// Only those of this status
        #[oai(default = "in_review")]
        verification_status: Query<KycStatus>,
        /// Where to read on: `after` of the answer before
        after: Query<Option<Cursor>>,
        /// At most so many
        #[oai(default = "page")]
        limit: Query<Bounded<1, 100>>,
    ) -> Result<Json<ReviewQueue>, QueueErrors> {
        let after = after.0.map(|cursor| Place { at: cursor.at, id: cursor.id.into() });
        let limit = u64::try_from(limit.get()).unwrap_or(1);
        let Page { verifications, before } =
            app.review_queue(verification_status.0.into(), after, limit).await?;
        Ok(Json(ReviewQueue {
            cases: verifications.iter().map(ReviewCase::new).collect(),
            after: before.map(|place| Cursor { at: place.at, id: place.id.0 }.encode()).into(),
        }))
    }

    /// Show a verification to a reviewer
    ///
    /// With what happened to it so far. Documents and images stay at the provider.
    #[oai(path = "/api/v1/admin/kyc/verifications/:id", method = "get", operation_id = "review_get")]
    async fn case(
        &self,
        app: App<'_>,
        Reviewer(_caller): Reviewer,
        /// Id of the verification
        id: Path<Uuid>,
    ) -> Result<Json<ReviewFile>, CaseErrors> {
        let Case { verification, steps } = app.review_case(id.0.into()).await?;
        Ok(Json(ReviewFile {
            case: ReviewCase::new(&verification),
            steps: steps.into_iter().map(ReviewStep::from).collect(),
        }))
    }

    /// Decide about a verification
    ///
    /// For reviewers who have signed in of late, with two factors; never about themselves. Where the operator wants a second
    /// pair of eyes, the first decision is a proposal, and counts once another reviewer sends the same verdict and checks.
    #[oai(
        path = "/api/v1/admin/kyc/verifications/:id/decision",
        method = "post",
        operation_id = "review_decide"
    )]
    async fn decide(
        &self,
        app: App<'_>,
        client: Client<'_>,
        RecentReviewer(caller): RecentReviewer,
        /// Id of the verification
        id: Path<Uuid>,
        body: Json<ReviewDecision>,
    ) -> Result<Json<ReviewCase>, DecideErrors> {
        let ReviewDecision { verdict, reason, checks } = body.0;
        let mut checks: Vec<Check> = checks.into_iter().map(Check::from).collect();
        checks.sort_unstable();
        let decision = Decision { verdict: verdict.into(), reason: reason.into(), checks };
        let row = app.decide_verification(&caller, id.0.into(), decision, &client).await?;
        Ok(Json(ReviewCase::new(&row)))
    }
}

fn in_review() -> KycStatus {
    KycStatus::InReview
}
