//! A verification is begun: first a row that only the provider and we know of, then the provider, then the answer. A server
//! that dies on the way leaves nothing that anybody sees, and the same request goes on where it was.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entities::{AccountId, KycVerificationId, Timestamp, kyc_person_key, kyc_verification};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter};
use sha2::{Digest, Sha256};
use url::Url;

use super::super::audit::{Action, Actor, Event};
use super::super::clock_check::CLOCKS_AGREE;
use super::super::limits::Limit;
use super::super::sessions::Caller;
use super::super::vault::Mistake;
use super::super::{Error, Origin, Services};
use super::status::is_closed;
use super::{Configured, Handover, SealedHandover, failed, is_open, status_of};
use crate::plugins::kyc::{Order, Session, Started, Status};
use crate::secret::Secret;

/// Longer than a provider may take: three requests, each within its time.
const LEASE: Duration = Duration::from_secs(45);

/// What is asked for.
#[derive(Debug, Clone)]
pub struct NewVerification {
    /// As it is offered.
    pub level: String,
    /// Nothing for the first one that offers the level.
    pub provider: Option<String>,
    /// Where the person goes afterwards.
    pub redirect_url: Option<Url>,
    /// The client's own name for this request, the same at each attempt.
    pub idempotency_key: Option<String>,
}

impl Services {
    /// Begins a verification of the caller, or gives back the one that the same request has begun.
    pub async fn start_verification(
        &self,
        caller: &Caller,
        new: NewVerification,
        origin: &Origin,
    ) -> Result<(kyc_verification::Model, Handover), Error> {
        let owner = caller.state.account;
        let configured = self.offering(&new)?;
        let key = new.idempotency_key.as_deref().map(|key| hashed(owner, key));
        let row = match self.begun(owner, key.as_deref(), configured.name(), &new).await? {
            Some(row) if is_unanswered(&row) => self.take_up(row).await?,
            Some(row) => {
                let handover = self.handover(&row)?;
                return Ok((row, handover));
            }
            None => {
                let rate = self.config.limits.verification_per_account;
                self.admit(vec![Limit::subject("verification", &owner.to_string(), rate)]).await?;
                self.reserve(owner, configured, &new, key).await?
            }
        };
        let order = Order {
            id: row.external_id.clone(),
            person: owner.to_string(),
            level: configured.settings.levels.get(&row.level).cloned().unwrap_or_default(),
            redirect_url: new.redirect_url,
            webhook_url: self.webhook_url(configured.name())?,
        };
        let link =
            self.kyc.network.link(&configured.settings, &configured.provider.base_url(&configured.settings));
        let link = link.ok_or_else(|| Error::Internal("a provider without a host".into()))?;
        match configured.provider.start(&link, &order).await {
            Ok(started) => self.complete(caller, row, started, origin).await,
            Err(failure) => {
                self.let_go(row.id).await?;
                Err(failed(configured.name(), &failure))
            }
        }
    }

    fn offering(&self, new: &NewVerification) -> Result<&Configured, Error> {
        let offers = |configured: &&Configured| configured.settings.levels.contains_key(&new.level);
        let mistake = |field, message| Error::InvalidFields(vec![Mistake::new(field, message)]);
        match &new.provider {
            None => {
                self.kyc.providers.iter().find(offers).ok_or_else(|| mistake("level", "not offered here"))
            }
            Some(name) => {
                let configured =
                    self.kyc.provider(name).ok_or_else(|| mistake("provider", "not offered here"))?;
                Some(configured)
                    .filter(offers)
                    .ok_or_else(|| mistake("level", "not offered by this provider"))
            }
        }
    }

    fn webhook_url(&self, provider: &str) -> Result<Url, Error> {
        let url = format!("{}/api/kyc/webhook/{provider}", self.config.public_url());
        Url::parse(&url).map_err(|error| Error::Internal(format!("public_url: {error}")))
    }

    /// What the same request has begun before.
    async fn begun(
        &self,
        owner: AccountId,
        key: Option<&[u8]>,
        provider: &str,
        new: &NewVerification,
    ) -> Result<Option<kyc_verification::Model>, Error> {
        let Some(key) = key else { return Ok(None) };
        let found = kyc_verification::Entity::find()
            .filter(kyc_verification::Column::AccountId.eq(owner))
            .filter(kyc_verification::Column::IdempotencyKey.eq(key))
            .one(self.db.reader())
            .await?;
        let Some(row) = found else { return Ok(None) };
        let redirect = new.redirect_url.as_ref().map(Url::as_str);
        let same =
            row.provider == provider && row.level == new.level && row.redirect_url.as_deref() == redirect;
        if same { Ok(Some(row)) } else { Err(Error::IdempotencyKeyReused) }
    }

    /// A row that is not shown to anybody before the provider has answered.
    async fn reserve(
        &self,
        owner: AccountId,
        configured: &Configured,
        new: &NewVerification,
        key: Option<Vec<u8>>,
    ) -> Result<kyc_verification::Model, Error> {
        let now = self.sources.now();
        let row = kyc_verification::Model {
            id: self.sources.id(),
            account_id: owner,
            provider: configured.name().to_owned(),
            level: new.level.clone(),
            status: <&str>::from(Status::Pending).into(),
            external_id: URL_SAFE_NO_PAD.encode(self.sources.entropy.bytes::<24>()),
            reference: None,
            handle: None,
            sealed: None,
            redirect_url: new.redirect_url.as_ref().map(Url::to_string),
            idempotency_key: key,
            reasons: "[]".into(),
            checks: "[]".into(),
            raw_status: None,
            ial: 0,
            valid_until: None,
            proposal: None,
            created_at: now,
            updated_at: now,
            ends_at: now + Duration::from_secs(self.config.kyc.verification_seconds),
            poll_at: None,
            polls: 0,
            busy_until: now + LEASE,
        };
        let key = self.new_person_key(owner);
        let inserted = row.clone();
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    kyc_person_key::Entity::insert(key.into_active_model().reset_all())
                        .on_conflict(
                            OnConflict::column(kyc_person_key::Column::AccountId).do_nothing().to_owned(),
                        )
                        .exec_without_returning(transaction)
                        .await?;
                    let insert = kyc_verification::Entity::insert(inserted.into_active_model().reset_all());
                    match insert.exec_without_returning(transaction).await {
                        // The same request, at the same time, was first.
                        Err(error) if error.sql_err().is_some() => Err(Error::InProgress),
                        result => result.map(drop).map_err(Error::from),
                    }
                })
            })
            .await?;
        Ok(row)
    }

    /// Goes on with a row whose request came to nothing, unless somebody is doing so.
    async fn take_up(&self, row: kyc_verification::Model) -> Result<kyc_verification::Model, Error> {
        let (id, now) = (row.id, self.sources.now());
        // A lease that is longer was taken by a clock that was ahead.
        let longest = now + LEASE + 2 * CLOCKS_AGREE;
        let busy_until = kyc_verification::Column::BusyUntil;
        let free = Condition::any().add(busy_until.lte(now)).add(busy_until.gt(longest));
        let taken = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let update = kyc_verification::Entity::update_many()
                        .col_expr(kyc_verification::Column::BusyUntil, Expr::value(now + LEASE))
                        .filter(kyc_verification::Column::Id.eq(id))
                        .filter(kyc_verification::Column::Sealed.is_null())
                        .filter(free);
                    Ok(update.exec(transaction).await?.rows_affected)
                })
            })
            .await?;
        if taken == 1 { Ok(row) } else { Err(Error::InProgress) }
    }

    /// Lets the next attempt begin at once.
    async fn let_go(&self, id: KycVerificationId) -> Result<(), Error> {
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    kyc_verification::Entity::update_many()
                        .col_expr(kyc_verification::Column::BusyUntil, Expr::value(Timestamp(0)))
                        .filter(kyc_verification::Column::Id.eq(id))
                        .exec(transaction)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// The provider has answered.
    async fn complete(
        &self,
        caller: &Caller,
        row: kyc_verification::Model,
        started: Started,
        origin: &Origin,
    ) -> Result<(kyc_verification::Model, Handover), Error> {
        let Started { session: Session { reference, handle, .. }, url, token } = started;
        let now = self.sources.now();
        let handover = Handover { url, token };
        let sealed = self.seal_handover(row.id, &handover)?;
        let polled = self.fetches(&row.provider);
        let poll_at = polled.then(|| now + Duration::from_secs(self.config.kyc.poll_seconds));
        let detail = serde_json::json!({
            "verification": row.id.to_string(), "provider": row.provider, "level": row.level,
        });
        let record = self.audit(
            Event::new(Action::VerificationStarted, Actor::Account(origin))
                .account(row.account_id)
                .session(caller.state.session, caller.claims.aal)
                .detail(detail),
        );
        let id = row.id;
        let row = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    use kyc_verification::Column;
                    let update = kyc_verification::Entity::update_many()
                        .col_expr(Column::Reference, Expr::value(reference))
                        .col_expr(Column::Handle, Expr::value(handle))
                        // It may have been decided or taken back before the answer: an early webhook has shown it.
                        .col_expr(Column::Sealed, Expr::case(is_open(), Expr::value(sealed)).into())
                        .col_expr(Column::PollAt, Expr::case(is_open(), Expr::value(poll_at)).into())
                        .col_expr(Column::BusyUntil, Expr::value(Timestamp(0)))
                        .filter(Column::Id.eq(id));
                    match update.exec(transaction).await {
                        Err(error) if error.sql_err().is_some() => {
                            tracing::error!(verification = %id, "the provider gave a session that is another one's");
                            return Err(Error::ProviderFailed);
                        }
                        result => result?,
                    };
                    record.write(transaction).await?;
                    // As it is now: a webhook may have come before the answer. Gone, with its account.
                    let row = kyc_verification::Entity::find_by_id(id).one(transaction).await?;
                    row.ok_or(Error::InvalidAccessToken)
                })
            })
            .await?;
        let handover = if is_closed(status_of(&row)) { Handover::default() } else { handover };
        Ok((row, handover))
    }

    pub(super) fn fetches(&self, provider: &str) -> bool {
        self.kyc.provider(provider).is_some_and(|configured| configured.provider.about().fetches)
    }

    fn seal_handover(&self, id: KycVerificationId, handover: &Handover) -> Result<Vec<u8>, Error> {
        let token = handover.token.as_ref().map(|token| token.expose().to_owned());
        let plain = serde_json::to_vec(&SealedHandover { url: handover.url.clone(), token });
        let plain = zeroize::Zeroizing::new(plain.map_err(|error| Error::Internal(error.to_string()))?);
        Ok(self.kyc.sealer.seal(id.0.as_bytes(), &plain))
    }

    /// What the person goes on with; nothing once the verification is at its end.
    pub fn handover(&self, row: &kyc_verification::Model) -> Result<Handover, Error> {
        let Some(sealed) = &row.sealed else { return Ok(Handover::default()) };
        let plain = self.kyc.sealer.open(row.id.0.as_bytes(), sealed);
        let plain = plain.map_err(|error| Error::Internal(error.to_string()))?;
        let SealedHandover { url, token } =
            serde_json::from_slice(&plain).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Handover { url, token: token.map(Secret::new) })
    }
}

/// Whether the provider's answer is still to come. The reference does not tell: a webhook may have brought it before. What
/// the person goes on with comes with the answer alone. It is gone once the verification has ended, and one that is looked
/// at again after that must stay the one that the provider decides on.
fn is_unanswered(row: &kyc_verification::Model) -> bool {
    row.reference.is_none() || row.sealed.is_none() && status_of(row) == Status::Pending
}

fn hashed(owner: AccountId, key: &str) -> Vec<u8> {
    Sha256::new().chain_update(owner.0.as_bytes()).chain_update(key).finalize().to_vec()
}
