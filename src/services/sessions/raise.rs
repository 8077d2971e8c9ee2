//! Step-up: somebody who is signed in proves more, or proves it again, without a new sign-in. The session moves on to new
//! tokens; those issued before keep what they say.

use entities::{SessionId, account, session};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter,
    QuerySelect,
};

use super::super::audit::{Action, Actor, Event};
use super::super::{Error, Origin, Services};
use super::SignedIn;
use super::means::{Means, Proof};

impl Services {
    /// Writes a proof into the session, inside the transaction that found it good. The account must be locked before.
    pub(in super::super) async fn raise(
        &self,
        db: &DatabaseTransaction,
        id: SessionId,
        account: &account::Model,
        means: Means,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        let now = self.sources.now();
        let mut query = session::Entity::find_by_id(id);
        if db.get_database_backend() == DbBackend::Postgres {
            query = query.lock(LockType::NoKeyUpdate);
        }
        let mut row = query
            .filter(session::Column::AccountId.eq(account.id))
            .filter(session::Column::RevokedAt.is_null())
            .one(db)
            .await?
            .ok_or(Error::InvalidAccessToken)?;
        let recovering = account.recovering_until.is_some_and(|until| until > now);
        let proof = Proof { aal: row.aal, amr: row.amr }.and(means);
        let proof = if recovering { proof.capped() } else { proof };
        let (expires_at, idle_expires_at) = self.lifetimes(proof.aal, now);
        row.aal = proof.aal;
        row.amr = proof.amr;
        row.auth_time = now;
        row.ial = account.ial_at(now);
        row.rotated_at = now;
        row.counter += 1;
        // A stronger session may be a shorter one; proving something does not prolong it.
        row.expires_at = row.expires_at.min(expires_at);
        row.idle_expires_at = idle_expires_at;
        store(db, &row).await?;
        self.audit(
            Event::new(Action::SessionRaised, Actor::Account(origin))
                .account(account.id)
                .session(row.id, row.aal)
                .detail(serde_json::json!({ "amr": row.amr })),
        )
        .write(db)
        .await?;
        Ok(SignedIn {
            account: account.id,
            email: account.email.clone(),
            email_verified_at: account.email_verified_at,
            tokens: self.tokens(&row, account.recovering_until)?,
            device_token: None,
        })
    }
}

async fn store(db: &DatabaseTransaction, row: &session::Model) -> Result<(), DbErr> {
    let columns = [
        (session::Column::Aal, Expr::value(row.aal)),
        (session::Column::Amr, Expr::value(row.amr.clone())),
        (session::Column::AuthTime, Expr::value(row.auth_time)),
        (session::Column::Ial, Expr::value(row.ial)),
        (session::Column::RotatedAt, Expr::value(row.rotated_at)),
        (session::Column::Counter, Expr::value(row.counter)),
        (session::Column::ExpiresAt, Expr::value(row.expires_at)),
        (session::Column::IdleExpiresAt, Expr::value(row.idle_expires_at)),
    ];
    let update = session::Entity::update_many().filter(session::Column::Id.eq(row.id));
    let update = columns.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value));
    update.exec(db).await.map(drop)
}
