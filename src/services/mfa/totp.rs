//! Authenticator apps: enrolled with a secret, confirmed with a first code, then good for one code per time step.

use std::time::Duration;

use entities::{AccountId, Timestamp, TotpAuthenticatorId, totp_authenticator};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, ExprTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
};
use zeroize::Zeroizing;

use super::super::audit::{Action, Actor, Event};
use super::super::limits::Limit;
use super::super::sessions::means::Means;
use super::super::sessions::{Caller, SignedIn};
use super::super::{Error, Origin, Services};
use super::{Redeemed, settle};
use crate::crypto::seal::Unopened;
use crate::crypto::totp::{Enrolment, TotpCode, TotpSecret};
use crate::plugins::mail::NoticeEvent;

/// How many an account may have, those that wait for their first code included.
const MOST: u64 = 10;
/// How long an enrolment waits for its first code.
pub const ENROLMENT: Duration = Duration::from_secs(3600);
/// Wrong codes in a row that end an authenticator (NIST SP 800-63B-4, 3.2.2).
const FAILURES: i32 = 100;

/// An authenticator that waits for its first code.
pub struct Enrolled {
    pub row: totp_authenticator::Model,
    pub enrolment: Enrolment,
    pub expires_at: Timestamp,
}

/// An authenticator that counts from now on.
pub struct Confirmed {
    pub row: totp_authenticator::Model,
    /// Shown this once, when the account had none.
    pub recovery_codes: Option<Vec<String>>,
    /// The caller's session at its new level.
    pub signed_in: SignedIn,
}

impl Services {
    /// Makes a secret for an app. It counts for nothing until [`Self::confirm_totp`].
    pub async fn enrol_totp(
        &self,
        caller: &Caller,
        name: String,
        origin: &Origin,
    ) -> Result<Enrolled, Error> {
        let account = caller.state.account;
        let secret = TotpSecret::generate(self.sources.entropy);
        let enrolment = secret.enrolment(&self.config.product_name, &caller.state.email);
        let now = self.sources.now();
        let id: TotpAuthenticatorId = self.sources.id();
        let row = totp_authenticator::Model {
            id,
            account_id: account,
            name,
            sealed: self.factors.seal(&context(account, id), secret.bytes()),
            created_at: now,
            confirmed_at: None,
            last_used_at: None,
            last_step: 0,
            failures: 0,
            disabled_at: None,
        };
        let record = self.audit(
            Event::new(Action::TotpEnrolled, Actor::Account(origin))
                .account(account)
                .session(caller.state.session, caller.claims.aal),
        );
        let (caller, inserted) = (caller.clone(), row.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    caller.lock(transaction).await?;
                    totp_authenticator::Entity::delete_many()
                        .filter(totp_authenticator::Column::AccountId.eq(account))
                        .filter(totp_authenticator::Column::ConfirmedAt.is_null())
                        .filter(totp_authenticator::Column::CreatedAt.lt(now - ENROLMENT))
                        .exec(transaction)
                        .await?;
                    let count = totp_authenticator::Entity::find()
                        .filter(totp_authenticator::Column::AccountId.eq(account))
                        .count(transaction)
                        .await?;
                    if count >= MOST {
                        return Err(Error::LimitReached);
                    }
                    let row = inserted.into_active_model().reset_all();
                    totp_authenticator::Entity::insert(row).exec_without_returning(transaction).await?;
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        Ok(Enrolled { row, enrolment, expires_at: now + ENROLMENT })
    }

    /// The first code shows that the app has the secret. The caller has thereby proved two factors.
    pub async fn confirm_totp(
        &self,
        caller: &Caller,
        id: TotpAuthenticatorId,
        code: &str,
        origin: &Origin,
    ) -> Result<Confirmed, Error> {
        let (session, aal) = (caller.state.session, caller.claims.aal);
        let rate = self.config.limits.mfa_per_account;
        self.admit(vec![Limit::subject("mfa", &caller.state.account.to_string(), rate)]).await?;
        let code = TotpCode::parse(code);
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        let answer: Result<Confirmed, Error> = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let now = services.sources.now();
                    let mut account = caller.lock(transaction).await?;
                    let event = |action| {
                        Event::new(action, Actor::Account(&origin)).account(account.id).session(session, aal)
                    };
                    let waiting = totp_authenticator::Entity::find_by_id(id)
                        .filter(totp_authenticator::Column::AccountId.eq(account.id))
                        .filter(totp_authenticator::Column::ConfirmedAt.is_null())
                        .filter(totp_authenticator::Column::CreatedAt.gt(now - ENROLMENT))
                        .one(transaction)
                        .await?;
                    let mut row = waiting.ok_or(Error::NotFound)?;
                    let secret = services.secret(&row)?;
                    let step = code.and_then(|code| secret.matching_step(&code, now, row.last_step));
                    let Some(step) = step else {
                        services.audit(event(Action::TotpRefused)).write(transaction).await?;
                        return Ok(Err(Error::WrongCode));
                    };
                    row.confirmed_at = Some(now);
                    row.last_used_at = Some(now);
                    row.last_step = step;
                    take_step(transaction, &row, now).await?;
                    services.audit(event(Action::TotpAdded)).write(transaction).await?;
                    let first = account.second_factor_at.is_none();
                    settle(transaction, account.id, now).await?;
                    account.second_factor_at = account.second_factor_at.or(Some(now));
                    let recovery_codes = if first {
                        let codes = services.new_recovery_codes(transaction, account.id).await?;
                        services.audit(event(Action::RecoveryCodesReplaced)).write(transaction).await?;
                        Some(codes)
                    } else {
                        None
                    };
                    let added = NoticeEvent::SecondFactorAdded { name: row.name.clone() };
                    services.notice(&account, added, &origin)?.write(transaction).await?;
                    let signed_in =
                        services.raise(transaction, session, &account, Means::Totp, &origin).await?;
                    Ok(Ok(Confirmed { row, recovery_codes, signed_in }))
                })
            })
            .await?;
        self.outbox.wake();
        answer
    }

    /// Renames an authenticator, or an enrolment that waits.
    pub async fn rename_totp(
        &self,
        caller: &Caller,
        id: TotpAuthenticatorId,
        name: String,
        origin: &Origin,
    ) -> Result<totp_authenticator::Model, Error> {
        let account = caller.state.account;
        let record = self.audit(
            Event::new(Action::TotpRenamed, Actor::Account(origin))
                .account(account)
                .session(caller.state.session, caller.claims.aal),
        );
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let renamed = totp_authenticator::Entity::update_many()
                        .col_expr(totp_authenticator::Column::Name, Expr::value(name))
                        .filter(totp_authenticator::Column::Id.eq(id))
                        .filter(totp_authenticator::Column::AccountId.eq(account))
                        .exec_with_returning(transaction)
                        .await?;
                    let row = renamed.into_iter().next().ok_or(Error::NotFound)?;
                    record.write(transaction).await?;
                    Ok(row)
                })
            })
            .await
    }

    /// Removes an authenticator, or an enrolment that waits.
    pub async fn remove_totp(
        &self,
        caller: &Caller,
        id: TotpAuthenticatorId,
        origin: &Origin,
    ) -> Result<(), Error> {
        let record = self.audit(
            Event::new(Action::TotpRemoved, Actor::Account(origin))
                .account(caller.state.account)
                .session(caller.state.session, caller.claims.aal),
        );
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    let removed = totp_authenticator::Entity::delete_many()
                        .filter(totp_authenticator::Column::Id.eq(id))
                        .filter(totp_authenticator::Column::AccountId.eq(account.id))
                        .exec_with_returning(transaction)
                        .await?;
                    let row = removed.into_iter().next().ok_or(Error::NotFound)?;
                    settle(transaction, account.id, services.sources.now()).await?;
                    record.write(transaction).await?;
                    if row.confirmed_at.is_some() {
                        let removed = NoticeEvent::SecondFactorRemoved { name: row.name };
                        services.notice(&account, removed, &origin)?.write(transaction).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    /// Uses a code up, whichever of the account's authenticators shows it.
    pub(super) async fn redeem_totp(
        &self,
        db: &DatabaseTransaction,
        account: AccountId,
        code: &TotpCode,
    ) -> Result<Redeemed, Error> {
        let now = self.sources.now();
        let of_account = || {
            totp_authenticator::Column::AccountId
                .eq(account)
                .and(totp_authenticator::Column::ConfirmedAt.is_not_null())
                .and(totp_authenticator::Column::DisabledAt.is_null())
        };
        let rows = totp_authenticator::Entity::find()
            .filter(of_account())
            .order_by_asc(totp_authenticator::Column::Id)
            .all(db)
            .await?;
        let failures = totp_authenticator::Column::Failures;
        for mut row in rows.iter().cloned() {
            let Some(step) = self.secret(&row)?.matching_step(code, now, row.last_step) else { continue };
            row.last_step = step;
            row.last_used_at = Some(now);
            take_step(db, &row, now).await?;
            let cleared = totp_authenticator::Entity::update_many().col_expr(failures, Expr::value(0));
            cleared.filter(of_account()).filter(failures.gt(0)).exec(db).await?;
            return Ok(Redeemed::Good);
        }
        let one_more = Expr::col(failures).add(1);
        let disabled_at = Expr::case(one_more.clone().gte(FAILURES), Expr::value(now)).into();
        totp_authenticator::Entity::update_many()
            .col_expr(failures, one_more)
            .col_expr(totp_authenticator::Column::DisabledAt, disabled_at)
            .filter(of_account())
            .exec(db)
            .await?;
        let disabled: Vec<_> = rows.into_iter().filter(|row| row.failures + 1 >= FAILURES).collect();
        for _ in &disabled {
            let event = Event::new(Action::FactorDisabled, Actor::Server).account(account);
            self.audit(event).write(db).await?;
        }
        Ok(Redeemed::Wrong { disabled: disabled.into_iter().map(|row| row.name).collect() })
    }

    /// The secret under the current root key.
    pub(in crate::services) fn rewrap_totp(
        &self,
        account: AccountId,
        id: TotpAuthenticatorId,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Unopened> {
        self.factors.rewrap(&context(account, id), sealed)
    }

    fn secret(&self, row: &totp_authenticator::Model) -> Result<TotpSecret, Error> {
        let opened = self.factors.open(&context(row.account_id, row.id), &row.sealed);
        let bytes: Zeroizing<Vec<u8>> =
            opened.map_err(|error| Error::Internal(format!("authenticator {}: {error}", row.id)))?;
        Ok(TotpSecret::from_bytes(bytes))
    }
}

/// Writes down that the step of the row has been used. The account is locked, so that nobody else is at it.
async fn take_step(
    db: &impl ConnectionTrait,
    row: &totp_authenticator::Model,
    now: Timestamp,
) -> Result<(), DbErr> {
    totp_authenticator::Entity::update_many()
        .col_expr(totp_authenticator::Column::LastStep, Expr::value(row.last_step))
        .col_expr(totp_authenticator::Column::LastUsedAt, Expr::value(now))
        .col_expr(totp_authenticator::Column::ConfirmedAt, Expr::value(row.confirmed_at))
        .filter(totp_authenticator::Column::Id.eq(row.id))
        .exec(db)
        .await
        .map(drop)
}

/// What a secret is bound to: in another row, or of another account, it does not open.
fn context(account: AccountId, id: TotpAuthenticatorId) -> Vec<u8> {
    format!("{account}/{id}/secret").into_bytes()
}
