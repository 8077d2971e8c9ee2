//! What an export shows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entities::{
    account, email_change, email_verification, outbox_message, passkey, password_reset, remembered_device,
    seen_device, session,
};
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::super::access_keys::AccessKey;
use super::super::api_keys::shapes::ApiKey;
use super::super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::super::instant::Instant;
use super::super::kyc::shapes::Verification;
use super::super::mfa::TotpAuthenticator;
use super::super::payload::Nullable;
use super::event::ExportedEvent;
use crate::services::Services;
use crate::services::accounts::Export;

/// All that is known of an account. Of each kind there are at most 1,000, the newest first
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccountExport {
    /// When it was read
    exported_at: Instant,
    /// The account itself
    account: ExportedAccount,
    /// Sign-ins, those that have ended too for as long as they are kept
    sessions: Vec<ExportedSession>,
    /// Authenticator apps, in order of their addition
    totp: Vec<TotpAuthenticator>,
    /// Passkeys, in order of their addition
    passkeys: Vec<ExportedPasskey>,
    /// How many recovery codes are left
    recovery_codes_left: u64,
    /// Devices on which the second factor may be skipped
    remembered_devices: Vec<ExportedDevice>,
    /// Devices that were used, as far as they are told apart: the kind of browser and the network, as a hash
    seen_devices: Vec<SeenDevice>,
    /// Stored credentials, without their secrets
    api_keys: Vec<ApiKey>,
    /// Identity checks
    verifications: Vec<Verification>,
    /// Access keys, without their texts
    access_keys: Vec<AccessKey>,
    /// Mailed links that confirm the address
    email_verifications: Vec<MailedLink>,
    /// Mailed links that replace a forgotten password
    password_resets: Vec<MailedLink>,
    /// Changes of the address
    email_changes: Vec<ExportedEmailChange>,
    /// Mails to the account, for as long as it is known that they were sent
    mails: Vec<ExportedMail>,
    /// What happened to the account
    events: Vec<ExportedEvent>,
    /// Send it as `events_before` to read older events; null when there are none
    events_before: Nullable<String>,
}

/// An account, for its owner
#[derive(Debug, Object)]
struct ExportedAccount {
    /// Id of the account
    id: String,
    /// The address as it was typed
    email: String,
    /// When the address was confirmed
    email_confirmed_at: Nullable<Instant>,
    /// What the person is called
    full_name: Nullable<String>,
    /// A picture
    avatar_url: Nullable<String>,
    /// A telephone number in E.164
    phone: Nullable<String>,
    /// Language of mails (BCP 47)
    locale: Nullable<String>,
    /// Since when a sign-in with the password needs a second factor
    second_factor_at: Nullable<Instant>,
    /// After a recovery: until then the account counts as aal 1
    recovering_until: Nullable<Instant>,
    /// What the account may do for others: `user` is nothing
    role: String,
    /// How well it is known who this is (NIST SP 800-63A), until `ial_until`
    ial: i16,
    /// Until when; null where nothing is known
    ial_until: Nullable<Instant>,
    /// When the account was made
    created_at: Instant,
    /// When it last changed
    updated_at: Instant,
}

/// A sign-in, and its end
#[derive(Debug, Object)]
struct ExportedSession {
    /// Its id, the `sid` of its access tokens
    id: String,
    /// Address that it was begun from
    ip: Nullable<String>,
    /// What it was begun with, as that called itself
    user_agent: Nullable<String>,
    /// How well the person signed in (NIST SP 800-63B)
    aal: i16,
    /// What was proved (RFC 8176)
    methods: Vec<String>,
    /// When something was last proved
    auth_time: Instant,
    /// When it was begun
    created_at: Instant,
    /// When it was last refreshed or raised
    last_seen_at: Instant,
    /// When it ends in any case
    expires_at: Instant,
    /// When it ends unless it is refreshed before
    idle_expires_at: Instant,
    /// When it was ended
    ended_at: Nullable<Instant>,
    /// Why it was ended
    ended_reason: Nullable<String>,
}

/// A passkey, without its key
#[derive(Debug, Object)]
struct ExportedPasskey {
    /// Its id
    id: String,
    /// What its owner calls it
    name: String,
    /// What the authenticator calls it, in base64url
    credential_id: String,
    /// When it was added
    created_at: Instant,
    /// When it was last used
    last_used_at: Nullable<Instant>,
    /// When its counter went backwards, as that of a copy does
    suspected_at: Nullable<Instant>,
}

/// A device on which the second factor may be skipped, as far as it is known
#[derive(Debug, Object)]
struct ExportedDevice {
    /// Its id
    id: String,
    /// Address that it was remembered from
    ip: Nullable<String>,
    /// What it called itself
    user_agent: Nullable<String>,
    /// When it was remembered
    created_at: Instant,
    /// When it last skipped the second factor
    last_used_at: Instant,
    /// When it is forgotten
    expires_at: Instant,
}

/// A kind of browser in a network
#[derive(Debug, Object)]
struct SeenDevice {
    /// When somebody first signed in with it
    first_seen_at: Instant,
    /// When somebody last signed in with it, to within a day
    last_seen_at: Instant,
}

/// A link that was mailed
#[derive(Debug, Object)]
struct MailedLink {
    /// When it was made
    created_at: Instant,
    /// When it expires
    expires_at: Instant,
    /// When it was used
    used_at: Nullable<Instant>,
}

/// A change of the address
#[derive(Debug, Object)]
struct ExportedEmailChange {
    /// The address before
    old_email: String,
    /// The address after
    new_email: String,
    /// When it was asked for
    created_at: Instant,
    /// When the new address was confirmed
    confirmed_at: Nullable<Instant>,
    /// When it was taken back
    reverted_at: Nullable<Instant>,
}

/// A mail, without its content, which is not kept
#[derive(Debug, Object)]
struct ExportedMail {
    /// What it was about
    template: String,
    /// When it was written
    created_at: Instant,
    /// When it was sent, or given up
    finished_at: Nullable<Instant>,
}

impl AccountExport {
    pub fn new(export: Export, services: &Services) -> Self {
        Self {
            exported_at: Instant(export.at),
            account: export.account.into(),
            sessions: each(export.sessions),
            totp: each(export.factors.totp),
            passkeys: each(export.factors.passkeys),
            recovery_codes_left: export.factors.recovery_codes_left,
            remembered_devices: each(export.remembered_devices),
            seen_devices: each(export.seen_devices),
            verifications: export.verifications.iter().map(|row| Verification::new(row, row.ial)).collect(),
            api_keys: export.api_keys.into_iter().map(|row| ApiKey::new(row, services)).collect(),
            access_keys: each(export.access_keys),
            email_verifications: each(export.email_verifications),
            password_resets: each(export.password_resets),
            email_changes: each(export.email_changes),
            mails: each(export.mails),
            events: each(export.events),
            events_before: text(export.events_before),
        }
    }
}

fn each<R, T: From<R>>(rows: Vec<R>) -> Vec<T> {
    rows.into_iter().map(T::from).collect()
}

fn text(id: Option<impl ToString>) -> Nullable<String> {
    id.map(|id| id.to_string()).into()
}

fn instant(at: Option<entities::Timestamp>) -> Nullable<Instant> {
    at.map(Instant).into()
}

impl From<account::Model> for ExportedAccount {
    fn from(row: account::Model) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email,
            email_confirmed_at: instant(row.email_verified_at),
            full_name: row.full_name.into(),
            avatar_url: row.avatar_url.into(),
            phone: row.phone.into(),
            locale: row.locale.into(),
            second_factor_at: instant(row.second_factor_at),
            recovering_until: instant(row.recovering_until),
            role: row.role.name().into(),
            ial: row.ial,
            ial_until: instant(row.ial_until),
            created_at: Instant(row.created_at),
            updated_at: Instant(row.updated_at),
        }
    }
}

impl From<session::Model> for ExportedSession {
    fn from(row: session::Model) -> Self {
        Self {
            id: row.id.to_string(),
            ip: row.ip.into(),
            user_agent: row.user_agent.into(),
            aal: row.aal,
            methods: row.amr.split(' ').map(str::to_owned).collect(),
            auth_time: Instant(row.auth_time),
            created_at: Instant(row.created_at),
            last_seen_at: Instant(row.rotated_at),
            expires_at: Instant(row.expires_at),
            idle_expires_at: Instant(row.idle_expires_at),
            ended_at: instant(row.revoked_at),
            ended_reason: row.revoked_reason.map(session::RevocationReason::name).into(),
        }
    }
}

impl From<passkey::Model> for ExportedPasskey {
    fn from(row: passkey::Model) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            credential_id: URL_SAFE_NO_PAD.encode(row.credential_id),
            created_at: Instant(row.created_at),
            last_used_at: instant(row.last_used_at),
            suspected_at: instant(row.suspected_at),
        }
    }
}

impl From<remembered_device::Model> for ExportedDevice {
    fn from(row: remembered_device::Model) -> Self {
        Self {
            id: row.id.to_string(),
            ip: row.ip.into(),
            user_agent: row.user_agent.into(),
            created_at: Instant(row.created_at),
            last_used_at: Instant(row.last_used_at),
            expires_at: Instant(row.expires_at),
        }
    }
}

impl From<seen_device::Model> for SeenDevice {
    fn from(row: seen_device::Model) -> Self {
        Self { first_seen_at: Instant(row.first_seen_at), last_seen_at: Instant(row.last_seen_at) }
    }
}

impl From<email_verification::Model> for MailedLink {
    fn from(row: email_verification::Model) -> Self {
        Self {
            created_at: Instant(row.created_at),
            expires_at: Instant(row.expires_at),
            used_at: instant(row.used_at),
        }
    }
}

impl From<password_reset::Model> for MailedLink {
    fn from(row: password_reset::Model) -> Self {
        Self {
            created_at: Instant(row.created_at),
            expires_at: Instant(row.expires_at),
            used_at: instant(row.used_at),
        }
    }
}

impl From<email_change::Model> for ExportedEmailChange {
    fn from(row: email_change::Model) -> Self {
        Self {
            old_email: row.old_email,
            new_email: row.new_email,
            created_at: Instant(row.created_at),
            confirmed_at: instant(row.confirmed_at),
            reverted_at: instant(row.reverted_at),
        }
    }
}

impl From<outbox_message::Model> for ExportedMail {
    fn from(row: outbox_message::Model) -> Self {
        Self {
            template: row.template,
            created_at: Instant(row.created_at),
            finished_at: instant(row.finished_at),
        }
    }
}

impl Example for AccountExport {
    fn example() -> Self {
        let at = EXAMPLE_INSTANT;
        let agent = || Nullable(Some("Mozilla/5.0 (X11; Linux x86_64; rv:145.0)".to_owned()));
        let ip = || Nullable(Some("203.0.113.7".to_owned()));
        let account = ExportedAccount {
            id: EXAMPLE_ID.into(),
            email: "ada@example.com".into(),
            email_confirmed_at: Some(at).into(),
            full_name: Some("Ada Lovelace".to_owned()).into(),
            avatar_url: None.into(),
            phone: None.into(),
            locale: Some("en".to_owned()).into(),
            second_factor_at: Some(at).into(),
            recovering_until: None.into(),
            role: "user".into(),
            ial: 1,
            ial_until: Some(at).into(),
            created_at: at,
            updated_at: at,
        };
        let session = ExportedSession {
            id: EXAMPLE_ID.into(),
            ip: ip(),
            user_agent: agent(),
            aal: 2,
            methods: vec!["pwd".into(), "otp".into(), "mfa".into()],
            auth_time: at,
            created_at: at,
            last_seen_at: at,
            expires_at: at,
            idle_expires_at: at,
            ended_at: None.into(),
            ended_reason: None.into(),
        };
        Self {
            exported_at: at,
            account,
            sessions: vec![session],
            totp: vec![TotpAuthenticator::example()],
            passkeys: vec![],
            recovery_codes_left: 10,
            remembered_devices: vec![],
            seen_devices: vec![SeenDevice { first_seen_at: at, last_seen_at: at }],
            api_keys: vec![ApiKey::example()],
            verifications: vec![Verification::example()],
            access_keys: vec![AccessKey::example()],
            email_verifications: vec![MailedLink {
                created_at: at,
                expires_at: at,
                used_at: Some(at).into(),
            }],
            password_resets: vec![],
            email_changes: vec![],
            mails: vec![ExportedMail {
                template: "new_device".into(),
                created_at: at,
                finished_at: Some(at).into(),
            }],
            events: vec![ExportedEvent::example()],
            events_before: None.into(),
        }
    }
}
