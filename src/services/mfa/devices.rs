//! Remembered devices: where the second factor may be skipped for a while. A session that did so has aal 1.

use std::time::Duration;

use entities::{AccountId, RememberedDeviceId, account, remembered_device};
use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Statement, Value,
};

use super::super::audit::{Action, Actor, Event};
use super::super::sessions::Caller;
use super::super::{Error, Origin, Services};
use crate::crypto::opaque_token::OpaqueToken;
use crate::device;
use crate::plugins::mail::NoticeEvent;

/// How many an account may have; a further one takes the place of the oldest.
const MOST: u64 = 20;

impl Services {
    /// Whether the token is that of a device that may skip the second factor of this account.
    pub(in super::super) async fn remembers(
        &self,
        account: &account::Model,
        token: Option<&str>,
    ) -> Result<bool, Error> {
        let now = self.sources.now();
        let Some(token) = token.and_then(OpaqueToken::parse) else { return Ok(false) };
        if account.recovering_until.is_some_and(|until| until > now) {
            return Ok(false);
        }
        let sql = "UPDATE remembered_devices SET last_used_at = $1
             WHERE token_hash = $2 AND account_id = $3 AND expires_at > $1 RETURNING id";
        let values: [Value; 3] = [now.into(), token.hash().into(), account.id.into()];
        let found = self.db.write_one::<Error>(Statement::from_sql_and_values(self.db.engine(), sql, values));
        Ok(!found.await?.is_empty())
    }

    /// Remembers the device that a sign-in comes from; answers the token that it keeps.
    pub(super) async fn remember_device(
        &self,
        db: &DatabaseTransaction,
        account: &account::Model,
        origin: &Origin,
    ) -> Result<String, Error> {
        let token = OpaqueToken::generate(self.sources.entropy);
        let now = self.sources.now();
        let row = remembered_device::Model {
            id: self.sources.id(),
            account_id: account.id,
            token_hash: token.hash(),
            ip: Some(origin.ip.to_string()),
            user_agent: origin.user_agent.clone(),
            created_at: now,
            last_used_at: now,
            expires_at: now + Duration::from_secs(self.config.tokens.remembered_device_seconds),
        };
        remembered_device::Entity::insert(row.into_active_model().reset_all())
            .exec_without_returning(db)
            .await?;
        let mut newest = Query::select();
        newest
            .column(remembered_device::Column::Id)
            .from(remembered_device::Entity)
            .and_where(remembered_device::Column::AccountId.eq(account.id))
            .order_by(remembered_device::Column::Id, sea_orm::Order::Desc)
            .limit(MOST);
        remembered_device::Entity::delete_many()
            .filter(remembered_device::Column::AccountId.eq(account.id))
            .filter(remembered_device::Column::Id.not_in_subquery(newest))
            .exec(db)
            .await?;
        self.audit(Event::new(Action::DeviceRemembered, Actor::Account(origin)).account(account.id))
            .write(db)
            .await?;
        let name = device::name(origin.user_agent.as_deref()).unwrap_or_else(|| origin.ip.to_string());
        self.notice(account, NoticeEvent::DeviceRemembered { name }, origin)?.write(db).await?;
        Ok(token.expose())
    }

    /// The caller's remembered devices, newest first.
    pub async fn remembered_devices(&self, caller: &Caller) -> Result<Vec<remembered_device::Model>, Error> {
        let query = remembered_device::Entity::find()
            .filter(remembered_device::Column::AccountId.eq(caller.state.account))
            .filter(remembered_device::Column::ExpiresAt.gt(self.sources.now()))
            .order_by_desc(remembered_device::Column::Id)
            .limit(MOST);
        Ok(query.all(self.db.reader()).await?)
    }

    /// From now on the device shows the second factor again.
    pub async fn forget_device(
        &self,
        caller: &Caller,
        id: RememberedDeviceId,
        origin: &Origin,
    ) -> Result<(), Error> {
        let account = caller.state.account;
        let record = self.audit(
            Event::new(Action::DeviceForgotten, Actor::Account(origin))
                .account(account)
                .session(caller.state.session, caller.claims.aal),
        );
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let deleted = remembered_device::Entity::delete_many()
                        .filter(remembered_device::Column::Id.eq(id))
                        .filter(remembered_device::Column::AccountId.eq(account))
                        .exec(transaction)
                        .await?;
                    if deleted.rows_affected == 0 {
                        return Err(Error::NotFound);
                    }
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await
    }
}

/// After a change of what the account is protected by.
pub async fn forget_all(db: &DatabaseTransaction, account: AccountId) -> Result<(), DbErr> {
    remembered_device::Entity::delete_many()
        .filter(remembered_device::Column::AccountId.eq(account))
        .exec(db)
        .await
        .map(drop)
}
