//! The mails that accounts get. Each says who sent it, why, how long its link lives, and what to do if it was
//! not asked for.
//!
//! The texts are in one Fluent file per language (`src/templates/locales`), under the name of the mail; [`letter`] puts
//! them into an order that holds for all mails, and one layout each makes the text and the HTML of it.

mod letter;
#[cfg(test)]
mod tests;
mod texts;

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::locale::Locale;

/// A mail, before it is rendered: what the outbox stores, sealed, because links are secrets. Instants are seconds since
/// the Unix epoch, lifetimes are seconds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[cfg_attr(test, derive(strum::EnumDiscriminants), strum_discriminants(derive(strum::EnumIter, Hash)))]
#[serde(tag = "template", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Mail {
    /// To the address of a new account: open the link, press the button.
    VerifyEmail {
        /// The page with the button, token included.
        link: String,
        expires_in: u64,
    },
    /// To an address that somebody tried to sign up with, though it has an account.
    AccountExists {
        /// Where its owner signs in, if the deployer has such a page.
        login_link: Option<String>,
        /// Where its owner asks for a new password, if there is such a page.
        recovery_link: Option<String>,
    },
    /// To an account whose password was forgotten.
    ResetPassword {
        /// The page that takes the new password, token included.
        link: String,
        expires_in: u64,
    },
    /// To the address that an account wants to have from now on.
    ConfirmEmailChange {
        /// The page with the button, token included.
        link: String,
        expires_in: u64,
    },
    /// To such an address, when it has an account already.
    EmailChangeTaken,
    /// To the address that an account had until now.
    EmailChanged {
        /// The new address, with so much hidden that it tells a stranger nothing.
        new_email_masked: String,
        /// The page that takes the change back, token included.
        link: String,
        expires_in: u64,
        at: i64,
        ip: Option<IpAddr>,
    },
    /// To the address that an account has again, since the change was taken back.
    EmailRestored {
        at: i64,
        ip: Option<IpAddr>,
        /// The page that takes a new password, token included, if a token came with it.
        link: Option<String>,
        expires_in: u64,
    },
    /// The owner asked to have the account deleted.
    DeletionScheduled {
        /// When it will be gone.
        due: i64,
    },
    /// A sign-in took the deletion back.
    DeletionCancelled,
    /// The account is gone.
    AccountDeleted,
    /// Something happened to an account that its owner must know of.
    // Stored under the name of the event, as all mails are under theirs.
    #[serde(untagged)]
    Notice {
        #[serde(flatten)]
        event: NoticeEvent,
        /// When.
        at: i64,
        /// The address that the request came from, if known.
        ip: Option<IpAddr>,
        /// What the person was recognised to use, such as "Firefox on Linux".
        device: Option<String>,
        /// Where the owner asks for a new password, if there is such a page.
        recovery_link: Option<String>,
    },
}

/// What a [`Mail::Notice`] is about. Names are as the owner gave them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[cfg_attr(test, derive(strum::EnumDiscriminants), strum_discriminants(derive(strum::EnumIter, Hash)))]
#[serde(tag = "template", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NoticeEvent {
    PasswordChanged,
    /// With a mailed link.
    PasswordReset,
    /// A sign-in from a device that was not seen before.
    NewDevice,
    SecondFactorAdded {
        name: String,
    },
    SecondFactorRemoved {
        name: String,
    },
    /// After too many wrong codes.
    SecondFactorDisabled {
        name: String,
    },
    /// A stored credential was shown, on a device where none had been before.
    SecretRevealed {
        name: String,
    },
    AccessKeyAdded {
        name: String,
    },
    PasskeyAdded {
        name: String,
    },
    PasskeyRemoved {
        name: String,
    },
    /// Its signature counter went backwards: it may have been copied.
    PasskeyCloned {
        name: String,
    },
    RecoveryCodeUsed {
        /// How many are left.
        left: u32,
    },
    RecoveryCodesReplaced,
    /// A device need not show a second factor for a while.
    DeviceRemembered {
        name: String,
    },
    /// A session was ended, because its refresh token was used twice.
    SessionStolen,
    /// An operator removed all second factors.
    FactorsReset,
    /// The right password, and a wrong second factor, several times.
    SuspiciousSignIn,
    AccountDisabled,
    AccountEnabled,
    /// A verification was approved, and the account is worth more.
    IdentityVerified,
}

/// A mail in words.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The name of the template.
    pub template: &'static str,
    /// The language it is in.
    pub locale: Locale,
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part: one self-contained document, no remote parts.
    pub html: String,
}

impl Mail {
    /// A stable name, for file names, metrics, logs, and the texts.
    pub fn template(&self) -> &'static str {
        match self {
            Self::Notice { event, .. } => event.into(),
            mail => mail.into(),
        }
    }

    /// The mail as sent by the service that calls itself `product`.
    pub fn render(&self, product: &str, locale: Locale) -> Rendered {
        let letter = letter::Letter::new(self, product, locale);
        Rendered {
            template: self.template(),
            locale,
            text: letter.text(),
            html: letter.html(),
            subject: letter.subject,
        }
    }
}

// The contents hold links that sign people in.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("template", &self.template()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered").field("template", &self.template).finish_non_exhaustive()
    }
}
