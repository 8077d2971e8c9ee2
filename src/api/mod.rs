//! HTTP only: endpoint structs that mirror the contract. An endpoint takes, calls and answers; rules live in services.

mod access_keys;
mod account_data;
mod accounts;
mod admin;
mod api_keys;
mod auth;
mod caller;
mod connectors;
pub mod demands;
pub mod document;
mod email_changes;
mod email_verifications;
mod instant;
mod kyc;
pub mod methods;
mod mfa;
pub mod pages;
mod passkeys;
mod password_resets;
pub mod payload;
pub mod problem;
mod qr;
mod session_list;
mod sessions;
mod webauthn;
mod well_known;

use poem_openapi::{ContactObject, LicenseObject, OpenApiService, Tags};

/// Sections of the document.
#[derive(Tags)]
pub enum Tag {
    /// Accounts and sessions: sign up, confirm the address, sign in, refresh, sign out
    Auth,
    /// Second factors: authenticator apps, passkeys, recovery codes, remembered devices
    Mfa,
    /// Where somebody is signed in
    Sessions,
    /// The account as a whole: recovery, change of address, export, deletion
    Account,
    /// Credentials of third parties: stored sealed, tested, used without being shown, revealed to their owner
    #[oai(rename = "Api Keys")]
    ApiKeys,
    /// Identity checks: what is on offer, the caller's own, the webhooks of providers
    Kyc,
    /// What operators and reviewers do for others
    Admin,
    /// The state of this server, and the keys that verify its tokens
    Server,
}

/// Every operation there is. Needs no database: the document is made from the same definitions that serve requests.
pub fn service() -> OpenApiService<impl poem_openapi::OpenApi, ()> {
    let operations = (
        accounts::AccountsApi,
        sessions::SessionsApi,
        mfa::MfaApi,
        passkeys::PasskeysApi,
        session_list::SessionListApi,
        account_data::AccountDataApi,
        email_verifications::EmailVerificationsApi,
        password_resets::PasswordResetsApi,
        email_changes::EmailChangesApi,
        api_keys::ApiKeysApi,
        access_keys::AccessKeysApi,
        connectors::ConnectorsApi,
        kyc::KycApi,
        kyc::ReviewApi,
        admin::AdminApi,
        well_known::WellKnownApi,
    );
    OpenApiService::new(operations, "Latchkey", env!("CARGO_PKG_VERSION"))
        .description(document::DESCRIPTION)
        .license(LicenseObject::new("Apache-2.0 OR MIT").url("https://spdx.org/licenses/Apache-2.0.html"))
        .contact(ContactObject::new().name("Latchkey"))
        .server("/")
}
