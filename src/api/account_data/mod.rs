//! The account as a whole: what is known of it, and its end.

pub mod event;
mod export;

use poem_openapi::payload::Response;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::auth::EXAMPLE_INSTANT;
use super::caller::{App, Client, Recent};
use super::instant::Instant;
use super::payload::{Json, Query};
use super::problem::errors;
use export::AccountExport;

/// Operations on the account as a whole.
pub struct AccountDataApi;

/// The account will be deleted
#[derive(Debug, Object)]
#[oai(example)]
struct DeletionScheduled {
    /// Always true
    success: bool,
    /// When it will be deleted for good; signing in before takes it back
    deletion_due_at: Instant,
}

impl Example for DeletionScheduled {
    fn example() -> Self {
        Self { success: true, deletion_due_at: EXAMPLE_INSTANT }
    }
}

errors!(ExportErrors: 401, 422, 429);
errors!(DeleteErrors: 401);

#[OpenApi(tag = "Tag::Account")]
impl AccountDataApi {
    /// Export the account
    ///
    /// All that is known of the caller's account, in JSON: what it is protected by, where it is signed in, and what happened
    /// to it. No passwords, keys or codes. An answer holds the newest 1,000 events; send `events_before` for older ones.
    /// Needs a recent sign-in at the account's best level.
    #[oai(path = "/auth/account/export", method = "get", operation_id = "account_export")]
    async fn export(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        /// Only events before the one with this id: `events_before` of the answer before
        events_before: Query<Option<Uuid>>,
    ) -> Result<Response<Json<AccountExport>>, ExportErrors> {
        let before = events_before.0.map(Into::into);
        let export = app.export_account(&caller, before, &client).await?;
        let disposition = "attachment; filename=\"latchkey-export.json\"";
        Ok(Response::new(Json(AccountExport::new(export, &app))).header("Content-Disposition", disposition))
    }

    /// Delete the account
    ///
    /// Signs the account out everywhere and deletes it, with all that belongs to it, a week later by default. Signing in
    /// before that takes it back. Needs a recent sign-in at the account's best level.
    #[oai(path = "/auth/account", method = "delete", operation_id = "account_delete")]
    async fn delete(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
    ) -> Result<Json<DeletionScheduled>, DeleteErrors> {
        let due = app.schedule_deletion(&caller, &client).await?;
        Ok(Json(DeletionScheduled { success: true, deletion_due_at: Instant(due) }))
    }
}
