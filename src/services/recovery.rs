//! What every way back into an account has in common, and the last one: an operator removes all second factors.

use entities::session::RevocationReason;
use entities::{AccountId, passkey, totp_authenticator, webauthn_challenge};
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};

use super::audit::{Action, Actor, Event};
use super::links::supersede;
use super::mfa::{begin_recovery, lock, settle};
use super::sessions::{Which, revoke};
use super::{Error, Services};
use crate::plugins::mail::NoticeEvent;

impl Services {
    /// Shuts out whoever may be inside, and holds back what the account is good for until its owner had time to notice. The
    /// account is locked.
    pub(super) async fn recover(&self, db: &DatabaseTransaction, account: AccountId) -> Result<(), DbErr> {
        let now = self.sources.now();
        revoke(db, Which::AllOf(account), RevocationReason::AccountRecovered, now).await?;
        supersede(db, account, now).await?;
        begin_recovery(db, account, self.recovery_end()).await
    }

    /// Removes all second factors, for a person who has lost every one; the password stays. Answers whether there were any.
    pub async fn reset_factors(&self, id: AccountId) -> Result<bool, Error> {
        let now = self.sources.now();
        let record = self.audit(Event::new(Action::FactorsReset, Actor::Operator).account(id));
        let services = self.clone();
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = lock(transaction, id).await?;
                    let Some(account) = account.filter(|account| account.second_factor_at.is_some()) else {
                        return Ok(false);
                    };
                    totp_authenticator::Entity::delete_many()
                        .filter(totp_authenticator::Column::AccountId.eq(id))
                        .exec(transaction)
                        .await?;
                    passkey::Entity::delete_many()
                        .filter(passkey::Column::AccountId.eq(id))
                        .exec(transaction)
                        .await?;
                    webauthn_challenge::Entity::delete_many()
                        .filter(webauthn_challenge::Column::AccountId.eq(id))
                        .exec(transaction)
                        .await?;
                    // Takes along the codes, devices and tickets.
                    settle(transaction, id, now).await?;
                    services.recover(transaction, id).await?;
                    record.write(transaction).await?;
                    let notice = services.notice_by_operator(&account, NoticeEvent::FactorsReset)?;
                    notice.write(transaction).await?;
                    Ok(true)
                })
            })
            .await
    }
}
