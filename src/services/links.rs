//! What mailed links have in common: 256 random bits, hashed at rest, used once, for a limited time, until something newer
//! takes their place. Rows of links are changed with their account locked, so that of many uses at once one counts.

use entities::{AccountId, Timestamp};
use sea_orm::{DatabaseTransaction, DbErr};

use super::limits::Limit;
use super::{Error, Origin, Services, email_changes, password_resets};
use crate::crypto::opaque_token::OpaqueToken;

impl Services {
    /// The address of a page with a token for it. From the settings, never from a request.
    pub(super) fn link(&self, page: &str, token: &OpaqueToken) -> String {
        format!("{}/{page}?token={}", self.config.public_url(), token.expose())
    }

    /// Where somebody asks for a new password.
    pub(super) fn recovery_link(&self) -> String {
        format!("{}/forgot-password", self.config.public_url())
    }

    /// Counts an attempt to use a link.
    pub(super) async fn admit_link(&self, origin: &Origin) -> Result<(), Error> {
        self.admit(vec![Limit::address("link", origin.ip, self.config.limits.verify_per_address)]).await
    }
}

/// Whether a link works. Whoever holds all 256 bits may know what became of them; nobody else learns anything.
pub(super) fn judge(
    used: Option<Timestamp>,
    superseded: Option<Timestamp>,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    match (used, superseded) {
        (Some(_), _) => Err(Error::UsedLink),
        (None, Some(_)) => Err(Error::InvalidLink),
        (None, None) if until <= now => Err(Error::ExpiredLink),
        (None, None) => Ok(()),
    }
}

/// Stops the links to new passwords and new addresses that somebody may hold: what protects the account has changed.
pub(super) async fn supersede(
    db: &DatabaseTransaction,
    account: AccountId,
    now: Timestamp,
) -> Result<(), DbErr> {
    password_resets::supersede(db, account, now).await?;
    email_changes::supersede(db, account, now).await
}
