//! The rows: SeaORM entities and id newtypes. No serde and no OpenAPI derives here, so that a row can't leak by accident.

pub mod access_key;
pub mod account;
pub mod api_key;
pub mod audit_event;
pub mod email_change;
pub mod email_verification;
pub mod id;
pub mod kyc_change;
pub mod kyc_event;
pub mod kyc_person_key;
pub mod kyc_verification;
pub mod mfa_ticket;
pub mod outbox_message;
pub mod passkey;
pub mod password_reset;
pub mod rate_limit;
pub mod recovery_code;
pub mod remembered_device;
pub mod seen_device;
pub mod server_key;
pub mod session;
pub mod timestamp;
pub mod totp_authenticator;
pub mod webauthn_challenge;
pub mod webhook_delivery;

pub use id::{
    AccessKeyId, AccountId, ApiKeyId, AuditEventId, EmailChangeId, EmailVerificationId, KycChangeId,
    KycEventId, KycPersonKeyId, KycVerificationId, MfaTicketId, OutboxMessageId, PasskeyId, PasswordResetId,
    RecoveryCodeId, RememberedDeviceId, ServerKeyId, SessionId, TotpAuthenticatorId, WebauthnChallengeId,
    WebhookDeliveryId,
};
pub use timestamp::Timestamp;
