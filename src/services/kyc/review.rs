//! People decide where a provider can't, or did wrong. With a second pair of eyes, where the operator wants it: the first
//! reviewer proposes, another one agrees.

use entities::{AccountId, KycVerificationId, Timestamp, kyc_change, kyc_verification};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::audit::{Action, Actor, Event};
use super::super::page::cut;
use super::super::sessions::Caller;
use super::super::{Error, Origin, Services};
use super::apply::{NewStep, lock_verification};
use super::list::{Page, Place};
use super::status::Source;
use crate::plugins::kyc::{Check, Finding, Status};

/// Steps shown of one case, the newest.
const STEPS: u64 = 100;

/// What a reviewer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approve,
    Decline,
    /// The person may try again.
    Resubmit,
}

impl Verdict {
    fn status(self) -> Status {
        match self {
            Self::Approve => Status::Approved,
            Self::Decline => Status::Declined,
            Self::Resubmit => Status::Resubmission,
        }
    }
}

/// A verdict with what it rests on.
#[derive(Debug, Clone)]
pub struct Decision {
    pub verdict: Verdict,
    /// For those who look at it later.
    pub reason: String,
    /// What the reviewer has found in order; counts for an approval.
    pub checks: Vec<Check>,
}

/// What one reviewer wants, until another one agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub reviewer: String,
    pub verdict: Verdict,
    pub reason: String,
    pub checks: Vec<Check>,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
}

impl Proposal {
    #[must_use]
    pub fn of(row: &kyc_verification::Model) -> Option<Self> {
        row.proposal.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }
}

/// A verification with all its steps, for a reviewer.
#[derive(Debug, Clone)]
pub struct Case {
    pub verification: kyc_verification::Model,
    /// The newest first.
    pub steps: Vec<kyc_change::Model>,
}

impl Services {
    /// Verifications of a status, those that have waited longest first.
    pub async fn review_queue(
        &self,
        status: Status,
        after: Option<Place>,
        limit: u64,
    ) -> Result<Page, Error> {
        use kyc_verification::Column;
        let mut condition = Condition::all()
            .add(Column::Status.eq(<&str>::from(status)))
            .add(Column::Reference.is_not_null());
        if let Some(Place { at, id }) = after {
            let as_new = Condition::all().add(Column::UpdatedAt.eq(at)).add(Column::Id.gt(id));
            condition = condition.add(Condition::any().add(Column::UpdatedAt.gt(at)).add(as_new));
        }
        let mut rows = kyc_verification::Entity::find()
            .filter(condition)
            .order_by_asc(Column::UpdatedAt)
            .order_by_asc(Column::Id)
            .limit(limit + 1)
            .all(self.db.reader())
            .await?;
        let more = cut(&mut rows, limit);
        let last = rows.last().filter(|_| more);
        let before = last.map(|row| Place { at: row.updated_at, id: row.id });
        Ok(Page { verifications: rows, before })
    }

    pub async fn review_case(&self, id: KycVerificationId) -> Result<Case, Error> {
        let verification = self.case(id).await?;
        let steps = kyc_change::Entity::find()
            .filter(kyc_change::Column::VerificationId.eq(id))
            .order_by_desc(kyc_change::Column::OccurredAt)
            .order_by_desc(kyc_change::Column::Id)
            .limit(STEPS)
            .all(self.db.reader())
            .await?;
        Ok(Case { verification, steps })
    }

    async fn case(&self, id: KycVerificationId) -> Result<kyc_verification::Model, Error> {
        let query = kyc_verification::Entity::find_by_id(id)
            .filter(kyc_verification::Column::Reference.is_not_null());
        query.one(self.db.reader()).await?.ok_or(Error::NotFound)
    }

    /// Decides, or proposes what another reviewer must agree to. Answers the verification as it is afterwards.
    pub async fn decide_verification(
        &self,
        reviewer: &Caller,
        id: KycVerificationId,
        decision: Decision,
        origin: &Origin,
    ) -> Result<kyc_verification::Model, Error> {
        let row = self.case(id).await?;
        if row.account_id == reviewer.state.account {
            return Err(Error::OwnCase);
        }
        let (services, reviewer, origin) = (self.clone(), reviewer.clone(), origin.clone());
        let decided = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    services.decide(transaction, &reviewer, row.account_id, id, decision, &origin).await
                })
            })
            .await?;
        self.outbox.wake();
        Ok(decided)
    }

    async fn decide(
        &self,
        db: &DatabaseTransaction,
        reviewer: &Caller,
        owner: AccountId,
        id: KycVerificationId,
        decision: Decision,
        origin: &Origin,
    ) -> Result<kyc_verification::Model, Error> {
        let now = self.sources.now();
        let (_, row) = lock_verification(db, owner, id).await?.ok_or(Error::NotFound)?;
        let mine = Proposal {
            reviewer: reviewer.state.account.to_string(),
            verdict: decision.verdict,
            reason: decision.reason.clone(),
            checks: decision.checks.clone(),
            at: now.0,
        };
        let first = Proposal::of(&row);
        let agreed = first.as_ref().filter(|first| {
            first.reviewer != mine.reviewer && (first.verdict, &first.checks) == (mine.verdict, &mine.checks)
        });
        if self.config.kyc.two_reviewers && agreed.is_none() {
            return self.propose(db, reviewer, row, &mine, origin).await;
        }
        let finding = Finding::new(decision.verdict.status(), "reviewed").checked(decision.checks);
        let mut step = NewStep::new(now, finding, Source::Reviewer);
        step.detail = json!({
            "by": mine.reviewer,
            "reason": mine.reason,
            "proposed_by": agreed.map(|first| first.reviewer.clone()),
        });
        step.session = Some((reviewer.state.session, reviewer.claims.aal));
        // The newest says how it is, also when the clock of another node is ahead.
        let last = kyc_change::Entity::find()
            .filter(kyc_change::Column::VerificationId.eq(id))
            .order_by_desc(kyc_change::Column::OccurredAt)
            .limit(1)
            .one(db)
            .await?;
        step.occurred_at = last.map_or(now, |last| now.max(Timestamp(last.occurred_at.0 + 1)));
        self.add_step(db, owner, id, step, Actor::Staff(origin)).await?.ok_or(Error::NotFound)
    }

    /// Another verdict than the one before takes its place: nobody has agreed to that either.
    async fn propose(
        &self,
        db: &DatabaseTransaction,
        reviewer: &Caller,
        row: kyc_verification::Model,
        proposal: &Proposal,
        origin: &Origin,
    ) -> Result<kyc_verification::Model, Error> {
        let text = serde_json::to_string(proposal).map_err(|error| Error::Internal(error.to_string()))?;
        kyc_verification::Entity::update_many()
            .col_expr(kyc_verification::Column::Proposal, Expr::value(text.clone()))
            .filter(kyc_verification::Column::Id.eq(row.id))
            .exec(db)
            .await?;
        self.audit(
            Event::new(Action::VerificationProposed, Actor::Staff(origin))
                .account(row.account_id)
                .session(reviewer.state.session, reviewer.claims.aal)
                .detail(json!({
                    "verification": row.id.to_string(),
                    "by": proposal.reviewer,
                    "verdict": proposal.verdict,
                    "reason": proposal.reason,
                })),
        )
        .write(db)
        .await?;
        Ok(kyc_verification::Model { proposal: Some(text), ..row })
    }
}
