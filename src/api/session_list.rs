//! Where somebody is signed in.

use entities::session;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::caller::{App, Bearer, Client};
use super::instant::Instant;
use super::mfa::Success;
use super::payload::{Cursor, Json, Nullable, Path, Query};
use super::problem::errors;
use crate::services::policy::AAL1;
use crate::services::sessions::{Caller, Page, Place};

/// Operations on the sessions of an account.
pub struct SessionListApi;

/// Sessions, the latest activity first
#[derive(Debug, Object)]
#[oai(example)]
struct SessionList {
    /// At most 100
    sessions: Vec<Session>,
    /// Send it as `before` to read on; null at the end
    before: Nullable<String>,
}

/// A sign-in that lasts
#[derive(Debug, Object)]
#[oai(example)]
struct Session {
    /// Its id, the `sid` of its access tokens; no credential
    id: String,
    /// What it was begun on, such as Firefox on Linux; null when that did not say
    device: Nullable<String>,
    /// Address that it was begun from
    ip: Nullable<String>,
    /// When it was begun
    created_at: Instant,
    /// When it was last refreshed or raised
    last_seen_at: Instant,
    /// When it ends in any case
    expires_at: Instant,
    /// When it ends unless it is refreshed before
    idle_expires_at: Instant,
    /// How well the person signed in (NIST SP 800-63B), as far as it counts now
    aal: i16,
    /// What was proved (RFC 8176), such as `pwd` and `otp`
    methods: Vec<String>,
    /// Whether it is the session of this request
    current: bool,
}

impl Session {
    /// As its owner sees it.
    fn new(row: session::Model, caller: &Caller, recovering: bool) -> Self {
        Self {
            id: row.id.to_string(),
            device: crate::device::name(row.user_agent.as_deref()).into(),
            ip: row.ip.into(),
            created_at: Instant(row.created_at),
            last_seen_at: Instant(row.rotated_at),
            expires_at: Instant(row.expires_at),
            idle_expires_at: Instant(row.idle_expires_at.min(row.expires_at)),
            aal: if recovering { row.aal.min(AAL1) } else { row.aal },
            methods: row.amr.split(' ').map(str::to_owned).collect(),
            current: row.id == caller.state.session,
        }
    }
}

impl Example for Session {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            device: Some("Firefox on Linux".to_owned()).into(),
            ip: Some("203.0.113.7".to_owned()).into(),
            created_at: EXAMPLE_INSTANT,
            last_seen_at: EXAMPLE_INSTANT,
            expires_at: EXAMPLE_INSTANT,
            idle_expires_at: EXAMPLE_INSTANT,
            aal: 2,
            methods: vec!["pwd".to_owned(), "otp".to_owned(), "mfa".to_owned()],
            current: true,
        }
    }
}

impl Example for SessionList {
    fn example() -> Self {
        Self { sessions: vec![Session::example()], before: None.into() }
    }
}

/// Sessions have ended
#[derive(Debug, Object)]
#[oai(example)]
pub struct SessionsEnded {
    /// Always true
    pub success: bool,
    /// How many
    pub ended: u64,
}

impl Example for SessionsEnded {
    fn example() -> Self {
        Self { success: true, ended: 2 }
    }
}

errors!(ListErrors: 401, 422);
errors!(EndErrors: 401, 404, 422);
errors!(EndAllErrors: 401, 422);

#[OpenApi(tag = "Tag::Sessions")]
impl SessionListApi {
    /// List the sessions
    ///
    /// Where the caller's account is signed in now. A session is active when it is refreshed, which clients do at least as
    /// often as access tokens expire.
    #[oai(path = "/auth/sessions", method = "get", operation_id = "session_list")]
    async fn list(
        &self,
        app: App<'_>,
        Bearer(caller): Bearer,
        /// Where to read on: `before` of the answer before
        before: Query<Option<Cursor>>,
    ) -> Result<Json<SessionList>, ListErrors> {
        let before = before.0.map(|cursor| Place { at: cursor.at, id: cursor.id.into() });
        let Page { sessions, before } = app.list_sessions(&caller, before).await?;
        let recovering = caller.standing(app.sources.now()).recovering;
        Ok(Json(SessionList {
            sessions: sessions.into_iter().map(|row| Session::new(row, &caller, recovering)).collect(),
            before: before.map(|place| Cursor { at: place.at, id: place.id.0 }.encode()).into(),
        }))
    }

    /// End a session
    ///
    /// Signs it out. Its tokens stop working at the next request, on every node. It may be the session of this request.
    #[oai(path = "/auth/sessions/:id", method = "delete", operation_id = "session_delete")]
    async fn end(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// Id of the session
        id: Path<Uuid>,
    ) -> Result<Json<Success>, EndErrors> {
        app.end_session(&caller, id.0.into(), &client).await?;
        Ok(Json(Success { success: true }))
    }

    /// End all sessions
    ///
    /// Signs the account out everywhere, or everywhere else. The tokens stop working at the next request, on every node.
    #[oai(path = "/auth/sessions", method = "delete", operation_id = "sessions_end")]
    async fn end_all(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// Whether the session of this request goes on
        #[oai(default)]
        keep_current: Query<bool>,
    ) -> Result<Json<SessionsEnded>, EndAllErrors> {
        let ended = app.end_sessions(&caller, keep_current.0, &client).await?;
        Ok(Json(SessionsEnded { success: true, ended }))
    }
}
