//! The audit trail. An event is written in the transaction of the change it records, or with the refusal it records.

use entities::{AccountId, SessionId, audit_event, webhook_delivery};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, InsertMany, IntoActiveModel, QueryTrait,
};

use super::webhooks::{self, Announcement};
use super::{Error, Origin, Services};

/// What the trail calls reviewers and operators.
pub(super) const STAFF: &str = "staff";

/// What can happen. The text is stable: operators search for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    AccountCreated,
    /// Somebody signed up with an address that has an account.
    SignUpRepeated,
    EmailVerified,
    VerificationSent,
    ProfileUpdated,
    PasswordChanged,
    /// Somebody signed in gave a wrong current password.
    PasswordChangeRefused,
    PasswordRehashed,
    AccountDisabled,
    AccountEnabled,
    AccountDeleted,
    /// An operator brought the account from elsewhere.
    AccountImported,
    SessionCreated,
    SignInFailed,
    SessionRefreshed,
    /// A refresh token shown again within the grace: answered with the same successor.
    RefreshRepeated,
    /// A refresh token shown again later: the session was ended.
    RefreshReused,
    SessionEnded,
    SigningKeyRotated,
    /// A rotation began, or went on.
    RootKeyRotationBegun,
    /// Everything is sealed under the current root key.
    RootKeyRotated,
    /// The root keys before the current one are gone from the file.
    RootKeyRetired,
    /// The right password of an account with a second factor.
    SecondFactorAsked,
    /// The right password, and then a wrong second factor.
    SecondFactorFailed,
    /// A signed-in person proved more, or proved it again.
    SessionRaised,
    /// Somebody signed in failed to prove more.
    StepUpRefused,
    TotpAdded,
    TotpRenamed,
    TotpRemoved,
    /// A secret was made; it counts once it is confirmed.
    TotpEnrolled,
    /// A wrong first code.
    TotpRefused,
    /// Too many wrong codes in a row.
    FactorDisabled,
    /// By an operator, for a person who has lost them.
    FactorsReset,
    PasskeyAdded,
    /// An authenticator's answer that does not make a passkey.
    PasskeyRefused,
    PasskeyRenamed,
    PasskeyRemoved,
    /// Its counter went backwards.
    PasskeySuspected,
    RecoveryCodesReplaced,
    RecoveryCodeUsed,
    DeviceRemembered,
    DeviceForgotten,
    PasswordResetRequested,
    PasswordReset,
    EmailChangeRequested,
    EmailChanged,
    EmailRestored,
    AccountExported,
    DeletionScheduled,
    DeletionCancelled,
    ApiKeyAdded,
    /// Name, labels, end or what may be signed.
    ApiKeyChanged,
    /// A new credential in place of the old one.
    ApiKeyReplaced,
    ApiKeyRemoved,
    /// It may withdraw, which the operator does not want here.
    ApiKeyRefused,
    ApiKeyTested,
    ApiKeySigned,
    ApiKeyRevealed,
    /// It does not open: altered, moved, or sealed with another key.
    ApiKeyUnreadable,
    AccessKeyAdded,
    AccessKeyRevoked,
    VerificationStarted,
    /// A step of an identity check, by its provider, the person, a reviewer or time.
    VerificationChanged,
    /// A reviewer wants a decision, to which another one must agree.
    VerificationProposed,
    RoleChanged,
    /// An operator has read a webhook of a provider, as it came.
    ProviderEventRead,
    /// An operator read what happened to an account.
    AuditRead,
}

impl Action {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountCreated => "account.created",
            Self::SignUpRepeated => "account.sign_up_repeated",
            Self::EmailVerified => "account.email_verified",
            Self::VerificationSent => "account.verification_sent",
            Self::ProfileUpdated => "account.profile_updated",
            Self::PasswordChanged => "account.password_changed",
            Self::PasswordChangeRefused => "account.password_change_refused",
            Self::PasswordRehashed => "account.password_rehashed",
            Self::AccountDisabled => "account.disabled",
            Self::AccountEnabled => "account.enabled",
            Self::AccountDeleted => "account.deleted",
            Self::AccountImported => "account.imported",
            Self::SessionCreated => "session.created",
            Self::SignInFailed => "session.sign_in_failed",
            Self::SessionRefreshed => "session.refreshed",
            Self::RefreshRepeated => "session.refresh_repeated",
            Self::RefreshReused => "session.refresh_reused",
            Self::SessionEnded => "session.ended",
            Self::SigningKeyRotated => "signing_key.rotated",
            Self::RootKeyRotationBegun => "root_key.rotation_begun",
            Self::RootKeyRotated => "root_key.rotated",
            Self::RootKeyRetired => "root_key.retired",
            Self::SecondFactorAsked => "session.second_factor_asked",
            Self::SecondFactorFailed => "session.second_factor_failed",
            Self::SessionRaised => "session.raised",
            Self::StepUpRefused => "session.step_up_refused",
            Self::TotpAdded => "totp.added",
            Self::TotpRenamed => "totp.renamed",
            Self::TotpRemoved => "totp.removed",
            Self::TotpEnrolled => "totp.enrolled",
            Self::TotpRefused => "totp.refused",
            Self::FactorDisabled => "factor.disabled",
            Self::FactorsReset => "factor.all_removed",
            Self::PasskeyAdded => "passkey.added",
            Self::PasskeyRefused => "passkey.refused",
            Self::PasskeyRenamed => "passkey.renamed",
            Self::PasskeyRemoved => "passkey.removed",
            Self::PasskeySuspected => "passkey.suspected",
            Self::RecoveryCodesReplaced => "recovery_codes.replaced",
            Self::RecoveryCodeUsed => "recovery_codes.used",
            Self::DeviceRemembered => "device.remembered",
            Self::DeviceForgotten => "device.forgotten",
            Self::PasswordResetRequested => "account.password_reset_requested",
            Self::PasswordReset => "account.password_reset",
            Self::EmailChangeRequested => "account.email_change_requested",
            Self::EmailChanged => "account.email_changed",
            Self::EmailRestored => "account.email_restored",
            Self::AccountExported => "account.exported",
            Self::DeletionScheduled => "account.deletion_scheduled",
            Self::DeletionCancelled => "account.deletion_cancelled",
            Self::ApiKeyAdded => "api_key.added",
            Self::ApiKeyChanged => "api_key.changed",
            Self::ApiKeyReplaced => "api_key.replaced",
            Self::ApiKeyRemoved => "api_key.removed",
            Self::ApiKeyRefused => "api_key.refused",
            Self::ApiKeyTested => "api_key.tested",
            Self::ApiKeySigned => "api_key.signed",
            Self::ApiKeyRevealed => "api_key.revealed",
            Self::ApiKeyUnreadable => "api_key.unreadable",
            Self::AccessKeyAdded => "access_key.added",
            Self::AccessKeyRevoked => "access_key.revoked",
            Self::VerificationStarted => "verification.started",
            Self::VerificationChanged => "verification.changed",
            Self::VerificationProposed => "verification.proposed",
            Self::ProviderEventRead => "verification.event_read",
            Self::RoleChanged => "account.role_changed",
            Self::AuditRead => "audit.read",
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, Copy)]
pub enum Actor<'a> {
    /// Over HTTP, before it is known who it is.
    Anonymous(&'a Origin),
    /// The account itself.
    Account(&'a Origin),
    /// A reviewer or an operator, over HTTP; the detail says who.
    Staff(&'a Origin),
    /// This server by itself.
    Server,
    /// Somebody at the command line.
    Operator,
}

/// One event, before it has an id and a time.
#[derive(Debug)]
pub struct Event<'a> {
    pub action: Action,
    pub actor: Actor<'a>,
    pub account: Option<AccountId>,
    pub session: Option<(SessionId, i16)>,
    pub detail: Option<serde_json::Value>,
}

impl<'a> Event<'a> {
    #[must_use]
    pub fn new(action: Action, actor: Actor<'a>) -> Self {
        Self { action, actor, account: None, session: None, detail: None }
    }

    #[must_use]
    pub fn account(self, account: AccountId) -> Self {
        Self { account: Some(account), ..self }
    }

    #[must_use]
    pub fn session(self, session: SessionId, aal: i16) -> Self {
        Self { session: Some((session, aal)), ..self }
    }

    #[must_use]
    pub fn detail(self, detail: serde_json::Value) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

impl Services {
    /// The row of an event, made outside the transaction that writes it.
    pub fn audit(&self, event: Event<'_>) -> Record {
        let (actor, origin) = match event.actor {
            Actor::Anonymous(origin) => ("anonymous", Some(origin)),
            Actor::Account(origin) => ("account", Some(origin)),
            Actor::Staff(origin) => (STAFF, Some(origin)),
            Actor::Server => ("server", None),
            Actor::Operator => ("operator", None),
        };
        let announcement = self.webhooks.announce(&event, &self.sources);
        let row = audit_event::Model {
            id: self.sources.id(),
            at: self.sources.now(),
            action: event.action.name().to_owned(),
            actor: actor.to_owned(),
            account_id: event.account,
            session_id: event.session.map(|(id, _)| id),
            aal: event.session.map(|(_, aal)| aal),
            ip: origin.map(|origin| origin.ip.to_string()),
            user_agent: origin.and_then(|origin| origin.user_agent.clone()),
            request_id: origin.map(|origin| origin.request_id.clone()),
            detail: event.detail.map(|detail| detail.to_string()),
        };
        Record(row, announcement)
    }

    /// Writes an event that goes with no change, such as a refusal.
    pub(super) async fn write_audit(&self, event: Event<'_>) -> Result<(), Error> {
        let record = self.audit(event);
        self.db
            .write(move |transaction| {
                Box::pin(async move { record.write(transaction).await.map_err(Error::from) })
            })
            .await
    }
}

/// An audit row ready to be written, with the webhooks that tell of the event.
#[derive(Debug, Clone)]
#[must_use = "an event that is not written did not happen"]
pub struct Record(pub(super) audit_event::Model, Option<Announcement>);

impl Record {
    pub async fn write(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        Self::write_all(vec![self], db).await
    }

    /// Writes many events in one statement, and another one if webhooks tell of them.
    pub async fn write_all(records: Vec<Self>, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        if records.is_empty() {
            return Ok(());
        }
        let (insert, deliveries) = Self::insertion(records);
        insert.exec_without_returning(db).await?;
        webhooks::write(deliveries, db).await
    }

    /// The same for at least one event, and answers the number that `counted` selects, which spares a statement.
    pub(super) async fn write_all_counting(
        records: Vec<Self>,
        counted: SelectStatement,
        db: &impl ConnectionTrait,
    ) -> Result<u64, DbErr> {
        let (insert, deliveries) = Self::insertion(records);
        let insert = insert.into_query().returning(Query::returning().expr(Expr::from(counted))).take();
        let row = db.query_one(&insert).await?;
        webhooks::write(deliveries, db).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(count.unsigned_abs())
    }

    fn insertion(records: Vec<Self>) -> (InsertMany<audit_event::ActiveModel>, Vec<webhook_delivery::Model>) {
        let (mut rows, mut deliveries) = (vec![], vec![]);
        for Self(row, announcement) in records {
            deliveries.extend(announcement.into_iter().flat_map(|told| told.rows(row.account_id, row.at)));
            rows.push(row.into_active_model().reset_all());
        }
        (audit_event::Entity::insert_many(rows), deliveries)
    }
}
