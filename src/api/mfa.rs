//! Second factors: authenticator apps, recovery codes, remembered devices, and the second step of a sign-in.

use entities::{remembered_device, totp_authenticator};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::auth::{AuthResponse, AuthSession, EXAMPLE_ID, EXAMPLE_INSTANT};
use super::caller::{App, Bearer, Client, Recent};
use super::instant::Instant;
use super::payload::{Code, Json, Line, Nullable, Path, Token};
use super::problem::errors;
use super::qr::QrCode;
use crate::services::mfa::{self, Factors};

/// Operations on second factors.
pub struct MfaApi;

/// A way to prove a second factor
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MfaMethod {
    /// A passkey
    Passkey,
    /// A code of an authenticator app
    Totp,
    /// One of the codes that were shown once
    RecoveryCode,
}

impl From<mfa::Method> for MfaMethod {
    fn from(method: mfa::Method) -> Self {
        match method {
            mfa::Method::Passkey => Self::Passkey,
            mfa::Method::Totp => Self::Totp,
            mfa::Method::RecoveryCode => Self::RecoveryCode,
        }
    }
}

/// A kind of code that a person types
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum CodeMethod {
    /// A code of an authenticator app
    Totp,
    /// One of the codes that were shown once
    RecoveryCode,
}

impl CodeMethod {
    fn read(self, code: &Code) -> mfa::Code {
        match self {
            Self::Totp => mfa::Code::totp(code.expose()),
            Self::RecoveryCode => mfa::Code::recovery(code.expose()),
        }
    }
}

/// What an account has of second factors
#[derive(Debug, Object)]
#[oai(example)]
struct MfaStatus {
    /// Whether a sign-in with the password needs a second factor
    enabled: bool,
    /// Ways to prove a second factor now, the best one first
    methods: Vec<MfaMethod>,
    /// Authenticator apps, in order of their addition
    totp: Vec<TotpAuthenticator>,
    /// How many passkeys there are; `GET /auth/passkeys` lists them
    passkeys: u64,
    /// How many recovery codes are left
    recovery_codes_left: u64,
}

impl From<Factors> for MfaStatus {
    fn from(factors: Factors) -> Self {
        Self {
            enabled: !factors.totp.is_empty() || !factors.passkeys.is_empty(),
            methods: factors.methods().into_iter().map(MfaMethod::from).collect(),
            passkeys: factors.passkeys.len() as u64,
            recovery_codes_left: factors.recovery_codes_left,
            totp: factors.totp.into_iter().map(TotpAuthenticator::from).collect(),
        }
    }
}

impl Example for MfaStatus {
    fn example() -> Self {
        Self {
            enabled: true,
            methods: vec![MfaMethod::Totp, MfaMethod::RecoveryCode],
            totp: vec![TotpAuthenticator::example()],
            passkeys: 0,
            recovery_codes_left: 10,
        }
    }
}

/// An authenticator app
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct TotpAuthenticator {
    /// Its id
    id: String,
    /// What its owner calls it
    name: String,
    /// When its first code was given
    created_at: Instant,
    /// When a code of it was last taken
    last_used_at: Nullable<Instant>,
    /// Whether it has been switched off after 100 wrong codes in a row; remove it and add it anew
    disabled: bool,
}

impl From<totp_authenticator::Model> for TotpAuthenticator {
    fn from(row: totp_authenticator::Model) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            created_at: Instant(row.confirmed_at.unwrap_or(row.created_at)),
            last_used_at: row.last_used_at.map(Instant).into(),
            disabled: row.disabled_at.is_some(),
        }
    }
}

impl Example for TotpAuthenticator {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            name: "Phone".into(),
            created_at: EXAMPLE_INSTANT,
            last_used_at: Some(EXAMPLE_INSTANT).into(),
            disabled: false,
        }
    }
}

/// A name for something to be told apart by
#[derive(Object)]
#[oai(example)]
pub(super) struct Named {
    /// As its owner likes
    #[oai(validator(min_length = 1, max_length = 64))]
    pub name: Line,
}

impl Example for Named {
    fn example() -> Self {
        Self { name: "Phone".into() }
    }
}

/// A secret for an authenticator app; shown this once
#[derive(Debug, Object)]
#[oai(example)]
struct TotpEnrolment {
    /// Id of the authenticator, to confirm it with
    id: String,
    /// What its owner calls it
    name: String,
    /// The secret in base32, for typing
    secret: String,
    /// The same as a link for authenticator apps (`otpauth://totp/…`)
    otpauth_uri: String,
    /// The link as a QR code: a PNG in a data URI
    qr_png: String,
    /// The link as a QR code: an SVG in a data URI
    qr_svg: String,
    /// The link as a QR code in block characters, for a terminal
    qr_text: String,
    /// When the enrolment is forgotten unless it is confirmed
    expires_at: Instant,
}

impl Example for TotpEnrolment {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            name: "Phone".into(),
            secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into(),
            otpauth_uri: "otpauth://totp/Example:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
                          &issuer=Example"
                .into(),
            qr_png: "data:image/png;base64,iVBORw0KGgo=".into(),
            qr_svg: "data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=".into(),
            qr_text: "█▀▀▀▀▀█ ▄▄▀ █▀▀▀▀▀█".into(),
            expires_at: EXAMPLE_INSTANT,
        }
    }
}

/// A first code
#[derive(Object)]
struct TotpConfirmation {
    /// Six digits out of the app; spaces don't matter
    #[oai(write_only)]
    code: Code,
}

/// An authenticator that counts from now on
#[derive(Debug, Object)]
#[oai(example)]
struct TotpConfirmed {
    /// Always true
    success: bool,
    /// The authenticator
    authenticator: TotpAuthenticator,
    /// Codes that stand in for a lost second factor, each once; shown this once, and null when the account has some
    recovery_codes: Nullable<Vec<String>>,
    /// The session at its new level, in place of the one that was sent
    session: AuthSession,
}

impl Example for TotpConfirmed {
    fn example() -> Self {
        Self {
            success: true,
            authenticator: TotpAuthenticator::example(),
            recovery_codes: Some(vec!["k7m2qx-9f3wtr-b8hd4n-v6zpye".to_owned()]).into(),
            session: AuthSession::example(),
        }
    }
}

/// Codes that stand in for a lost second factor; shown this once
#[derive(Debug, Object)]
#[oai(example)]
struct RecoveryCodes {
    /// Always true
    success: bool,
    /// Ten codes, each good for one sign-in
    recovery_codes: Vec<String>,
}

impl Example for RecoveryCodes {
    fn example() -> Self {
        Self { success: true, recovery_codes: vec!["k7m2qx-9f3wtr-b8hd4n-v6zpye".to_owned()] }
    }
}

/// A second factor for a sign-in that waits for one
#[derive(Object)]
struct MfaVerification {
    /// The ticket that the password gave
    #[oai(write_only)]
    ticket: Token,
    /// What kind of code it is
    method: CodeMethod,
    /// The code; spaces don't matter
    #[oai(write_only)]
    code: Code,
    /// Whether this device may skip the second factor for a while; not after a recovery code
    #[oai(default)]
    remember_device: bool,
}

/// Remembered devices, newest first
#[derive(Debug, Object)]
#[oai(example)]
struct RememberedDevices {
    /// At most 20
    devices: Vec<RememberedDevice>,
}

/// A device on which the second factor may be skipped
#[derive(Debug, Object)]
struct RememberedDevice {
    /// Its id
    id: String,
    /// What it is, such as Firefox on Linux; null when it did not say
    name: Nullable<String>,
    /// Address that it was remembered from
    ip: Nullable<String>,
    /// When it was remembered
    created_at: Instant,
    /// When it last skipped the second factor
    last_used_at: Instant,
    /// When it is forgotten
    expires_at: Instant,
}

impl From<remembered_device::Model> for RememberedDevice {
    fn from(row: remembered_device::Model) -> Self {
        Self {
            id: row.id.to_string(),
            name: crate::device::name(row.user_agent.as_deref()).into(),
            ip: row.ip.into(),
            created_at: Instant(row.created_at),
            last_used_at: Instant(row.last_used_at),
            expires_at: Instant(row.expires_at),
        }
    }
}

impl Example for RememberedDevices {
    fn example() -> Self {
        let device = RememberedDevice {
            id: EXAMPLE_ID.into(),
            name: Some("Firefox on Linux".to_owned()).into(),
            ip: Some("203.0.113.7".to_owned()).into(),
            created_at: EXAMPLE_INSTANT,
            last_used_at: EXAMPLE_INSTANT,
            expires_at: EXAMPLE_INSTANT,
        };
        Self { devices: vec![device] }
    }
}

/// It is done
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct Success {
    /// Always true
    pub success: bool,
}

impl Example for Success {
    fn example() -> Self {
        Self { success: true }
    }
}

errors!(MfaErrors: 401);
errors!(TotpCreateErrors: 401, 408, 409, 413, 415, 422);
errors!(TotpConfirmErrors: 401, 403, 404, 408, 413, 415, 422, 429);
errors!(RenameErrors: 401, 404, 408, 413, 415, 422);
errors!(RemoveErrors: 401, 404, 422);
errors!(RecoveryCodesErrors: 401, 409);
errors!(VerifyErrors: 401, 403, 408, 413, 415, 422, 429);

#[OpenApi(tag = "Tag::Mfa")]
impl MfaApi {
    /// Read the second factors
    ///
    /// What the caller's account has of them, and how many recovery codes are left.
    #[oai(path = "/auth/mfa", method = "get", operation_id = "mfa_get")]
    async fn get(&self, app: App<'_>, Bearer(caller): Bearer) -> Result<Json<MfaStatus>, MfaErrors> {
        Ok(Json(app.factors(&caller).await?.into()))
    }

    /// Enrol an authenticator app
    ///
    /// Makes a secret for an app (RFC 6238: SHA-1, six digits, 30 seconds) and shows it this once. It counts once its first
    /// code is confirmed. Needs a recent sign-in at the account's best level.
    #[oai(path = "/auth/mfa/totp", method = "post", operation_id = "totp_create")]
    async fn enrol(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        Json(body): Json<Named>,
    ) -> Result<Json<TotpEnrolment>, TotpCreateErrors> {
        let enrolled = app.enrol_totp(&caller, body.name.into(), &client).await?;
        let qr = QrCode::new(&enrolled.enrolment.uri);
        Ok(Json(TotpEnrolment {
            id: enrolled.row.id.to_string(),
            name: enrolled.row.name,
            secret: enrolled.enrolment.secret.to_string(),
            otpauth_uri: enrolled.enrolment.uri.to_string(),
            qr_png: qr.png(),
            qr_svg: qr.svg(),
            qr_text: qr.text(),
            expires_at: Instant(enrolled.expires_at),
        }))
    }

    /// Confirm an authenticator app
    ///
    /// The first code shows that the app has the secret. From then on a sign-in needs a second factor. Answers with the
    /// recovery codes, if the account had none, and with the session at aal 2.
    #[oai(path = "/auth/mfa/totp/:id/confirm", method = "post", operation_id = "totp_confirm")]
    async fn confirm(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        /// Id of the authenticator
        id: Path<Uuid>,
        Json(body): Json<TotpConfirmation>,
    ) -> Result<Json<TotpConfirmed>, TotpConfirmErrors> {
        let confirmed = app.confirm_totp(&caller, id.0.into(), body.code.expose(), &client).await?;
        Ok(Json(TotpConfirmed {
            success: true,
            authenticator: confirmed.row.into(),
            recovery_codes: confirmed.recovery_codes.into(),
            session: confirmed.signed_in.tokens.into(),
        }))
    }

    /// Rename an authenticator app
    ///
    /// Gives it another name.
    #[oai(path = "/auth/mfa/totp/:id", method = "patch", operation_id = "totp_update")]
    async fn rename(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        /// Id of the authenticator
        id: Path<Uuid>,
        Json(body): Json<Named>,
    ) -> Result<Json<TotpAuthenticator>, RenameErrors> {
        let row = app.rename_totp(&caller, id.0.into(), body.name.into(), &client).await?;
        Ok(Json(row.into()))
    }

    /// Remove an authenticator app
    ///
    /// Its codes count no longer. With the last second factor go the recovery codes and remembered devices.
    #[oai(path = "/auth/mfa/totp/:id", method = "delete", operation_id = "totp_delete")]
    async fn remove(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        /// Id of the authenticator
        id: Path<Uuid>,
    ) -> Result<Json<Success>, RemoveErrors> {
        app.remove_totp(&caller, id.0.into(), &client).await?;
        Ok(Json(Success { success: true }))
    }

    /// Replace the recovery codes
    ///
    /// Makes ten new codes and shows them this once; those before stop working. Needs a second factor.
    #[oai(path = "/auth/mfa/recovery-codes", method = "post", operation_id = "recovery_codes_create")]
    async fn replace_recovery_codes(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
    ) -> Result<Json<RecoveryCodes>, RecoveryCodesErrors> {
        let recovery_codes = app.replace_recovery_codes(&caller, &client).await?;
        Ok(Json(RecoveryCodes { success: true, recovery_codes }))
    }

    /// Give the second factor
    ///
    /// Completes a sign-in whose `next_step` is `mfa`. Five wrong codes end the ticket. A code counts once. After a recovery
    /// code the account counts as aal 1 for a while, and its stored secrets stay sealed.
    #[oai(path = "/auth/mfa/verify", method = "post", operation_id = "mfa_verify")]
    async fn verify(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<MfaVerification>,
    ) -> Result<Json<AuthResponse>, VerifyErrors> {
        let code = body.method.read(&body.code);
        let signed_in =
            app.sign_in_with_code(body.ticket.expose(), code, body.remember_device, &client).await?;
        Ok(Json(signed_in.into()))
    }

    /// List the remembered devices
    ///
    /// Those on which the second factor may be skipped.
    #[oai(path = "/auth/mfa/devices", method = "get", operation_id = "remembered_device_list")]
    async fn devices(
        &self,
        app: App<'_>,
        Bearer(caller): Bearer,
    ) -> Result<Json<RememberedDevices>, MfaErrors> {
        let rows = app.remembered_devices(&caller).await?;
        Ok(Json(RememberedDevices { devices: rows.into_iter().map(RememberedDevice::from).collect() }))
    }

    /// Forget a remembered device
    ///
    /// From then on it shows the second factor again. Sessions that it has go on.
    #[oai(path = "/auth/mfa/devices/:id", method = "delete", operation_id = "remembered_device_delete")]
    async fn forget_device(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// Id of the device
        id: Path<Uuid>,
    ) -> Result<Json<Success>, RemoveErrors> {
        app.forget_device(&caller, id.0.into(), &client).await?;
        Ok(Json(Success { success: true }))
    }
}
