//! Finding accounts, and reading what happened to one: for the command line and for operators.

use entities::account::{Column, Entity, Model, Role};
use entities::{AccountId, AuditEventId, api_key, audit_event, session};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;

use super::super::audit::{Action, Actor, Event};
use super::super::page::cut;
use super::super::sessions::{Caller, live};
use super::super::{Error, Origin, Services};

/// Whether somebody can sign in to an account, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    Active,
    /// By an operator.
    Disabled,
    /// The address was never confirmed.
    Unverified,
    /// Its owner has it deleted.
    Deleting,
}

impl AccountState {
    #[must_use]
    pub fn of(account: &Model) -> Self {
        match account {
            Model { deletion_due_at: Some(_), .. } => Self::Deleting,
            Model { disabled_at: Some(_), .. } => Self::Disabled,
            Model { email_verified_at: None, .. } => Self::Unverified,
            _ => Self::Active,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Unverified => "unverified",
            Self::Deleting => "deleting",
        }
    }

    /// The same as [`AccountState::of`], for the database.
    fn condition(self) -> Condition {
        let (due, disabled, verified) = (Column::DeletionDueAt, Column::DisabledAt, Column::EmailVerifiedAt);
        let staying = Condition::all().add(due.is_null());
        match self {
            Self::Deleting => Condition::all().add(due.is_not_null()),
            Self::Disabled => staying.add(disabled.is_not_null()),
            Self::Unverified => staying.add(disabled.is_null()).add(verified.is_null()),
            Self::Active => staying.add(disabled.is_null()).add(verified.is_not_null()),
        }
    }
}

/// Which accounts to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// How the canonical address begins.
    pub email: Option<String>,
    pub role: Option<Role>,
    pub state: Option<AccountState>,
}

/// A piece of the list, in order of creation.
#[derive(Debug, Clone)]
pub struct Page {
    pub accounts: Vec<Model>,
    /// Where to go on; nothing at the end.
    pub after: Option<AccountId>,
}

/// An account, and how much hangs on it.
#[derive(Debug, Clone)]
pub struct Overview {
    pub account: Model,
    /// Those that have not ended.
    pub sessions: u64,
    pub api_keys: u64,
}

/// A piece of the trail of an account, the newest first.
#[derive(Debug, Clone)]
pub struct Trail {
    pub events: Vec<audit_event::Model>,
    /// Where to go on; nothing at the end.
    pub before: Option<AuditEventId>,
}

impl Services {
    /// Accounts in order of creation, those after `after`: whoever reads on meets all that are there.
    pub async fn list_accounts(
        &self,
        filter: &Filter,
        after: Option<AccountId>,
        limit: u64,
    ) -> Result<Page, Error> {
        let mut condition = Condition::all();
        if let Some(start) = &filter.email {
            condition = condition.add(begins_with(self.db.engine(), start));
        }
        if let Some(role) = filter.role {
            condition = condition.add(Column::Role.eq(role));
            // Said in so many words, or the index of the few is not used.
            if role > Role::User {
                condition = condition.add(Expr::cust("role <> 'user'"));
            }
        }
        if let Some(state) = filter.state {
            condition = condition.add(state.condition());
        }
        if let Some(after) = after {
            condition = condition.add(Column::Id.gt(after));
        }
        let mut accounts = Entity::find()
            .filter(condition)
            .order_by_asc(Column::Id)
            .limit(limit + 1)
            .all(self.db.reader())
            .await?;
        let more = cut(&mut accounts, limit);
        let after = accounts.last().filter(|_| more).map(|account| account.id);
        Ok(Page { accounts, after })
    }

    pub async fn account_overview(&self, id: AccountId) -> Result<Overview, Error> {
        let db = self.db.reader();
        let account = Entity::find_by_id(id).one(db).await?.ok_or(Error::NotFound)?;
        let sessions = session::Entity::find().filter(live(id, self.sources.now())).count(db).await?;
        let api_keys = api_key::Entity::find().filter(api_key::Column::AccountId.eq(id)).count(db).await?;
        Ok(Overview { account, sessions, api_keys })
    }

    /// What happened to an account, also to one that is gone. That somebody has read it is an event as well.
    pub async fn read_trail(
        &self,
        operator: &Caller,
        id: AccountId,
        before: Option<AuditEventId>,
        limit: usize,
        origin: &Origin,
    ) -> Result<Trail, Error> {
        let mut events = self.events(id, before, limit + 1).await?;
        if events.is_empty() && Entity::find_by_id(id).one(self.db.reader()).await?.is_none() {
            return Err(Error::NotFound);
        }
        let read = Event::new(Action::AuditRead, Actor::Staff(origin))
            .account(id)
            .session(operator.state.session, operator.claims.aal)
            .detail(json!({ "by": operator.state.account.to_string() }));
        self.write_audit(read).await?;
        let more = events.len() > limit;
        events.truncate(limit);
        let before = events.last().filter(|_| more).map(|event| event.id);
        Ok(Trail { events, before })
    }
}

/// A range in the order of bytes, which an index of each engine has. No address has the last character there is.
fn begins_with(engine: DbBackend, start: &str) -> Condition {
    let key = || match engine {
        DbBackend::Postgres => Expr::cust("email_key COLLATE \"C\""),
        _ => Expr::cust("email_key"),
    };
    Condition::all().add(key().gte(start)).add(key().lt(format!("{start}\u{10FFFF}")))
}
