//! What operators do for other people's accounts.

mod shapes;

use poem_openapi::OpenApi;
use uuid::Uuid;

use super::Tag;
use super::caller::{App, Client, Operator, RecentOperator};
use super::payload::{Bounded, EmailStart, Json, Path, Query};
use super::problem::errors;
use super::session_list::SessionsEnded;
use crate::services::Error;
use crate::services::accounts::{Filter, Measure};
use shapes::{AdminAuditTrail, AdminReason, AdminRoleChange, AdminUser, AdminUserList, UserRole, UserState};

/// Operations on other people's accounts.
pub struct AdminApi;

errors!(ListErrors: 401, 403, 422);
errors!(GetErrors: 401, 403, 404, 422);
errors!(ChangeErrors: 401, 403, 404, 408, 409, 413, 415, 422);

#[OpenApi(tag = "Tag::Admin")]
impl AdminApi {
    /// List the accounts
    ///
    /// In order of creation, for operators. All filters that are given must fit.
    #[oai(path = "/api/v1/admin/users", method = "get", operation_id = "admin_user_list")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list(
        &self,
        app: App<'_>,
        Operator(_operator): Operator,
        /// Only those whose address begins so, in any case
        email: Query<Option<EmailStart>>,
        /// Only those with this role
        role: Query<Option<UserRole>>,
        /// Only those in this state
        state: Query<Option<UserState>>,
        /// Where to read on: `after` of the answer before
        after: Query<Option<Uuid>>,
        /// At most so many
        #[oai(default = "page")]
        limit: Query<Bounded<1, 100>>,
    ) -> Result<Json<AdminUserList>, ListErrors> {
        let filter = Filter {
            email: email.0.map(|start| start.key()),
            role: role.0.map(Into::into),
            state: state.0.map(Into::into),
        };
        let limit = u64::try_from(limit.get()).unwrap_or(1);
        Ok(Json(app.list_accounts(&filter, after.0.map(Into::into), limit).await?.into()))
    }

    /// Read an account
    ///
    /// For operators: how it stands, and how much hangs on it. Nothing of what it is protected by, nor what it has stored.
    #[oai(path = "/api/v1/admin/users/:id", method = "get", operation_id = "admin_user_get")]
    async fn get(
        &self,
        app: App<'_>,
        Operator(_operator): Operator,
        /// Id of the account
        id: Path<Uuid>,
    ) -> Result<Json<AdminUser>, GetErrors> {
        Ok(Json(user(&app, id.0).await?))
    }

    /// Disable an account
    ///
    /// Ends its sessions at once, and nobody signs in to it until it is enabled. Its owner is told by mail. Needs a recent
    /// sign-in. Not one's own account, nor that of the last operator.
    #[oai(path = "/api/v1/admin/users/:id/disable", method = "post", operation_id = "admin_user_disable")]
    async fn disable(
        &self,
        app: App<'_>,
        client: Client<'_>,
        RecentOperator(operator): RecentOperator,
        /// Id of the account
        id: Path<Uuid>,
        body: Json<AdminReason>,
    ) -> Result<Json<AdminUser>, ChangeErrors> {
        let reason = Some(body.0.reason.into());
        app.operate(&operator, Measure::Disable, id.0.into(), reason, &client).await?;
        Ok(Json(user(&app, id.0).await?))
    }

    /// Enable an account
    ///
    /// Its owner can sign in again, and is told by mail. Needs a recent sign-in.
    #[oai(path = "/api/v1/admin/users/:id/enable", method = "post", operation_id = "admin_user_enable")]
    async fn enable(
        &self,
        app: App<'_>,
        client: Client<'_>,
        RecentOperator(operator): RecentOperator,
        /// Id of the account
        id: Path<Uuid>,
        body: Json<AdminReason>,
    ) -> Result<Json<AdminUser>, ChangeErrors> {
        let reason = Some(body.0.reason.into());
        app.operate(&operator, Measure::Enable, id.0.into(), reason, &client).await?;
        Ok(Json(user(&app, id.0).await?))
    }

    /// End all sessions of an account
    ///
    /// Its tokens stop working at the next request, on every node. Needs a recent sign-in. Not of one's own account: for that
    /// there is `DELETE /auth/sessions`.
    #[oai(
        path = "/api/v1/admin/users/:id/end-sessions",
        method = "post",
        operation_id = "admin_user_end_sessions"
    )]
    async fn end_sessions(
        &self,
        app: App<'_>,
        client: Client<'_>,
        RecentOperator(operator): RecentOperator,
        /// Id of the account
        id: Path<Uuid>,
    ) -> Result<Json<SessionsEnded>, GetErrors> {
        let ended = app.operate(&operator, Measure::EndSessions, id.0.into(), None, &client).await?;
        Ok(Json(SessionsEnded { success: true, ended }))
    }

    /// Give an account a role
    ///
    /// Counts from its next request on, on every node. Needs a recent sign-in. Not one's own account, nor that of the last
    /// operator.
    #[oai(path = "/api/v1/admin/users/:id/role", method = "patch", operation_id = "admin_user_set_role")]
    async fn set_role(
        &self,
        app: App<'_>,
        client: Client<'_>,
        RecentOperator(operator): RecentOperator,
        /// Id of the account
        id: Path<Uuid>,
        body: Json<AdminRoleChange>,
    ) -> Result<Json<AdminUser>, ChangeErrors> {
        let measure = Measure::SetRole(body.0.role.into());
        app.operate(&operator, measure, id.0.into(), None, &client).await?;
        Ok(Json(user(&app, id.0).await?))
    }

    /// Read what happened to an account
    ///
    /// The newest events first, also of an account that is gone. Reading them is an event of the account as well.
    #[oai(path = "/api/v1/admin/users/:id/audit", method = "get", operation_id = "admin_user_audit")]
    async fn audit(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Operator(operator): Operator,
        /// Id of the account
        id: Path<Uuid>,
        /// Where to read on: `before` of the answer before
        before: Query<Option<Uuid>>,
        /// At most so many
        #[oai(default = "page")]
        limit: Query<Bounded<1, 100>>,
    ) -> Result<Json<AdminAuditTrail>, GetErrors> {
        let (before, limit) = (before.0.map(Into::into), usize::try_from(limit.get()).unwrap_or(1));
        Ok(Json(app.read_trail(&operator, id.0.into(), before, limit, &client).await?.into()))
    }
}

/// An account as it is now.
async fn user(app: &App<'_>, id: Uuid) -> Result<AdminUser, Error> {
    Ok(AdminUser::new(app.account_overview(id.into()).await?, app))
}

fn page() -> Bounded<1, 100> {
    Bounded::new(50).expect("50 is within 1 and 100")
}
