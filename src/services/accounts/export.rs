//! Everything that is known of an account, for its owner. Each list is bounded; the audit trail is read in pages.

use entities::{
    AccountId, AuditEventId, Timestamp, access_key, account, api_key, audit_event, email_change,
    email_verification, kyc_verification, outbox_message, password_reset, remembered_device, seen_device,
    session,
};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::super::audit::{Action, Actor, Event, STAFF};
use super::super::limits::Limit;
use super::super::mfa::Factors;
use super::super::sessions::Caller;
use super::super::{Error, Origin, Services};
use crate::config::Rate;

/// Rows of one kind in one answer, the newest first. Only the trail goes further back: all else is removed before there
/// are as many, or listed elsewhere.
const MOST: usize = 1000;
/// Pages of the trail that count as one export.
const PAGES: u32 = 20;

/// An account with all that hangs on it. Never what signs somebody in.
#[derive(Debug)]
pub struct Export {
    pub at: Timestamp,
    pub account: account::Model,
    /// Those that have ended too, as long as they are kept.
    pub sessions: Vec<session::Model>,
    pub factors: Factors,
    pub remembered_devices: Vec<remembered_device::Model>,
    pub seen_devices: Vec<seen_device::Model>,
    pub api_keys: Vec<api_key::Model>,
    pub access_keys: Vec<access_key::Model>,
    pub verifications: Vec<kyc_verification::Model>,
    pub email_verifications: Vec<email_verification::Model>,
    pub email_changes: Vec<email_change::Model>,
    pub password_resets: Vec<password_reset::Model>,
    pub mails: Vec<outbox_message::Model>,
    pub events: Vec<audit_event::Model>,
    /// Where the trail goes on; nothing at its end.
    pub events_before: Option<AuditEventId>,
}

impl Services {
    /// Exports the caller's account, with the events before `events_before` or the newest.
    pub async fn export_account(
        &self,
        caller: &Caller,
        events_before: Option<AuditEventId>,
        origin: &Origin,
    ) -> Result<Export, Error> {
        let id = caller.state.account;
        let whole = self.config.limits.export_per_account;
        let rate = match events_before {
            None => whole,
            Some(_) => Rate { count: whole.count.saturating_mul(PAGES), ..whole },
        };
        self.admit(vec![Limit::subject("export", &id.to_string(), rate)]).await?;
        let exported = Event::new(Action::AccountExported, Actor::Account(origin))
            .account(id)
            .session(caller.state.session, caller.claims.aal);
        self.write_audit(exported).await?;

        let account = account::Entity::find_by_id(id).one(self.db.reader()).await?;
        let mut events = self.events(id, events_before, MOST + 1).await?;
        let more = events.len() > MOST;
        events.truncate(MOST);
        // Where those are who act for others is their own affair.
        for event in events.iter_mut().filter(|event| event.actor == STAFF) {
            *event = audit_event::Model { ip: None, user_agent: None, ..event.clone() };
        }
        Ok(Export {
            at: self.sources.now(),
            account: account.ok_or(Error::InvalidAccessToken)?,
            sessions: self
                .newest(
                    session::Entity::find()
                        .filter(session::Column::AccountId.eq(id))
                        .order_by_desc(session::Column::Id),
                )
                .await?,
            factors: self.factors_of(id).await?,
            remembered_devices: self
                .newest(
                    remembered_device::Entity::find()
                        .filter(remembered_device::Column::AccountId.eq(id))
                        .order_by_desc(remembered_device::Column::Id),
                )
                .await?,
            seen_devices: self
                .newest(
                    seen_device::Entity::find()
                        .filter(seen_device::Column::AccountId.eq(id))
                        .order_by_desc(seen_device::Column::LastSeenAt),
                )
                .await?,
            api_keys: self
                .newest(
                    api_key::Entity::find()
                        .filter(api_key::Column::AccountId.eq(id))
                        .order_by_desc(api_key::Column::Id),
                )
                .await?,
            access_keys: self
                .newest(
                    access_key::Entity::find()
                        .filter(access_key::Column::AccountId.eq(id))
                        .order_by_desc(access_key::Column::Id),
                )
                .await?,
            verifications: self
                .newest(
                    kyc_verification::Entity::find()
                        .filter(kyc_verification::Column::AccountId.eq(id))
                        .filter(kyc_verification::Column::Reference.is_not_null())
                        .order_by_desc(kyc_verification::Column::Id),
                )
                .await?,
            email_verifications: self
                .newest(
                    email_verification::Entity::find()
                        .filter(email_verification::Column::AccountId.eq(id))
                        .order_by_desc(email_verification::Column::Id),
                )
                .await?,
            email_changes: self
                .newest(
                    email_change::Entity::find()
                        .filter(email_change::Column::AccountId.eq(id))
                        .order_by_desc(email_change::Column::Id),
                )
                .await?,
            password_resets: self
                .newest(
                    password_reset::Entity::find()
                        .filter(password_reset::Column::AccountId.eq(id))
                        .order_by_desc(password_reset::Column::Id),
                )
                .await?,
            mails: self
                .newest(
                    outbox_message::Entity::find()
                        .filter(outbox_message::Column::AccountId.eq(id))
                        .order_by_desc(outbox_message::Column::Id),
                )
                .await?,
            events_before: events.last().filter(|_| more).map(|event| event.id),
            events,
        })
    }

    async fn newest<E>(&self, query: Select<E>) -> Result<Vec<E::Model>, DbErr>
    where
        E: EntityTrait,
        E::Model: FromQueryResult,
    {
        query.limit(MOST as u64).all(self.db.reader()).await
    }

    /// The newest events of an account, those before the one with this id.
    pub(super) async fn events(
        &self,
        id: AccountId,
        before: Option<AuditEventId>,
        limit: usize,
    ) -> Result<Vec<audit_event::Model>, DbErr> {
        let mut query = audit_event::Entity::find()
            .filter(audit_event::Column::AccountId.eq(id))
            .order_by_desc(audit_event::Column::Id)
            .limit(limit as u64);
        if let Some(before) = before {
            query = query.filter(audit_event::Column::Id.lt(before));
        }
        query.all(self.db.reader()).await
    }
}
