//! The mails that accounts get. Each says who sent it, why, how long its link lives, and what to do if it was
//! not asked for.

use std::{fmt, net::IpAddr};

use askama::Template;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, macros::format_description};

/// A mail, before it is rendered: what the outbox stores, sealed, because links are secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", rename_all = "snake_case")]
pub enum Mail {
    /// To the address of a new account: open the link, press the button.
    VerifyEmail {
        /// The page with the button, token included.
        link: String,
        /// Seconds that the link lives.
        expires_in: u64,
    },
    /// To an address that somebody tried to sign up with, though it has an account.
    AccountExists {
        /// Where its owner signs in, if the deployer has such a page.
        login_link: Option<String>,
        /// Where its owner asks for a new password, if there is such a page.
        recovery_link: Option<String>,
    },
    /// TEMP
    PasswordChanged { at: i64, ip: Option<IpAddr>, recovery_link: Option<String> },
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "template", rename_all = "snake_case")]
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
    /// All sessions were ended, because a refresh token was used twice.
    SessionsEnded,
    /// An operator removed all second factors.
    FactorsReset,
    /// The right password, and a wrong second factor, several times.
    SuspiciousSignIn,
    AccountDisabled,
    AccountEnabled,
}

/// A mail in words.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The name of the template.
    pub template: &'static str,
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part: one self-contained document, no remote parts.
    pub html: String,
}

impl Mail {
    /// A stable name, for file names, metrics and logs.
    pub fn template(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::AccountExists { .. } => "account_exists",
            Self::PasswordChanged { .. } => "password_changed",
            _ => "notice",
        }
    }

    /// The mail as sent by the service that calls itself `product`.
    pub fn render(&self, product: &str) -> Rendered {
        let (subject, text, html) = match self {
            Self::VerifyEmail { link, expires_in } => {
                let lifetime = &lifetime(*expires_in);
                (
                    format!("Confirm your e-mail address for {product}"),
                    words(&VerifyEmailText { product, link, lifetime }),
                    words(&VerifyEmailHtml { product, link, lifetime }),
                )
            }
            Self::AccountExists { login_link, recovery_link } => {
                let (login_link, recovery_link) = (login_link.as_deref(), recovery_link.as_deref());
                (
                    format!("You already have an account at {product}"),
                    words(&AccountExistsText { product, login_link, recovery_link }),
                    words(&AccountExistsHtml { product, login_link, recovery_link }),
                )
            }
            Self::PasswordChanged { at, ip, recovery_link } => {
                let (at, recovery_link) = (&moment(*at), recovery_link.as_deref());
                (
                    format!("Your password for {product} was changed"),
                    words(&PasswordChangedText { product, at, ip, recovery_link }),
                    words(&PasswordChangedHtml { product, at, ip, recovery_link }),
                )
            }
            _ => (String::new(), String::new(), String::new()),
        };
        Rendered { template: self.template(), subject, text, html }
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

#[derive(Template)]
#[template(path = "mail/verify_email.txt")]
struct VerifyEmailText<'a> {
    product: &'a str,
    link: &'a str,
    lifetime: &'a str,
}

#[derive(Template)]
#[template(path = "mail/verify_email.html")]
struct VerifyEmailHtml<'a> {
    product: &'a str,
    link: &'a str,
    lifetime: &'a str,
}

#[derive(Template)]
#[template(path = "mail/account_exists.txt")]
struct AccountExistsText<'a> {
    product: &'a str,
    login_link: Option<&'a str>,
    recovery_link: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/account_exists.html")]
struct AccountExistsHtml<'a> {
    product: &'a str,
    login_link: Option<&'a str>,
    recovery_link: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/password_changed.txt")]
struct PasswordChangedText<'a> {
    product: &'a str,
    at: &'a str,
    ip: &'a Option<IpAddr>,
    recovery_link: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "mail/password_changed.html")]
struct PasswordChangedHtml<'a> {
    product: &'a str,
    at: &'a str,
    ip: &'a Option<IpAddr>,
    recovery_link: Option<&'a str>,
}

fn words(template: &impl Template) -> String {
    template.render().expect("these templates only format strings, which cannot fail")
}

/// A lifetime in the largest unit that divides it: "24 hours", "1 hour", "90 minutes".
fn lifetime(seconds: u64) -> String {
    let (count, unit) = match seconds {
        s if s >= 2 * 86_400 && s.is_multiple_of(86_400) => (s / 86_400, "day"),
        s if s >= 3600 && s.is_multiple_of(3600) => (s / 3600, "hour"),
        s if s >= 60 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// "23 November 2026 at 21:20 UTC".
fn moment(unix_seconds: i64) -> String {
    let format = format_description!("[day padding:none] [month repr:long] [year] at [hour]:[minute] UTC");
    let moment = OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(format).expect("the format names only parts that a date and time have")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://id.example.com/verify-email?token=lk_ev_0123456789abcdef&lang=en";

    fn samples() -> Vec<Mail> {
        let link = || Some("https://app.example.com/page".to_owned());
        let ip = || Some("2001:db8::7".parse().unwrap());
        vec![
            Mail::VerifyEmail { link: LINK.into(), expires_in: 86_400 },
            Mail::AccountExists { login_link: link(), recovery_link: link() },
            Mail::AccountExists { login_link: None, recovery_link: None },
            Mail::PasswordChanged { at: 1_795_478_400, ip: ip(), recovery_link: link() },
            Mail::PasswordChanged { at: 1_795_478_400, ip: None, recovery_link: None },
        ]
    }

    #[test]
    fn every_mail_says_who_why_and_what_if_not() {
        for mail in samples() {
            let Rendered { subject, text, html, .. } = mail.render("Acme");
            assert!(subject.contains("Acme") && !subject.contains(['\r', '\n']), "{subject}");
            for part in [&text, &html] {
                assert!(part.contains("Acme"), "{part}");
                assert!(part.contains("because"), "{part}");
                assert!(part.contains("not you") || part.contains("did not"), "{part}");
                assert!(!part.contains("{{") && !part.contains("{%"), "{part}");
            }
            assert!(text.lines().all(|line| line.len() <= 78 || line.starts_with("http")), "{text}");
            assert!(!text.contains('<') && !text.contains("\n\n\n") && text.ends_with('\n'), "{text}");
        }
    }

    #[test]
    fn html_is_complete_and_loads_nothing() {
        for mail in samples() {
            let html = mail.render("Acme").html;
            assert!(html.starts_with("<!doctype html>\n<html lang=\"en\""), "{html}");
            assert!(html.trim_end().ends_with("</html>"));
            assert!(html.contains("color-scheme"), "dark mode is announced");
            for remote in ["<img", "<script", "<link", "src=", "url(", "@import"] {
                assert!(!html.contains(remote), "{remote} in {html}");
            }
        }
    }

    #[test]
    fn the_verification_mail_has_its_link_and_its_lifetime_in_both_parts() {
        let mail = Mail::VerifyEmail { link: LINK.into(), expires_in: 86_400 }.render("Acme");
        assert!(mail.text.contains(&format!("\n{LINK}\n")), "{}", mail.text);
        assert!(mail.html.contains(&format!("href=\"{}\"", LINK.replace('&', "&#38;"))), "{}", mail.html);
        assert!(mail.text.contains("24 hours") && mail.html.contains("24 hours"));
    }

    #[test]
    fn the_password_mail_says_when_and_from_where() {
        let mail = samples().remove(3).render("Acme");
        for part in [mail.text, mail.html] {
            assert!(part.contains("24 November 2026 at 00:00 UTC") && part.contains("2001:db8::7"), "{part}");
        }
    }

    #[test]
    fn html_escapes_what_it_is_given() {
        let mail = Mail::VerifyEmail { link: "\"><script>alert(1)</script>".into(), expires_in: 60 };
        let html = mail.render("<b>Acme</b>").html;
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn lifetimes_are_in_words() {
        for (seconds, words) in [
            (1, "1 second"),
            (60, "1 minute"),
            (1800, "30 minutes"),
            (3600, "1 hour"),
            (5400, "90 minutes"),
            (86_400, "24 hours"),
            (259_200, "3 days"),
        ] {
            assert_eq!(lifetime(seconds), words);
        }
    }

    #[test]
    fn mails_survive_the_outbox_and_debug_hides_their_links() {
        for mail in samples() {
            let stored = serde_json::to_string(&mail).unwrap();
            assert!(stored.contains(&format!("\"template\":\"{}\"", mail.template())), "{stored}");
            assert_eq!(serde_json::from_str::<Mail>(&stored).unwrap(), mail);
            let debug = format!("{mail:?} {:?}", mail.render("Acme"));
            assert!(!debug.contains("http"), "{debug}");
        }
    }
}
