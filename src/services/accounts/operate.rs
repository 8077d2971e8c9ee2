//! What an operator may do to an account.

use entities::session::RevocationReason;
use entities::{AccountId, account};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::audit::{Action, Actor, Event};
use super::super::sessions::{Which, revoke};
use super::super::{Error, Services};

/// Names one account.
#[derive(Debug, Clone)]
pub enum Selector {
    Id(AccountId),
    EmailKey(String),
}

impl Services {
    pub async fn find_account(&self, selector: &Selector) -> Result<Option<account::Model>, Error> {
        let query = match selector {
            Selector::Id(id) => account::Entity::find_by_id(*id),
            Selector::EmailKey(key) => account::Entity::find().filter(account::Column::EmailKey.eq(key)),
        };
        Ok(query.one(self.db.reader()).await?)
    }

    /// Accounts in order of creation, those after `after`.
    pub async fn list_accounts(
        &self,
        after: Option<AccountId>,
        limit: u64,
    ) -> Result<Vec<account::Model>, Error> {
        let mut query = account::Entity::find().order_by_asc(account::Column::Id).limit(limit);
        if let Some(after) = after {
            query = query.filter(account::Column::Id.gt(after));
        }
        Ok(query.all(self.db.reader()).await?)
    }

    /// Disables an account and ends its sessions, or enables it. Answers whether that changed anything.
    pub async fn set_disabled(&self, id: AccountId, disabled: bool) -> Result<bool, Error> {
        let now = self.sources.now();
        let action = if disabled { Action::AccountDisabled } else { Action::AccountEnabled };
        let record = self.audit(Event::new(action, Actor::Operator).account(id));
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let current = account::Column::DisabledAt;
                    let changed = account::Entity::update_many()
                        .col_expr(current, Expr::value(disabled.then_some(now)))
                        .col_expr(account::Column::UpdatedAt, Expr::value(now))
                        .filter(account::Column::Id.eq(id))
                        .filter(if disabled { current.is_null() } else { current.is_not_null() })
                        .exec(transaction)
                        .await?;
                    if changed.rows_affected == 0 {
                        return Ok(false);
                    }
                    if disabled {
                        revoke(transaction, Which::AllOf(id), RevocationReason::AccountDisabled, now).await?;
                    }
                    record.write(transaction).await?;
                    Ok(true)
                })
            })
            .await
    }
}
