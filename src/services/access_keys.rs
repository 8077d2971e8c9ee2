//! Access keys: with one, a server acts for an account without anybody being signed in. Made by a person with two factors,
//! for named purposes, and taken away at once.

use std::time::Duration;

use entities::{AccessKeyId, AccountId, Timestamp, access_key, account};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
};
use strum::{EnumIter, EnumString, IntoStaticStr};

use super::audit::{Action, Actor, Event};
use super::policy::{AAL2, Requirement};
use super::sessions::Caller;
use super::{Error, Origin, Services};
use crate::crypto::access_key::AccessKey;
use crate::plugins::mail::NoticeEvent;

/// How many an account may have.
const MOST: u64 = 50;
/// How exactly the last use is known; more exactly would be a write for every use.
const USE_KNOWN: Duration = Duration::from_secs(60);

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Scope {
    /// List the credentials, and test them.
    Read,
    /// Sign requests that the owner allows.
    Sign,
    /// Show secrets.
    Decrypt,
}

/// Whoever shows a key.
#[derive(Debug, Clone)]
pub struct AccessKeyCaller {
    pub id: AccessKeyId,
    pub account: AccountId,
    pub scopes: Vec<Scope>,
    pub recovering_until: Option<Timestamp>,
    /// How well it is known who the owner is.
    pub ial: i16,
}

impl Services {
    /// Two factors, of late: what a key is made with.
    #[must_use]
    pub fn key_maker(&self) -> Requirement {
        Requirement { aal: AAL2, ..self.recent() }
    }

    /// Makes a key. Its text is shown this once.
    pub async fn create_access_key(
        &self,
        caller: &Caller,
        name: String,
        scopes: &[Scope],
        expires_at: Option<Timestamp>,
        origin: &Origin,
    ) -> Result<(access_key::Model, String), Error> {
        let owner = caller.state.account;
        let key = AccessKey::generate(self.sources.entropy);
        let text = key.expose();
        let names: Vec<&str> = scopes.iter().map(|scope| scope.into()).collect();
        let row = access_key::Model {
            id: self.sources.id(),
            account_id: owner,
            name: name.clone(),
            hint: text[text.len() - 4..].to_owned(),
            token_hash: key.hash(),
            scopes: names.join(" "),
            created_at: self.sources.now(),
            expires_at,
            last_used_at: None,
        };
        let record = self.audit(
            Event::new(Action::AccessKeyAdded, Actor::Account(origin))
                .account(owner)
                .session(caller.state.session, caller.claims.aal)
                .detail(serde_json::json!({ "access_key": row.id.to_string(), "scopes": names })),
        );
        let (services, caller, origin, inserted) =
            (self.clone(), caller.clone(), origin.clone(), row.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    let mine = access_key::Entity::find().filter(access_key::Column::AccountId.eq(owner));
                    if mine.count(transaction).await? >= MOST {
                        return Err(Error::LimitReached);
                    }
                    access_key::Entity::insert(inserted.into_active_model().reset_all())
                        .exec_without_returning(transaction)
                        .await?;
                    record.write(transaction).await?;
                    let notice = services.notice(&account, NoticeEvent::AccessKeyAdded { name }, &origin)?;
                    notice.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        self.outbox.wake();
        Ok((row, text))
    }

    pub async fn list_access_keys(&self, caller: &Caller) -> Result<Vec<access_key::Model>, Error> {
        let keys = access_key::Entity::find()
            .filter(access_key::Column::AccountId.eq(caller.state.account))
            .order_by_asc(access_key::Column::Id);
        Ok(keys.all(self.db.reader()).await?)
    }

    /// Takes a key away. It stops working at the next request, on every node.
    pub async fn revoke_access_key(
        &self,
        caller: &Caller,
        id: AccessKeyId,
        origin: &Origin,
    ) -> Result<(), Error> {
        let owner = caller.state.account;
        let record = self.audit(
            Event::new(Action::AccessKeyRevoked, Actor::Account(origin))
                .account(owner)
                .session(caller.state.session, caller.claims.aal)
                .detail(serde_json::json!({ "access_key": id.to_string() })),
        );
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let removed = access_key::Entity::delete_many()
                        .filter(access_key::Column::Id.eq(id))
                        .filter(access_key::Column::AccountId.eq(owner))
                        .exec(transaction)
                        .await?;
                    if removed.rows_affected == 0 {
                        return Err(Error::NotFound);
                    }
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await
    }

    /// Whoever shows this key, as of now.
    pub async fn authenticate_key(&self, text: &str) -> Result<AccessKeyCaller, Error> {
        let now = self.sources.now();
        let key = AccessKey::parse(text).ok_or(Error::InvalidAccessToken)?;
        let found = access_key::Entity::find()
            .filter(access_key::Column::TokenHash.eq(key.hash()))
            .one(self.db.reader())
            .await?;
        let row = found.filter(|row| row.expires_at.is_none_or(|end| end > now));
        let row = row.ok_or(Error::InvalidAccessToken)?;
        let account = account::Entity::find_by_id(row.account_id).one(self.db.reader()).await?;
        let account = account
            .filter(|account| account.disabled_at.is_none() && account.deletion_due_at.is_none())
            .ok_or(Error::InvalidAccessToken)?;
        if row.last_used_at.is_none_or(|used| now.since(used) >= USE_KNOWN) {
            self.db
                .write::<_, Error, _>(move |transaction| {
                    Box::pin(async move {
                        access_key::Entity::update_many()
                            .col_expr(access_key::Column::LastUsedAt, Expr::value(now))
                            .filter(access_key::Column::Id.eq(row.id))
                            .exec(transaction)
                            .await?;
                        Ok(())
                    })
                })
                .await?;
        }
        Ok(AccessKeyCaller {
            id: row.id,
            account: row.account_id,
            scopes: row.scopes.split(' ').filter_map(|name| name.parse().ok()).collect(),
            recovering_until: account.recovering_until,
            ial: account.ial_at(now),
        })
    }
}
