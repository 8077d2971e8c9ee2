//! Sessions: signing in, staying signed in, signing out. A session is one row; see [`refresh`] for how it is renewed.

mod authenticate;
mod list;
pub mod means;
mod open;
mod raise;
mod refresh;
mod sign_in;

use std::net::IpAddr;
use std::time::Duration;

use entities::session::RevocationReason;
use entities::{AccountId, SessionId, Timestamp, account, session};
use sea_orm::sea_query::{Expr, IntoCondition};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait,
    IntoActiveModel, QueryFilter,
};
use uuid::Uuid;

use super::audit::{Action, Actor, Event};
use super::outbox::Message;
use super::policy::AAL1;
use super::{Error, Origin, Services};
use crate::crypto::access_token::Claims;
use crate::crypto::refresh_token::RefreshToken;
use crate::device;
use crate::locale::Locale;
use crate::plugins::mail::{Mail, NoticeEvent};

pub use authenticate::{Caller, State, states};
pub(super) use list::live;
pub use list::{Page, Place};
pub use refresh::{Renewal, Renewed, renewals};
pub use sign_in::SigningIn;
pub(super) use sign_in::refusal_reason;

/// What a token of ours is good for, until there are narrower ones.
const SCOPE: &str = "account";

/// What a client holds while signed in.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    /// When the access token expires.
    pub expires_at: Timestamp,
}

/// Whom the tokens are for.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub account: AccountId,
    pub email: String,
    pub email_verified_at: Option<Timestamp>,
    pub tokens: Tokens,
    /// For a device that is to skip the second factor from now on.
    pub device_token: Option<String>,
}

impl Services {
    /// The tokens of a session at its counter. The same row gives the same tokens on every node; to the letter under
    /// EdDSA, whose signatures don't vary.
    pub(super) fn tokens(
        &self,
        session: &session::Model,
        recovering_until: Option<Timestamp>,
    ) -> Result<Tokens, Error> {
        let issued = session.rotated_at;
        let recovering = recovering_until.is_some_and(|until| until > issued);
        let expires_at = issued + Duration::from_secs(self.config.tokens.access_seconds);
        let claims = Claims {
            iss: self.keys.issuer().to_owned(),
            sub: session.account_id.0,
            aud: self.keys.audience().to_owned(),
            exp: expires_at.seconds(),
            iat: issued.seconds(),
            nbf: issued.seconds(),
            jti: token_id(session.id, session.counter),
            sid: session.id.0,
            aal: if recovering { AAL1 } else { session.aal },
            ial: session.ial,
            amr: session.amr.split(' ').map(str::to_owned).collect(),
            auth_time: session.auth_time.seconds(),
            scope: SCOPE.to_owned(),
        };
        let refresh = RefreshToken { session: session.id, counter: session.counter };
        Ok(Tokens {
            access_token: self.keys.sign(&claims, self.sources.now())?,
            refresh_token: refresh.encode(&self.keys.refresh_key()),
            expires_at,
        })
    }

    /// Ends the session that an access token of ours names, expired or not. Ending it twice is no mistake.
    pub async fn sign_out(&self, access_token: &str, origin: &Origin) -> Result<(), Error> {
        let now = self.sources.now();
        let claims = self.claims(access_token).await?;
        let (account, session, aal) = (claims.account(), claims.session(), claims.aal);
        let record = self.audit(
            Event::new(Action::SessionEnded, Actor::Account(origin))
                .account(account)
                .session(session, aal)
                .detail(serde_json::json!({ "reason": "logout" })),
        );
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let ended =
                        revoke(transaction, Which::One(session), RevocationReason::Logout, now).await?;
                    if ended > 0 {
                        record.write(transaction).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

impl Services {
    /// A mail that tells an account's owner what has just happened.
    pub(super) fn notice(
        &self,
        account: &account::Model,
        event: NoticeEvent,
        origin: &Origin,
    ) -> Result<Message, Error> {
        let device = device::name(origin.user_agent.as_deref());
        let language = origin.language(account.locale.as_deref());
        self.notice_in(account, language, event, Some(origin.ip), device)
    }

    /// The same, of what an operator has done.
    pub(super) fn notice_by_operator(
        &self,
        account: &account::Model,
        event: NoticeEvent,
    ) -> Result<Message, Error> {
        let language = account.locale.as_deref().and_then(|tag| tag.parse().ok());
        self.notice_in(account, language, event, None, None)
    }

    fn notice_in(
        &self,
        account: &account::Model,
        language: Option<Locale>,
        event: NoticeEvent,
        ip: Option<IpAddr>,
        device: Option<String>,
    ) -> Result<Message, Error> {
        // Another password is no use while nobody can sign in.
        let recovers = !matches!(event, NoticeEvent::AccountDisabled | NoticeEvent::AccountEnabled);
        let recovery_link = recovers.then(|| self.recovery_link());
        let mail = Mail::Notice { event, at: self.sources.now().seconds(), ip, device, recovery_link };
        self.mail(Some(account.id), &account.email, language, mail)
    }
}

/// Which sessions to end.
pub(super) enum Which {
    One(SessionId),
    AllOf(AccountId),
    AllOfBut(AccountId, SessionId),
}

/// Ends sessions that have not been ended yet; answers how many.
pub(super) async fn revoke(
    db: &impl ConnectionTrait,
    which: Which,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let of = |account| session::Column::AccountId.eq(account);
    let condition = match which {
        Which::One(id) => session::Column::Id.eq(id),
        Which::AllOf(account) => of(account),
        Which::AllOfBut(account, kept) => of(account).and(session::Column::Id.ne(kept)),
    };
    revoke_where(db, condition.into_condition(), reason, now).await
}

pub(super) async fn revoke_where(
    db: &impl ConnectionTrait,
    condition: Condition,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let ended = session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(now))
        .col_expr(session::Column::RevokedReason, Expr::value(reason))
        .filter(condition)
        .filter(session::Column::RevokedAt.is_null())
        .exec(db)
        .await?;
    Ok(ended.rows_affected)
}

pub(super) async fn insert(db: &impl ConnectionTrait, session: session::Model) -> Result<(), DbErr> {
    session::Entity::insert(session.into_active_model().reset_all())
        .exec_without_returning(db)
        .await
        .map(drop)
}

/// `jti`: names one access token, and is the same for the same session and counter.
fn token_id(session: SessionId, counter: i64) -> Uuid {
    let offset = u128::try_from(counter).unwrap_or(0);
    Uuid::from_u128(session.0.as_u128().wrapping_add(offset))
}
