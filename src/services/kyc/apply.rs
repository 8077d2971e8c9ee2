//! A step becomes part of a verification, in one transaction with all that follows from it: its status, what the account
//! is worth, the trail, and a mail.

use entities::{
    AccountId, KycChangeId, KycVerificationId, SessionId, Timestamp, account, kyc_change, kyc_verification,
};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

use super::super::audit::{Action, Actor, Event};
use super::super::mfa::lock;
use super::super::{Error, Services};
use super::grants::{Worth, worth};
use super::status::{Source, Step, fold, is_closed, may_follow};
use super::{checks_of, status_of, to_json};
use crate::plugins::kyc::{Finding, Status};
use crate::plugins::mail::NoticeEvent;

/// Steps of one verification. Beyond it only decisions count, and beyond twice as many nothing does.
const MOST_STEPS: usize = 500;

/// A step before it is stored.
pub(super) struct NewStep {
    pub occurred_at: Timestamp,
    pub finding: Finding,
    pub source: Source,
    /// Of whoever acts, if it is a person.
    pub session: Option<(SessionId, i16)>,
    /// For the trail, beside what it says itself.
    pub detail: serde_json::Value,
}

impl NewStep {
    pub fn new(occurred_at: Timestamp, finding: Finding, source: Source) -> Self {
        Self { occurred_at, finding: finding.cleaned(), source, session: None, detail: serde_json::json!({}) }
    }

    /// Time has run out.
    pub fn expired(now: Timestamp, why: &str) -> Self {
        Self::new(now, Finding::new(Status::Expired, why), Source::Server)
    }
}

/// The rows of a verification, locked: first the account, as everywhere.
pub(super) async fn lock_verification(
    db: &DatabaseTransaction,
    owner: AccountId,
    id: KycVerificationId,
) -> Result<Option<(account::Model, kyc_verification::Model)>, Error> {
    let Some(account) = lock(db, owner).await? else { return Ok(None) };
    let mut query = kyc_verification::Entity::find_by_id(id);
    if db.get_database_backend() == DbBackend::Postgres {
        query = query.lock(LockType::NoKeyUpdate);
    }
    Ok(query.one(db).await?.map(|row| (account, row)))
}

impl Services {
    /// Adds a step. Answers the verification as it is afterwards; nothing if it has gone meanwhile.
    pub(super) async fn add_step(
        &self,
        db: &DatabaseTransaction,
        owner: AccountId,
        id: KycVerificationId,
        step: NewStep,
        actor: Actor<'_>,
    ) -> Result<Option<kyc_verification::Model>, Error> {
        let now = self.sources.now();
        let Some((account, row)) = lock_verification(db, owner, id).await? else { return Ok(None) };
        let follows = may_follow(status_of(&row), step.finding.status, step.source, step.finding.explicit);
        // Time runs out on all nodes at once, and the first has written it down. What the person takes back while the provider
        // is being asked stays so.
        if matches!(step.source, Source::Server | Source::Poll) && !follows {
            return Ok(Some(row));
        }
        let own = kyc_change::Entity::find().filter(kyc_change::Column::VerificationId.eq(id));
        let mut changes = own.all(db).await?;
        let decides = is_closed(step.finding.status);
        let foreign = matches!(step.source, Source::Provider | Source::Poll);
        if foreign && (changes.len() >= MOST_STEPS && !decides || changes.len() >= 2 * MOST_STEPS) {
            tracing::warn!(verification = %id, "too many steps; one is left out");
            return Ok(Some(row));
        }
        let change = kyc_change::Model {
            id: self.sources.id::<KycChangeId>(),
            verification_id: id,
            // A clock that is ahead must not outrun all that comes.
            occurred_at: if step.source == Source::Reviewer {
                step.occurred_at
            } else {
                step.occurred_at.min(now)
            },
            status: <&str>::from(step.finding.status).into(),
            explicit: step.finding.explicit,
            source: <&str>::from(step.source).into(),
            reasons: to_json(&step.finding.reasons),
            checks: to_json(&step.finding.checks),
            raw_status: step.finding.raw_status,
            created_at: now,
        };
        let insert = kyc_change::Entity::insert(change.clone().into_active_model().reset_all());
        insert.exec_without_returning(db).await?;
        changes.push(change);
        changes.sort_unstable_by_key(|change| change.id.0);
        let steps: Vec<Step> = changes.iter().filter_map(read).collect();
        let Some(latest) = fold(&steps) else { return Ok(Some(row)) };
        // More than one may look the same to the fold: the newest of them tells why.
        let told = changes.iter().rev().find(|change| read(change).is_some_and(|step| step == *latest));
        let Some(told) = told else { return Ok(Some(row)) };

        let before = status_of(&row);
        let worth = (latest.status == Status::Approved).then(|| {
            let checks = checks_of(&told.checks);
            worth(&self.kyc.grants, &row.provider, &row.level, &checks, latest.occurred_at)
        });
        let closed = is_closed(latest.status);
        let after = kyc_verification::Model {
            status: <&str>::from(latest.status).into(),
            reasons: told.reasons.clone(),
            checks: told.checks.clone(),
            raw_status: Some(told.raw_status.clone()),
            ial: worth.map_or(0, |worth| worth.ial),
            valid_until: worth.map(|worth| worth.until),
            proposal: if latest.status == before { row.proposal.clone() } else { None },
            sealed: row.sealed.clone().filter(|_| !closed),
            poll_at: row.poll_at.filter(|_| !closed),
            updated_at: now,
            ..row.clone()
        };
        store(db, &after).await?;
        let ial = self.settle_ial(db, &account, now).await?;
        let mut detail = step.detail;
        for (name, value) in [
            ("verification", id.to_string()),
            ("provider", after.provider.clone()),
            ("level", after.level.clone()),
            ("from", <&str>::from(before).to_owned()),
            ("to", after.status.clone()),
            ("source", <&str>::from(step.source).to_owned()),
        ] {
            detail[name] = value.into();
        }
        detail["ial"] = ial.into();
        let mut event = Event::new(Action::VerificationChanged, actor).account(owner).detail(detail);
        event.session = step.session;
        self.audit(event).write(db).await?;
        if ial > account.ial_at(now) {
            self.notice_by_operator(&account, NoticeEvent::IdentityVerified)?.write(db).await?;
        }
        Ok(Some(after))
    }

    /// Writes down how well it is known who the account's owner is, after a change of its verifications.
    pub(super) async fn settle_ial(
        &self,
        db: &DatabaseTransaction,
        account: &account::Model,
        now: Timestamp,
    ) -> Result<i16, Error> {
        use kyc_verification::Column;
        let best = kyc_verification::Entity::find()
            .filter(Column::AccountId.eq(account.id))
            .filter(Column::Status.eq(<&str>::from(Status::Approved)))
            .filter(Column::ValidUntil.gt(now))
            .filter(Column::Ial.gt(0))
            .order_by_desc(Column::Ial)
            .order_by_desc(Column::ValidUntil)
            .limit(1)
            .one(db)
            .await?;
        let best = best.and_then(|row| Some(Worth { ial: row.ial, until: row.valid_until? }));
        let (ial, until) = (best.map_or(0, |best| best.ial), best.map(|best| best.until));
        if (ial, until) != (account.ial, account.ial_until) {
            account::Entity::update_many()
                .col_expr(account::Column::Ial, Expr::value(ial))
                .col_expr(account::Column::IalUntil, Expr::value(until))
                .col_expr(account::Column::UpdatedAt, Expr::value(now))
                .filter(account::Column::Id.eq(account.id))
                .exec(db)
                .await?;
        }
        Ok(ial)
    }
}

/// What a newer release wrote, and this one can't read, does not count here.
fn read(change: &kyc_change::Model) -> Option<Step> {
    Some(Step {
        occurred_at: change.occurred_at,
        status: change.status.parse().ok()?,
        explicit: change.explicit,
        source: change.source.parse().ok()?,
    })
}

async fn store(db: &DatabaseTransaction, row: &kyc_verification::Model) -> Result<(), Error> {
    use kyc_verification::Column;
    let columns = [
        (Column::Status, Expr::value(row.status.clone())),
        (Column::Reasons, Expr::value(row.reasons.clone())),
        (Column::Checks, Expr::value(row.checks.clone())),
        (Column::RawStatus, Expr::value(row.raw_status.clone())),
        (Column::Ial, Expr::value(row.ial)),
        (Column::ValidUntil, Expr::value(row.valid_until)),
        (Column::Proposal, Expr::value(row.proposal.clone())),
        (Column::Sealed, Expr::value(row.sealed.clone())),
        (Column::PollAt, Expr::value(row.poll_at)),
        (Column::UpdatedAt, Expr::value(row.updated_at)),
    ];
    let update = kyc_verification::Entity::update_many().filter(Column::Id.eq(row.id));
    let update = columns.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value));
    update.exec(db).await?;
    Ok(())
}
