//! One newtype per kind of row, all UUIDv7 (RFC 9562): sortable by creation, and never mistaken for each other.

use sea_orm::DeriveValueType;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        // A primary key must say whether it can come from a counter. Ours can't.
        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )*};
}

ids! {
    /// A person's account.
    AccountId,
    /// One sign-in, until it ends.
    SessionId,
    /// One mailed link that confirms an address.
    EmailVerificationId,
    /// A key of the server itself.
    ServerKeyId,
    /// An entry of the audit trail.
    AuditEventId,
    /// Something to be delivered.
    OutboxMessageId,
    /// An app that shows time-based codes.
    TotpAuthenticatorId,
    /// A WebAuthn credential.
    PasskeyId,
    /// A code that stands in for a lost second factor.
    RecoveryCodeId,
    /// One wait for a second factor.
    MfaTicketId,
    /// One WebAuthn ceremony.
    WebauthnChallengeId,
    /// A device on which the second factor may be skipped.
    RememberedDeviceId,
    /// One mailed link that replaces a password.
    PasswordResetId,
    /// One change of an address.
    EmailChangeId,
    /// A credential of a third party.
    ApiKeyId,
    /// A key of a server that acts for an account.
    AccessKeyId,
    /// One identity check.
    KycVerificationId,
    /// One step of an identity check.
    KycChangeId,
    /// A webhook of a provider of identity checks.
    KycEventId,
    /// The key of a person's events.
    KycPersonKeyId,
    /// An event on its way to an endpoint of the operator's.
    WebhookDeliveryId,
}
