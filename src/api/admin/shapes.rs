//! What goes in and out of the operations on other people's accounts.

use entities::account::{self, Role};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use super::super::account_data::event::ExportedEvent;
use super::super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::super::instant::Instant;
use super::super::payload::{Line, Nullable};
use crate::services::Services;
use crate::services::accounts::{AccountState, Overview, Page, Trail};

/// What an account may do for others; each may all that the ones before may
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum UserRole {
    /// Nothing
    User,
    /// Decides identity checks
    Reviewer,
    /// Looks after accounts
    Operator,
}

impl From<UserRole> for Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::User => Self::User,
            UserRole::Reviewer => Self::Reviewer,
            UserRole::Operator => Self::Operator,
        }
    }
}

impl From<Role> for UserRole {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Reviewer => Self::Reviewer,
            Role::Operator => Self::Operator,
        }
    }
}

/// Whether somebody can sign in to an account
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum UserState {
    /// Yes
    Active,
    /// No: an operator has disabled it
    Disabled,
    /// The address was never confirmed
    Unverified,
    /// Its owner has it deleted, unless they sign in before `deletion_due_at`
    Deleting,
}

impl From<UserState> for AccountState {
    fn from(state: UserState) -> Self {
        match state {
            UserState::Active => Self::Active,
            UserState::Disabled => Self::Disabled,
            UserState::Unverified => Self::Unverified,
            UserState::Deleting => Self::Deleting,
        }
    }
}

impl From<AccountState> for UserState {
    fn from(state: AccountState) -> Self {
        match state {
            AccountState::Active => Self::Active,
            AccountState::Disabled => Self::Disabled,
            AccountState::Unverified => Self::Unverified,
            AccountState::Deleting => Self::Deleting,
        }
    }
}

/// Accounts in order of creation
#[derive(Debug, Object)]
#[oai(example)]
pub struct AdminUserList {
    /// Without what takes a look at each of them
    users: Vec<AdminUserSummary>,
    /// Send it as `after` to read on; null at the end
    after: Nullable<String>,
}

/// An account in a list
#[derive(Debug, Object)]
#[oai(example)]
pub struct AdminUserSummary {
    /// Id of the account
    id: String,
    /// The address as it was typed
    email: String,
    /// When the address was confirmed
    email_confirmed_at: Nullable<Instant>,
    /// What it may do for others
    role: UserRole,
    /// Whether somebody can sign in to it
    state: UserState,
    /// When it was made
    created_at: Instant,
}

/// An account, as an operator sees it
#[derive(Debug, Object)]
#[oai(example)]
pub struct AdminUser {
    /// Id of the account
    id: String,
    /// The address as it was typed
    email: String,
    /// When the address was confirmed
    email_confirmed_at: Nullable<Instant>,
    /// What it may do for others
    role: UserRole,
    /// Whether somebody can sign in to it
    state: UserState,
    /// How well it is known who it is (NIST SP 800-63A)
    ial: i16,
    /// Until when that holds; null with `ial` 0
    ial_until: Nullable<Instant>,
    /// Whether a sign-in with the password needs a second factor
    second_factor: bool,
    /// Where it is signed in, counted
    sessions: u64,
    /// How many credentials of third parties it has stored
    api_keys: u64,
    /// When it was made
    created_at: Instant,
    /// When it last changed
    updated_at: Instant,
    /// Since when it is disabled
    disabled_at: Nullable<Instant>,
    /// When it is deleted for good
    deletion_due_at: Nullable<Instant>,
}

/// Why something is done
#[derive(Debug, Object)]
#[oai(example)]
pub struct AdminReason {
    /// For the audit trail, in a line. The account's owner can read it in an export
    #[oai(validator(min_length = 1, max_length = 500))]
    pub reason: Line,
}

/// What an account is to be
#[derive(Debug, Object)]
#[oai(example)]
pub struct AdminRoleChange {
    /// What it may do for others from its next request on
    pub role: UserRole,
}

/// What happened to an account, the newest first
#[derive(Debug, Object)]
#[oai(example)]
pub struct AdminAuditTrail {
    /// Those of an account that is gone are without addresses, devices and details
    events: Vec<ExportedEvent>,
    /// Send it as `before` to read on; null at the end
    before: Nullable<String>,
}

fn instant(at: Option<entities::Timestamp>) -> Nullable<Instant> {
    at.map(Instant).into()
}

impl From<Page> for AdminUserList {
    fn from(page: Page) -> Self {
        Self {
            users: page.accounts.into_iter().map(AdminUserSummary::from).collect(),
            after: page.after.map(|id| id.to_string()).into(),
        }
    }
}

impl From<account::Model> for AdminUserSummary {
    fn from(row: account::Model) -> Self {
        Self {
            id: row.id.to_string(),
            state: AccountState::of(&row).into(),
            email: row.email,
            email_confirmed_at: instant(row.email_verified_at),
            role: row.role.into(),
            created_at: Instant(row.created_at),
        }
    }
}

impl AdminUser {
    pub fn new(overview: Overview, services: &Services) -> Self {
        let Overview { account: row, sessions, api_keys } = overview;
        let ial = row.ial_at(services.sources.now());
        Self {
            id: row.id.to_string(),
            state: AccountState::of(&row).into(),
            email: row.email,
            email_confirmed_at: instant(row.email_verified_at),
            role: row.role.into(),
            ial,
            ial_until: instant(row.ial_until.filter(|_| ial > 0)),
            second_factor: row.second_factor_at.is_some(),
            sessions,
            api_keys,
            created_at: Instant(row.created_at),
            updated_at: Instant(row.updated_at),
            disabled_at: instant(row.disabled_at),
            deletion_due_at: instant(row.deletion_due_at),
        }
    }
}

impl From<Trail> for AdminAuditTrail {
    fn from(trail: Trail) -> Self {
        Self {
            events: trail.events.into_iter().map(ExportedEvent::from).collect(),
            before: trail.before.map(|id| id.to_string()).into(),
        }
    }
}

impl Example for AdminUserList {
    fn example() -> Self {
        Self { users: vec![AdminUserSummary::example()], after: None.into() }
    }
}

impl Example for AdminUserSummary {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            email: "ada@example.com".into(),
            email_confirmed_at: Some(EXAMPLE_INSTANT).into(),
            role: UserRole::User,
            state: UserState::Active,
            created_at: EXAMPLE_INSTANT,
        }
    }
}

impl Example for AdminUser {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            email: "ada@example.com".into(),
            email_confirmed_at: Some(EXAMPLE_INSTANT).into(),
            role: UserRole::User,
            state: UserState::Active,
            ial: 1,
            ial_until: Some(EXAMPLE_INSTANT).into(),
            second_factor: true,
            sessions: 2,
            api_keys: 1,
            created_at: EXAMPLE_INSTANT,
            updated_at: EXAMPLE_INSTANT,
            disabled_at: None.into(),
            deletion_due_at: None.into(),
        }
    }
}

impl Example for AdminReason {
    fn example() -> Self {
        Self { reason: "Reported as taken over, ticket 4711".into() }
    }
}

impl Example for AdminRoleChange {
    fn example() -> Self {
        Self { role: UserRole::Reviewer }
    }
}

impl Example for AdminAuditTrail {
    fn example() -> Self {
        Self { events: vec![ExportedEvent::example()], before: None.into() }
    }
}
