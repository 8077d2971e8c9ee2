//! What an operator may do to an account, at the command line or over HTTP.

use entities::account::{self, Role};
use entities::session::RevocationReason;
use entities::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, LockType, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::json;

use super::super::audit::{Action, Actor, Event, Record};
use super::super::mfa::lock;
use super::super::sessions::{Caller, Which, live, revoke, revoke_where};
use super::super::{Error, Origin, Services};
use crate::plugins::mail::NoticeEvent;

/// Names one account.
#[derive(Debug, Clone)]
pub enum Selector {
    Id(AccountId),
    EmailKey(String),
}

/// What can be done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Nobody signs in to it; its sessions end.
    Disable,
    Enable,
    EndSessions,
    SetRole(Role),
}

impl Measure {
    fn action(self) -> Action {
        match self {
            Self::Disable => Action::AccountDisabled,
            Self::Enable => Action::AccountEnabled,
            Self::EndSessions => Action::SessionEnded,
            Self::SetRole(_) => Action::RoleChanged,
        }
    }

    /// What its owner is told by mail.
    fn notice(self) -> Option<NoticeEvent> {
        match self {
            Self::Disable => Some(NoticeEvent::AccountDisabled),
            Self::Enable => Some(NoticeEvent::AccountEnabled),
            Self::EndSessions | Self::SetRole(_) => None,
        }
    }

    /// Whether an operator is none any more after it.
    fn takes_an_operator(self) -> bool {
        match self {
            Self::Disable => true,
            Self::SetRole(role) => role < Role::Operator,
            Self::Enable | Self::EndSessions => false,
        }
    }
}

/// Somebody signed in who takes a measure, from where, and why.
#[derive(Debug, Clone)]
struct Author {
    operator: Caller,
    origin: Origin,
    reason: Option<String>,
}

impl Services {
    pub async fn find_account(&self, selector: &Selector) -> Result<Option<account::Model>, Error> {
        let query = match selector {
            Selector::Id(id) => account::Entity::find_by_id(*id),
            Selector::EmailKey(key) => account::Entity::find().filter(account::Column::EmailKey.eq(key)),
        };
        Ok(query.one(self.db.reader()).await?)
    }

    /// Disables an account and ends its sessions, or enables it, at the command line. Answers whether that changed anything.
    pub async fn set_disabled(&self, id: AccountId, disabled: bool) -> Result<bool, Error> {
        let measure = if disabled { Measure::Disable } else { Measure::Enable };
        Ok(self.carry_out(measure, id, None).await? > 0)
    }

    /// Gives an account a role, at the command line. Answers whether that changed anything.
    pub async fn set_role(&self, id: AccountId, role: Role) -> Result<bool, Error> {
        Ok(self.carry_out(Measure::SetRole(role), id, None).await? > 0)
    }

    /// Takes a measure against somebody else's account. Answers how much it changed: the number of sessions for those, else 0
    /// or 1.
    pub async fn operate(
        &self,
        operator: &Caller,
        measure: Measure,
        id: AccountId,
        reason: Option<String>,
        origin: &Origin,
    ) -> Result<u64, Error> {
        if operator.state.account == id {
            return Err(Error::OwnCase);
        }
        let author = Author { operator: operator.clone(), origin: origin.clone(), reason };
        self.carry_out(measure, id, Some(author)).await
    }

    async fn carry_out(&self, measure: Measure, id: AccountId, author: Option<Author>) -> Result<u64, Error> {
        let services = self.clone();
        let changed = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move { services.change(transaction, measure, id, author.as_ref()).await })
            })
            .await?;
        self.outbox.wake();
        Ok(changed)
    }

    async fn change(
        &self,
        db: &DatabaseTransaction,
        measure: Measure,
        id: AccountId,
        author: Option<&Author>,
    ) -> Result<u64, Error> {
        let now = self.sources.now();
        // Of two at once, the second finds what the first has left: one operator stays, and who is none any more acts no more.
        let operators = lock_operators(db).await?;
        if measure.takes_an_operator() && operators == [id] {
            return Err(Error::LastOperator);
        }
        if author.is_some_and(|author| !operators.contains(&author.operator.state.account)) {
            return Err(Error::InsufficientRole(Role::Operator));
        }
        let account = lock(db, id).await?.ok_or(Error::NotFound)?;
        let mut detail = json!({});
        let changed = match measure {
            Measure::Disable if account.disabled_at.is_none() => {
                set(db, id, account::Column::DisabledAt, Expr::value(now), now).await?;
                revoke(db, Which::AllOf(id), RevocationReason::AccountDisabled, now).await?;
                1
            }
            Measure::Enable if account.disabled_at.is_some() => {
                set(db, id, account::Column::DisabledAt, Expr::value(None::<Timestamp>), now).await?;
                1
            }
            Measure::SetRole(role) if account.role != role => {
                set(db, id, account::Column::Role, Expr::value(role), now).await?;
                detail = json!({ "from": account.role.name(), "to": role.name() });
                1
            }
            Measure::EndSessions => {
                let reason = RevocationReason::EndedByOperator;
                let ended = revoke_where(db, live(id, now), reason, now).await?;
                detail = json!({ "count": ended, "reason": reason.name() });
                ended
            }
            Measure::Disable | Measure::Enable | Measure::SetRole(_) => 0,
        };
        if changed == 0 {
            return Ok(0);
        }
        self.record_of(measure, id, author, detail).write(db).await?;
        // Nobody has shown that an address is theirs which was never confirmed.
        if let Some(event) = measure.notice()
            && (account.email_verified_at.is_some() || !self.config.require_verified_email)
        {
            self.notice_by_operator(&account, event)?.write(db).await?;
        }
        Ok(changed)
    }

    fn record_of(
        &self,
        measure: Measure,
        id: AccountId,
        author: Option<&Author>,
        mut detail: serde_json::Value,
    ) -> Record {
        let Some(Author { operator, origin, reason }) = author else {
            let detail = Some(detail).filter(|detail| *detail != json!({}));
            return self.audit(Event { detail, ..Event::new(measure.action(), Actor::Operator).account(id) });
        };
        detail["by"] = operator.state.account.to_string().into();
        if let Some(reason) = reason {
            detail["reason"] = reason.as_str().into();
        }
        self.audit(
            Event::new(measure.action(), Actor::Staff(origin))
                .account(id)
                .session(operator.state.session, operator.claims.aal)
                .detail(detail),
        )
    }
}

/// The operators who can act, locked, always in the same order.
async fn lock_operators(db: &DatabaseTransaction) -> Result<Vec<AccountId>, DbErr> {
    let mut query = account::Entity::find()
        .select_only()
        .column(account::Column::Id)
        .filter(account::Column::Role.eq(Role::Operator))
        // Said in so many words, or the index of the few is not used.
        .filter(Expr::cust("role <> 'user'"))
        .filter(account::Column::DisabledAt.is_null())
        .filter(account::Column::DeletionDueAt.is_null())
        .order_by_asc(account::Column::Id);
    if db.get_database_backend() == DbBackend::Postgres {
        query = query.lock(LockType::NoKeyUpdate);
    }
    query.into_tuple().all(db).await
}

async fn set(
    db: &DatabaseTransaction,
    id: AccountId,
    column: account::Column,
    value: SimpleExpr,
    now: Timestamp,
) -> Result<(), DbErr> {
    account::Entity::update_many()
        .col_expr(column, value)
        .col_expr(account::Column::UpdatedAt, Expr::value(now))
        .filter(account::Column::Id.eq(id))
        .exec(db)
        .await
        .map(drop)
}
