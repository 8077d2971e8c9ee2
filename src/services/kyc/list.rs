//! What is on offer, and how somebody stands.

use entities::{AccountId, KycVerificationId, Timestamp, kyc_verification};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::audit::Actor;
use super::super::page::cut;
use super::super::sessions::Caller;
use super::super::{Error, Origin, Services};
use super::apply::NewStep;
use super::status::{Source, is_closed};
use super::status_of;
use crate::plugins::kyc::{Finding, Status};

/// A level that somebody can be verified at.
#[derive(Debug, Clone)]
pub struct Offer {
    pub provider: &'static str,
    pub title: &'static str,
    pub level: String,
    /// The best that it can be worth.
    pub ial: i16,
}

/// What a person can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Begin a verification.
    Start,
    /// Go on at the provider.
    Continue,
    /// Wait for the provider or a reviewer.
    Wait,
    /// Refresh the session, so that its token says what is known.
    Refresh,
    Nothing,
}

/// How somebody stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub ial: i16,
    pub until: Option<Timestamp>,
    /// The latest one that was begun.
    pub latest: Option<kyc_verification::Model>,
    pub next: Next,
}

/// A place in the list: behind the one that was begun then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub at: Timestamp,
    pub id: KycVerificationId,
}

/// A piece of the list, the newest first.
#[derive(Debug, Clone)]
pub struct Page {
    pub verifications: Vec<kyc_verification::Model>,
    /// Where to go on; nothing at the end.
    pub before: Option<Place>,
}

impl Services {
    /// The levels on offer, in the order of the providers.
    #[must_use]
    pub fn offers(&self) -> Vec<Offer> {
        let offers = |configured: &super::Configured| {
            let about = configured.provider.about();
            let levels = configured.settings.levels.keys().cloned();
            levels
                .map(|level| Offer {
                    provider: about.name,
                    title: about.title,
                    ial: self.best_of(about.name, &level),
                    level,
                })
                .collect::<Vec<_>>()
        };
        self.kyc.providers.iter().flat_map(offers).collect()
    }

    fn best_of(&self, provider: &str, level: &str) -> i16 {
        let fits = |name: &str, known: &str| name == "*" || name == known;
        let grants = self.kyc.grants.iter();
        let fitting = grants.filter(|grant| fits(&grant.provider, provider) && fits(&grant.level, level));
        fitting.map(|grant| grant.ial).max().unwrap_or(0)
    }

    /// How the caller stands, and what is next.
    pub async fn kyc_standing(&self, caller: &Caller) -> Result<Standing, Error> {
        let standing = caller.standing(self.sources.now());
        let Page { mut verifications, .. } = self.list_verifications(caller.state.account, None, 1).await?;
        let latest = verifications.pop();
        let next = match latest.as_ref().map(status_of) {
            _ if standing.known_ial > caller.claims.ial => Next::Refresh,
            Some(Status::Pending | Status::Resubmission) => Next::Continue,
            Some(Status::InReview) => Next::Wait,
            Some(Status::Approved) => Next::Nothing,
            None | Some(Status::Declined | Status::Expired | Status::Cancelled) => Next::Start,
        };
        let until = caller.state.ial_until.filter(|_| standing.known_ial > 0);
        Ok(Standing { ial: standing.known_ial, until, latest, next })
    }

    pub async fn list_verifications(
        &self,
        owner: AccountId,
        before: Option<Place>,
        limit: u64,
    ) -> Result<Page, Error> {
        use kyc_verification::Column;
        let mut condition =
            Condition::all().add(Column::AccountId.eq(owner)).add(Column::Reference.is_not_null());
        if let Some(Place { at, id }) = before {
            let as_old = Condition::all().add(Column::CreatedAt.eq(at)).add(Column::Id.lt(id));
            condition = condition.add(Condition::any().add(Column::CreatedAt.lt(at)).add(as_old));
        }
        let mut rows = kyc_verification::Entity::find()
            .filter(condition)
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .limit(limit + 1)
            .all(self.db.reader())
            .await?;
        let more = cut(&mut rows, limit);
        let last = rows.last().filter(|_| more);
        let before = last.map(|row| Place { at: row.created_at, id: row.id });
        Ok(Page { verifications: rows, before })
    }

    pub async fn get_verification(
        &self,
        owner: AccountId,
        id: KycVerificationId,
    ) -> Result<kyc_verification::Model, Error> {
        self.verification_of(self.db.reader(), owner, id).await
    }

    /// Takes back the caller's own verification. What the provider says of it afterwards counts no more.
    pub async fn cancel_verification(
        &self,
        caller: &Caller,
        id: KycVerificationId,
        origin: &Origin,
    ) -> Result<kyc_verification::Model, Error> {
        let owner = caller.state.account;
        let row = self.get_verification(owner, id).await?;
        if is_closed(status_of(&row)) {
            return Err(Error::VerificationClosed);
        }
        let now = self.sources.now();
        let mut step = NewStep::new(now, Finding::new(Status::Cancelled, "cancelled"), Source::Person);
        step.session = Some((caller.state.session, caller.claims.aal));
        let (services, origin) = (self.clone(), origin.clone());
        let cancelled = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    services.add_step(transaction, owner, id, step, Actor::Account(&origin)).await
                })
            })
            .await?
            .ok_or(Error::NotFound)?;
        // A decision may have been quicker.
        if status_of(&cancelled) == Status::Cancelled {
            Ok(cancelled)
        } else {
            Err(Error::VerificationClosed)
        }
    }
}
