//! What somebody has in the vault, without the secrets.

use entities::{AccountId, ApiKeyId, Timestamp, api_key};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, Condition, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::page::cut;
use super::super::{Error, Services};

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub provider: Option<String>,
    pub environment: Option<String>,
    pub status: Option<String>,
    pub label: Option<String>,
}

/// A place in the list: behind the record that was stored then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub at: Timestamp,
    pub id: ApiKeyId,
}

/// A piece of the list, the newest first.
#[derive(Debug, Clone)]
pub struct Page {
    pub api_keys: Vec<api_key::Model>,
    /// Where to go on; nothing at the end.
    pub before: Option<Place>,
}

/// What a key past its end is called, whatever its last test said.
pub const EXPIRED: &str = "expired";

impl Services {
    pub async fn list_api_keys(
        &self,
        owner: AccountId,
        filter: Filter,
        before: Option<Place>,
        limit: u64,
    ) -> Result<Page, Error> {
        use api_key::Column;
        let now = self.sources.now();
        let mut condition = Condition::all().add(Column::AccountId.eq(owner));
        if let Some(provider) = filter.provider {
            condition = condition.add(Column::Provider.eq(provider));
        }
        if let Some(environment) = filter.environment {
            condition = condition.add(Column::Environment.eq(environment));
        }
        if let Some(status) = filter.status {
            condition = if status == EXPIRED {
                condition.add(Column::ExpiresAt.lte(now))
            } else {
                let alive = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(now));
                condition.add(Column::Status.eq(status)).add(alive)
            };
        }
        if let Some(label) = filter.label {
            // `LIKE` takes `_` for any character, and on SQLite `a` for `A`. JSON has a label as it is, in quotation marks.
            let function = match self.db.engine() {
                DbBackend::Postgres => "strpos",
                _ => "instr",
            };
            let position = Func::cust(function).arg(Expr::col(Column::Labels)).arg(format!("\"{label}\""));
            condition = condition.add(position.gt(0));
        }
        if let Some(Place { at, id }) = before {
            let as_old = Condition::all().add(Column::CreatedAt.eq(at)).add(Column::Id.lt(id));
            condition = condition.add(Condition::any().add(Column::CreatedAt.lt(at)).add(as_old));
        }
        let mut rows = api_key::Entity::find()
            .filter(condition)
            .order_by_desc(Column::CreatedAt)
            .order_by_desc(Column::Id)
            .limit(limit + 1)
            .all(self.db.reader())
            .await?;
        let more = cut(&mut rows, limit);
        let last = rows.last().filter(|_| more);
        let before = last.map(|row| Place { at: row.created_at, id: row.id });
        Ok(Page { api_keys: rows, before })
    }

    pub async fn get_api_key(&self, owner: AccountId, id: ApiKeyId) -> Result<api_key::Model, Error> {
        self.api_key_of(self.db.reader(), owner, id).await
    }

    /// What its owner sees at a glance.
    #[must_use]
    pub fn status_of<'a>(&self, row: &'a api_key::Model) -> &'a str {
        if row.expires_at.is_some_and(|end| end <= self.sources.now()) { EXPIRED } else { &row.status }
    }
}
