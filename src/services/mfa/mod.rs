//! Second factors: what an account has of them, and how they are added, used and lost.

pub mod devices;
mod factors;
mod passkeys;
mod recovery_codes;
mod sign_in;
mod step_up;
mod tickets;
mod totp;

use entities::{AccountId, Timestamp, account};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter,
    QuerySelect, Statement, Value,
};

use super::outbox::Message;
use super::{Error, Origin, Services};
use crate::crypto::recovery_code::RecoveryCode;
use crate::crypto::totp::TotpCode;
use crate::plugins::mail::NoticeEvent;

pub use factors::Factors;
pub use passkeys::{Assertion, LIFETIME as CHALLENGE, Offer, Registered, relying_party};
pub use step_up::StepUp;
pub use tickets::Challenge;
pub use totp::{Confirmed, Enrolled};

/// What a person types as a second factor; nothing in it when it can't be one, which is a wrong one like others.
#[derive(Clone)]
pub enum Code {
    Totp(Option<TotpCode>),
    Recovery(Option<RecoveryCode>),
}

impl Code {
    #[must_use]
    pub fn totp(typed: &str) -> Self {
        Self::Totp(TotpCode::parse(typed))
    }

    #[must_use]
    pub fn recovery(typed: &str) -> Self {
        Self::Recovery(RecoveryCode::parse(typed))
    }
}

/// A way to give a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Totp,
    Passkey,
    RecoveryCode,
}

/// Reads an account and keeps others from changing it, its factors, or who is signed in, until the transaction ends.
/// Always the first lock, so that no two transactions wait for each other.
pub(super) async fn lock(db: &DatabaseTransaction, id: AccountId) -> Result<Option<account::Model>, DbErr> {
    let mut query = account::Entity::find_by_id(id);
    if db.get_database_backend() == DbBackend::Postgres {
        query = query.lock(LockType::NoKeyUpdate);
    }
    query.one(db).await
}

/// Writes down whether the account has a second factor, after a change of what it has. With the last one go the codes and
/// devices that stand in for it.
pub(super) async fn settle(
    db: &DatabaseTransaction,
    account: AccountId,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let run = async |sql: &str, values: Vec<Value>| {
        db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await
    };
    let rows = run(
        "UPDATE accounts SET updated_at = $2, second_factor_at = CASE
           WHEN EXISTS (SELECT 1 FROM totp_authenticators t WHERE t.account_id = $1 AND t.confirmed_at IS NOT NULL)
             OR EXISTS (SELECT 1 FROM passkeys p WHERE p.account_id = $1)
           THEN COALESCE(second_factor_at, $2) END
         WHERE id = $1 RETURNING second_factor_at",
        vec![account.into(), now.into()],
    )
    .await?;
    let since =
        rows.first().map(|row| row.try_get::<Option<Timestamp>>("", "second_factor_at")).transpose()?;
    let has_one = since.flatten().is_some();
    if !has_one {
        for table in ["recovery_codes", "remembered_devices", "mfa_tickets"] {
            run(&format!("DELETE FROM {table} WHERE account_id = $1"), vec![account.into()]).await?;
        }
    }
    Ok(has_one)
}

/// After a recovery: until then the account counts as aal 1 and its secrets stay sealed, and no device is remembered.
pub(super) async fn begin_recovery(
    db: &DatabaseTransaction,
    account: AccountId,
    until: Timestamp,
) -> Result<(), DbErr> {
    account::Entity::update_many()
        .col_expr(account::Column::RecoveringUntil, Expr::value(until))
        .filter(account::Column::Id.eq(account))
        .exec(db)
        .await?;
    devices::forget_all(db, account).await
}

/// What redeeming a code came to.
pub(super) enum Redeemed {
    Good,
    /// Good, and the last but so many.
    GoodOf {
        left: u32,
    },
    /// Wrong; these authenticators have had too many wrong codes with it.
    Wrong {
        disabled: Vec<String>,
    },
}

impl Services {
    /// Uses a code up, inside a transaction that has locked the account. What the code changes of the account is in
    /// `account` as well afterwards.
    pub(super) async fn redeem(
        &self,
        db: &DatabaseTransaction,
        account: &mut account::Model,
        code: &Code,
        origin: &Origin,
    ) -> Result<Result<(), Error>, Error> {
        let redeemed = match code {
            Code::Totp(Some(code)) => self.redeem_totp(db, account.id, code).await?,
            Code::Recovery(Some(code)) => self.redeem_recovery_code(db, account, code).await?,
            Code::Totp(None) | Code::Recovery(None) => Redeemed::Wrong { disabled: vec![] },
        };
        match redeemed {
            Redeemed::Good => Ok(Ok(())),
            Redeemed::GoodOf { left } => {
                self.notice(account, NoticeEvent::RecoveryCodeUsed { left }, origin)?.write(db).await?;
                Ok(Ok(()))
            }
            Redeemed::Wrong { disabled } => {
                for mail in self.disabled_notices(account, disabled, origin)? {
                    mail.write(db).await?;
                }
                Ok(Err(Error::WrongCode))
            }
        }
    }

    fn disabled_notices(
        &self,
        account: &account::Model,
        names: Vec<String>,
        origin: &Origin,
    ) -> Result<Vec<Message>, Error> {
        let notice = |name| self.notice(account, NoticeEvent::SecondFactorDisabled { name }, origin);
        names.into_iter().map(notice).collect()
    }

    /// Until when a recovery that happens now lasts.
    pub(super) fn recovery_end(&self) -> Timestamp {
        self.sources.now() + std::time::Duration::from_secs(self.config.assurance.recovery_seconds)
    }
}
