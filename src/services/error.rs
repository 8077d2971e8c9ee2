//! Why a service says no.

use std::time::Duration;

use entities::account::Role;
use sea_orm::DbErr;

use super::access_keys::Scope;
use super::policy::Shortfall;
use super::vault::Mistake;
use crate::crypto::password::Refusal;
use crate::crypto::signing_key::UnusableKey;
use crate::db::{BatchError, Overloaded};

/// Every refusal there is. `api::problem` gives each its status, code and words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown address or wrong password: the same to the caller.
    #[error("wrong address or password")]
    InvalidCredentials,
    /// The password was right; the address is not confirmed yet.
    #[error("the address is not confirmed")]
    EmailNotVerified,
    /// The password was right; an operator has disabled the account.
    #[error("the account is disabled")]
    AccountDisabled,
    /// Not an access token of ours, expired, or its session has ended.
    #[error("invalid access token")]
    InvalidAccessToken,
    /// Signed in, but not well enough, or too long ago, for what was asked.
    #[error("insufficient user authentication")]
    InsufficientAuthentication(Shortfall),
    /// Nobody decides about themselves.
    #[error("this is the caller's own case")]
    OwnCase,
    /// Without this operator there would be none.
    #[error("this is the last operator; make somebody else one first")]
    LastOperator,
    /// A webhook that no provider of ours has sent, as far as can be told.
    #[error("not a webhook of a provider")]
    InvalidWebhook,
    /// The verification has been decided, has expired or was cancelled.
    #[error("the verification is closed")]
    VerificationClosed,
    /// The key was sent before, with another request.
    #[error("the idempotency key was used for something else")]
    IdempotencyKeyReused,
    /// The same request is being worked on.
    #[error("the same request is under way")]
    InProgress,
    /// A provider of identity checks refused, or answered what makes no sense.
    #[error("the provider failed")]
    ProviderFailed,
    /// A provider of identity checks does not answer; try again after this time.
    #[error("the provider does not answer")]
    ProviderUnavailable(Duration),
    /// The account may not do this for others.
    #[error("the account lacks a role")]
    InsufficientRole(Role),
    /// Unknown, expired or used, or five wrong answers were given with it.
    #[error("invalid mfa ticket")]
    InvalidTicket,
    /// Wrong, or used before.
    #[error("wrong code")]
    WrongCode,
    /// The authenticator's answer does not verify, or it is not one of the account's.
    #[error("passkey refused")]
    PasskeyRefused,
    /// The server is known by an IP address, to which no passkey can be bound.
    #[error("no domain for passkeys")]
    PasskeysUnavailable,
    /// The account has no second factor that this could go with.
    #[error("no second factor")]
    NoSecondFactor,
    /// There is none, or it is not the caller's.
    #[error("not found")]
    NotFound,
    /// As many as an account may have are there.
    #[error("there are too many of these")]
    LimitReached,
    /// Members of the request that can't be taken as they are.
    #[error("{} members are not acceptable", .0.len())]
    InvalidFields(Vec<Mistake>),
    /// The owner has another one of this name.
    #[error("the name is taken")]
    NameTaken,
    /// Another request has changed the same since this one has read it.
    #[error("changed meanwhile")]
    ChangedMeanwhile,
    /// An access key that was not made for this.
    #[error("the access key lacks a scope")]
    InsufficientScope(Scope),
    /// The account was recovered of late.
    #[error("secrets are sealed for a while")]
    SecretsSealed,
    /// The service wants the secret itself in each request: there is nothing to sign with.
    #[error("the connector has no signatures")]
    SigningUnsupported,
    /// The owner has not allowed requests like this to be signed.
    #[error("this request may not be signed")]
    SigningNotAllowed,
    /// The owner said that the credential ends before now.
    #[error("the credential has expired")]
    CredentialExpired,
    /// A stored credential was altered, moved, or sealed with another key. One error for every reason.
    #[error("a stored credential can't be opened")]
    CredentialUnreadable,
    /// Not a refresh token of ours, or its session has ended.
    #[error("invalid refresh token")]
    InvalidRefreshToken,
    /// A refresh token that was replaced before: the session has been ended as stolen.
    #[error("refresh token used before")]
    RefreshTokenReused,
    /// Unknown, malformed or replaced by a newer one.
    #[error("invalid verification token")]
    InvalidVerificationToken,
    #[error("expired verification token")]
    ExpiredVerificationToken,
    #[error("used verification token")]
    UsedVerificationToken,
    /// A mailed link that is unknown, malformed or replaced by a newer one.
    #[error("invalid link")]
    InvalidLink,
    #[error("expired link")]
    ExpiredLink,
    #[error("used link")]
    UsedLink,
    /// The new password is not acceptable.
    #[error("{0}")]
    PasswordRefused(Refusal),
    /// The current password given with a change is wrong.
    #[error("wrong current password")]
    WrongCurrentPassword,
    /// Too often; come back after this time.
    #[error("too often; wait {} s", .0.as_secs() + 1)]
    RateLimited(Duration),
    /// More work than the server can queue.
    #[error("too much work is waiting")]
    Overloaded,
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// A mistake of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::from(&error)
    }
}

impl From<&DbErr> for Error {
    fn from(error: &DbErr) -> Self {
        use sea_orm::RuntimeErr::SqlxError;
        use sea_orm::sqlx::Error as Sqlx;
        let passing = match error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
            DbErr::Query(SqlxError(error)) | DbErr::Exec(SqlxError(error)) => match error.as_ref() {
                Sqlx::Io(_) | Sqlx::Tls(_) | Sqlx::PoolTimedOut | Sqlx::PoolClosed | Sqlx::WorkerCrashed => {
                    true
                }
                Sqlx::Database(error) => error.code().is_some_and(|code| passes(&code)),
                _ => false,
            },
            _ => false,
        };
        if passing { Self::Unavailable(error.to_string()) } else { Self::Internal(error.to_string()) }
    }
}

/// Whether what the database refuses for this reason may be granted later.
fn passes(code: &str) -> bool {
    // SQLite's are numbers, of which the last byte is the kind and the rest says more (https://www.sqlite.org/rescode.html):
    // busy, locked, out of memory, read-only, I/O error, full, can't open.
    if code.len() < 5 {
        return code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14));
    }
    // PostgreSQL's: shutdown, too many connections, serialization, deadlock, time-out, read-only, disk full.
    ["57P", "53", "40", "08", "57014", "25006"].iter().any(|class| code.starts_with(class))
}

impl From<Overloaded> for Error {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl From<crate::crypto::password::Overloaded> for Error {
    fn from(_: crate::crypto::password::Overloaded) -> Self {
        Self::Overloaded
    }
}

impl From<BatchError> for Error {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Overloaded(_) => Self::Overloaded,
            BatchError::Db(error) => Self::from(&*error),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::PasswordRefused(refusal)
    }
}

impl From<UnusableKey> for Error {
    fn from(error: UnusableKey) -> Self {
        Self::Internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn what_passes_is_told_from_mistakes_of_ours() {
        // SQLITE_BUSY_SNAPSHOT, SQLITE_BUSY_TIMEOUT, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_READONLY_DBMOVED, SQLITE_CANTOPEN.
        for code in [
            "5", "517", "773", "778", "1034", "1032", "13", "14", "53100", "57P01", "57014", "40001", "08006",
        ] {
            assert!(passes(code), "{code}");
        }
        // SQLITE_ERROR, SQLITE_CONSTRAINT_UNIQUE, SQLITE_CORRUPT; unique_violation, syntax_error, undefined_column.
        for code in ["1", "2067", "11", "23505", "42601", "42703", ""] {
            assert!(!passes(code), "{code}");
        }
    }
}
