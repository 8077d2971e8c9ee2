//! What an operator does about the inbox: looks, reads an event as it came, has one that was given up worked on again.

use entities::kyc_event::{self, Column, State};
use entities::{KycEventId, kyc_person_key};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use zeroize::Zeroizing;

use super::super::audit::{Action, Actor, Event};
use super::super::{Error, Services};
use super::person::{PersonKey, open_event_key};
use crate::db::in_state;

impl Services {
    /// Events, the newest first.
    pub async fn list_kyc_events(
        &self,
        state: Option<State>,
        limit: u64,
    ) -> Result<Vec<kyc_event::Model>, Error> {
        let mut query = kyc_event::Entity::find().order_by_desc(Column::Id).limit(limit);
        if let Some(state) = state {
            query = query.filter(in_state(&state));
        }
        Ok(query.all(self.db.reader()).await?)
    }

    /// An event as it came, as long as it is kept and its person's key is there. That it was read is written down first.
    pub async fn read_kyc_event(&self, id: KycEventId) -> Result<Zeroizing<Vec<u8>>, Error> {
        let row = kyc_event::Entity::find_by_id(id).one(self.db.reader()).await?.ok_or(Error::NotFound)?;
        let (Some(account), Some(sealed)) = (row.account_id, row.sealed) else { return Err(Error::NotFound) };
        let key = kyc_person_key::Entity::find()
            .filter(kyc_person_key::Column::AccountId.eq(account))
            .one(self.db.reader())
            .await?
            .ok_or(Error::NotFound)?;
        let key = open_event_key(&self.kyc.sealer, &PersonKey { account, sealed: key.sealed });
        let opened = key.and_then(|key| key.open(account, id, &sealed).ok());
        let opened = opened.ok_or_else(|| Error::Internal("an event that can't be opened".into()))?;
        let read = Event::new(Action::ProviderEventRead, Actor::Operator).account(account);
        self.write_audit(read.detail(serde_json::json!({ "event": id.to_string() }))).await?;
        Ok(opened)
    }

    /// Has an event worked on again that was given up, or that was about nobody. Answers whether there is such a one.
    pub async fn retry_kyc_event(&self, id: KycEventId) -> Result<bool, Error> {
        let now = self.sources.now();
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let update = kyc_event::Entity::update_many()
                        .col_expr(Column::State, Expr::value(State::Pending))
                        .col_expr(Column::Attempts, Expr::value(0))
                        .col_expr(Column::DueAt, Expr::value(now))
                        .filter(Column::Id.eq(id))
                        .filter(Column::State.is_in([State::Dead, State::Unknown]))
                        .filter(Column::Event.is_not_null());
                    Ok(update.exec(transaction).await?.rows_affected == 1)
                })
            })
            .await
    }
}
