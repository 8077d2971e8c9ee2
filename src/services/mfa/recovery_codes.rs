//! Recovery codes: a set of ten, shown once, hashed at rest. Using one is a recovery: whoever needs it has lost something.

use entities::{AccountId, account, recovery_code};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter,
};

use super::super::audit::{Action, Actor, Event};
use super::super::sessions::Caller;
use super::super::{Error, Origin, Services};
use super::{Redeemed, begin_recovery};
use crate::crypto::recovery_code::{RecoveryCode, SET};
use crate::plugins::mail::NoticeEvent;

impl Services {
    /// Replaces the caller's set by a new one, which is shown this once.
    pub async fn replace_recovery_codes(
        &self,
        caller: &Caller,
        origin: &Origin,
    ) -> Result<Vec<String>, Error> {
        let id = caller.state.account;
        let record = self.audit(
            Event::new(Action::RecoveryCodesReplaced, Actor::Account(origin))
                .account(id)
                .session(caller.state.session, caller.claims.aal),
        );
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        let codes = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    if account.second_factor_at.is_none() {
                        return Err(Error::NoSecondFactor);
                    }
                    let codes = services.new_recovery_codes(transaction, id).await?;
                    record.write(transaction).await?;
                    services
                        .notice(&account, NoticeEvent::RecoveryCodesReplaced, &origin)?
                        .write(transaction)
                        .await?;
                    Ok(codes)
                })
            })
            .await?;
        self.outbox.wake();
        Ok(codes)
    }

    /// A new set in place of what there is.
    pub(super) async fn new_recovery_codes(
        &self,
        db: &DatabaseTransaction,
        account: AccountId,
    ) -> Result<Vec<String>, DbErr> {
        let now = self.sources.now();
        let codes: Vec<RecoveryCode> =
            (0..SET).map(|_| RecoveryCode::generate(self.sources.entropy)).collect();
        let rows = codes.iter().map(|code| {
            recovery_code::Model {
                id: self.sources.id(),
                account_id: account,
                code_hash: code.hash(account),
                created_at: now,
                used_at: None,
            }
            .into_active_model()
            .reset_all()
        });
        recovery_code::Entity::delete_many()
            .filter(recovery_code::Column::AccountId.eq(account))
            .exec(db)
            .await?;
        recovery_code::Entity::insert_many(rows).exec_without_returning(db).await?;
        Ok(codes.iter().map(RecoveryCode::expose).collect())
    }

    /// Uses a code up. From then on the account recovers.
    pub(super) async fn redeem_recovery_code(
        &self,
        db: &DatabaseTransaction,
        account: &mut account::Model,
        code: &RecoveryCode,
    ) -> Result<Redeemed, DbErr> {
        let used = recovery_code::Entity::update_many()
            .col_expr(recovery_code::Column::UsedAt, Expr::value(self.sources.now()))
            .filter(recovery_code::Column::AccountId.eq(account.id))
            .filter(recovery_code::Column::CodeHash.eq(code.hash(account.id)))
            .filter(recovery_code::Column::UsedAt.is_null())
            .exec(db)
            .await?;
        if used.rows_affected == 0 {
            return Ok(Redeemed::Wrong { disabled: vec![] });
        }
        let until = self.recovery_end();
        begin_recovery(db, account.id, until).await?;
        account.recovering_until = Some(until);
        let left = recovery_code::Entity::find()
            .filter(recovery_code::Column::AccountId.eq(account.id))
            .filter(recovery_code::Column::UsedAt.is_null())
            .count(db)
            .await?;
        Ok(Redeemed::GoodOf { left: u32::try_from(left).unwrap_or(u32::MAX) })
    }
}
