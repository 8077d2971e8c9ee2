//! Where an account is signed in, and ending that from a list.

use entities::session::{self, RevocationReason};
use entities::{AccountId, SessionId, Timestamp};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::super::audit::{Action, Actor, Event, Record};
use super::super::{Error, Origin, Services};
use super::{Caller, revoke_where};

/// Sessions in one answer.
const PAGE: usize = 100;

/// A place in the list: behind the session that was last active then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub at: Timestamp,
    pub id: SessionId,
}

/// A piece of the list, the latest activity first.
#[derive(Debug, Clone)]
pub struct Page {
    pub sessions: Vec<session::Model>,
    /// Where to go on; nothing at the end.
    pub before: Option<Place>,
}

impl Services {
    /// The sessions in which the caller's account is signed in now.
    pub async fn list_sessions(&self, caller: &Caller, before: Option<Place>) -> Result<Page, Error> {
        let mut query = session::Entity::find()
            .filter(live(caller.state.account, self.sources.now()))
            .order_by_desc(session::Column::RotatedAt)
            .order_by_desc(session::Column::Id)
            .limit(PAGE as u64 + 1);
        if let Some(Place { at, id }) = before {
            let as_late =
                Condition::all().add(session::Column::RotatedAt.eq(at)).add(session::Column::Id.lt(id));
            query = query.filter(Condition::any().add(session::Column::RotatedAt.lt(at)).add(as_late));
        }
        let mut sessions = query.all(self.db.reader()).await?;
        let more = sessions.len() > PAGE;
        sessions.truncate(PAGE);
        let last = sessions.last().filter(|_| more);
        let before = last.map(|session| Place { at: session.rotated_at, id: session.id });
        Ok(Page { sessions, before })
    }

    /// Ends one of the caller's sessions, this one or another.
    pub async fn end_session(&self, caller: &Caller, id: SessionId, origin: &Origin) -> Result<(), Error> {
        let one = live(caller.state.account, self.sources.now()).add(session::Column::Id.eq(id));
        let record = self.ended(caller, origin, serde_json::json!({ "session": id.to_string() }));
        if self.end_where(one, move |_| record).await? == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Ends all of the caller's sessions, or all but this one; answers how many.
    pub async fn end_sessions(
        &self,
        caller: &Caller,
        keep_current: bool,
        origin: &Origin,
    ) -> Result<u64, Error> {
        let mut all = live(caller.state.account, self.sources.now());
        if keep_current {
            all = all.add(session::Column::Id.ne(caller.state.session));
        }
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.end_where(all, move |count| {
            let mut detail = serde_json::json!({ "count": count });
            if keep_current {
                detail["kept"] = caller.state.session.to_string().into();
            }
            services.ended(&caller, &origin, detail)
        })
        .await
    }

    async fn end_where(
        &self,
        condition: Condition,
        record: impl FnOnce(u64) -> Record + Send + 'static,
    ) -> Result<u64, Error> {
        let now = self.sources.now();
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let reason = RevocationReason::EndedByOwner;
                    let ended = revoke_where(transaction, condition, reason, now).await?;
                    if ended > 0 {
                        record(ended).write(transaction).await?;
                    }
                    Ok(ended)
                })
            })
            .await
    }

    /// By whom, from where, and which or how many.
    fn ended(&self, caller: &Caller, origin: &Origin, mut detail: serde_json::Value) -> Record {
        detail["reason"] = "ended_by_owner".into();
        self.audit(
            Event::new(Action::SessionEnded, Actor::Account(origin))
                .account(caller.state.account)
                .session(caller.state.session, caller.claims.aal)
                .detail(detail),
        )
    }
}

/// Sessions of an account that have not ended in one way or another.
pub(in super::super) fn live(account: AccountId, now: Timestamp) -> Condition {
    Condition::all()
        .add(session::Column::AccountId.eq(account))
        .add(session::Column::RevokedAt.is_null())
        .add(session::Column::ExpiresAt.gt(now))
        .add(session::Column::IdleExpiresAt.gt(now))
}
