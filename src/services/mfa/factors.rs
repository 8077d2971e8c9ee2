//! What an account has of second factors.

use entities::{AccountId, passkey, recovery_code, totp_authenticator};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::sessions::Caller;
use super::super::{Error, Services};
use super::Method;

/// More than an account can have.
const BOUND: u64 = 100;

/// Everything that proves a second factor, and how much is left of it.
#[derive(Debug, Clone)]
pub struct Factors {
    pub totp: Vec<totp_authenticator::Model>,
    pub passkeys: Vec<passkey::Model>,
    pub recovery_codes_left: u64,
}

impl Factors {
    /// Ways to prove a second factor now, the best one first.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        let mut methods = vec![];
        if !self.passkeys.is_empty() {
            methods.push(Method::Passkey);
        }
        if self.totp.iter().any(|totp| totp.disabled_at.is_none()) {
            methods.push(Method::Totp);
        }
        if self.recovery_codes_left > 0 {
            methods.push(Method::RecoveryCode);
        }
        methods
    }
}

impl Services {
    /// The caller's second factors.
    pub async fn factors(&self, caller: &Caller) -> Result<Factors, Error> {
        self.factors_of(caller.state.account).await
    }

    pub(in super::super) async fn factors_of(&self, account: AccountId) -> Result<Factors, Error> {
        let db = self.db.reader();
        let totp = totp_authenticator::Entity::find()
            .filter(totp_authenticator::Column::AccountId.eq(account))
            .filter(totp_authenticator::Column::ConfirmedAt.is_not_null())
            .order_by_asc(totp_authenticator::Column::Id)
            .limit(BOUND)
            .all(db)
            .await?;
        let passkeys = passkey::Entity::find()
            .filter(passkey::Column::AccountId.eq(account))
            .order_by_asc(passkey::Column::Id)
            .limit(BOUND)
            .all(db)
            .await?;
        let recovery_codes_left = recovery_code::Entity::find()
            .filter(recovery_code::Column::AccountId.eq(account))
            .filter(recovery_code::Column::UsedAt.is_null())
            .count(db)
            .await?;
        Ok(Factors { totp, passkeys, recovery_codes_left })
    }
}
