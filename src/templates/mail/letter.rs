//! A mail as a row of blocks, in the order that holds for all mails, and the two layouts of it.

use std::net::IpAddr;

use askama::Template;
use textwrap::{Options, WordSplitter};

use super::texts::{Texts, tame};
use super::{Mail, NoticeEvent};
use crate::locale::Locale;

/// Columns of the text part (RFC 5322, 2.1.1).
const COLUMNS: usize = 78;

/// A piece of a mail between two blank lines.
pub(super) enum Block {
    Paragraph(String),
    /// Lines of a label and a value.
    Facts(Vec<(String, String)>),
    /// The thing to do.
    Button {
        label: String,
        link: String,
    },
    /// Another thing that can be done.
    Link {
        label: String,
        link: String,
    },
    /// The button's link once more, for programs that show no buttons; in HTML only.
    Fallback {
        label: String,
        link: String,
    },
}

/// All that a layout shows.
pub(super) struct Letter {
    locale: &'static str,
    product: String,
    pub(super) subject: String,
    heading: String,
    blocks: Vec<Block>,
    /// Why one gets this mail.
    reason: String,
}

/// What the texts of a mail mention and its blocks show.
#[derive(Default)]
struct Contents<'a> {
    /// Where the button leads.
    link: Option<&'a str>,
    expires_in: Option<u64>,
    recovery_link: Option<&'a str>,
    /// What the mail is about: a name that its owner knows it by.
    name: Option<&'a str>,
    at: Option<i64>,
    ip: Option<IpAddr>,
    device: Option<&'a str>,
    due: Option<i64>,
    left: Option<u32>,
}

impl<'a> Contents<'a> {
    fn of(mail: &'a Mail) -> Self {
        match mail {
            Mail::VerifyEmail { link, expires_in }
            | Mail::ResetPassword { link, expires_in }
            | Mail::ConfirmEmailChange { link, expires_in } => {
                Self { link: Some(link), expires_in: Some(*expires_in), ..Self::default() }
            }
            Mail::AccountExists { login_link, recovery_link } => Self {
                link: login_link.as_deref(),
                recovery_link: recovery_link.as_deref(),
                ..Self::default()
            },
            Mail::EmailChanged { new_email_masked, link, expires_in, at, ip } => Self {
                name: Some(new_email_masked),
                link: Some(link),
                expires_in: Some(*expires_in),
                at: Some(*at),
                ip: *ip,
                ..Self::default()
            },
            Mail::EmailRestored { at, ip, link, expires_in } => Self {
                link: link.as_deref(),
                expires_in: Some(*expires_in),
                at: Some(*at),
                ip: *ip,
                ..Self::default()
            },
            Mail::DeletionScheduled { due } => Self { due: Some(*due), ..Self::default() },
            Mail::EmailChangeTaken | Mail::DeletionCancelled | Mail::AccountDeleted => Self::default(),
            Mail::Notice { event, at, ip, device, recovery_link } => Self {
                name: event.name(),
                left: event.left(),
                at: Some(*at),
                ip: *ip,
                device: device.as_deref(),
                link: recovery_link.as_deref().filter(|_| !event.is_about_access()),
                ..Self::default()
            },
        }
    }

    fn texts(&self, product: &str, locale: Locale) -> Texts<'static> {
        let mut texts = Texts::new(locale);
        texts.set("product", product);
        texts.set("link", if self.link.is_some() { "yes" } else { "no" });
        if let Some(seconds) = self.expires_in {
            texts.set("lifetime", &texts.lifetime(seconds));
        }
        if let Some(due) = self.due {
            texts.set("due", &texts.moment(due));
        }
        if let Some(left) = self.left {
            texts.count("left", left);
        }
        texts
    }

    fn facts(&self, template: &str, texts: &Texts<'_>) -> Vec<(String, String)> {
        let name = || texts.part(template, "name").unwrap_or_default();
        let label = |part| texts.shared("facts", part);
        let facts = [
            self.name.map(|value| (name(), tame(value))),
            self.at.map(|at| (label("when"), texts.moment(at))),
            self.ip.map(|ip| (label("from"), ip.to_string())),
            self.device.map(|device| (label("device"), tame(device))),
        ];
        facts.into_iter().flatten().collect()
    }
}

impl NoticeEvent {
    fn name(&self) -> Option<&str> {
        match self {
            Self::SecondFactorAdded { name }
            | Self::SecondFactorRemoved { name }
            | Self::SecondFactorDisabled { name }
            | Self::SecretRevealed { name }
            | Self::AccessKeyAdded { name }
            | Self::PasskeyAdded { name }
            | Self::PasskeyRemoved { name }
            | Self::PasskeyCloned { name }
            | Self::DeviceRemembered { name } => Some(name),
            _ => None,
        }
    }

    /// An operator decided whether the account may be used; a new password changes nothing about it.
    fn is_about_access(&self) -> bool {
        matches!(self, Self::AccountDisabled | Self::AccountEnabled)
    }

    fn left(&self) -> Option<u32> {
        match self {
            Self::RecoveryCodeUsed { left } => Some(*left),
            _ => None,
        }
    }
}

impl Letter {
    pub(super) fn new(mail: &Mail, product: &str, locale: Locale) -> Self {
        let template = mail.template();
        let contents = Contents::of(mail);
        let texts = contents.texts(product, locale);
        let own = |part| texts.part(template, part).unwrap_or_default();
        let own_or_shared = |part| texts.part(template, part).unwrap_or_else(|| texts.shared("shared", part));

        let mut blocks = paragraphs(&own("text"));
        let facts = contents.facts(template, &texts);
        if !facts.is_empty() {
            blocks.push(Block::Facts(facts));
        }
        blocks.extend(paragraphs(&own("next")));
        if let Some(link) = contents.link {
            blocks.push(Block::Button { label: own_or_shared("button"), link: link.to_owned() });
        }
        if let Some(link) = contents.recovery_link {
            blocks.extend(paragraphs(&own("recovery")));
            blocks.push(Block::Link { label: texts.shared("shared", "button"), link: link.to_owned() });
        }
        blocks.extend(paragraphs(&own("after")));
        if let Some(link) = contents.link {
            blocks.push(Block::Fallback { label: texts.shared("shared", "fallback"), link: link.to_owned() });
        }
        Self {
            locale: locale.into(),
            product: tame(product),
            subject: own("subject"),
            heading: own("heading"),
            blocks,
            reason: own_or_shared("reason"),
        }
    }

    pub(super) fn text(&self) -> String {
        words(&Text { letter: self })
    }

    pub(super) fn html(&self) -> String {
        words(&Html { letter: self })
    }
}

/// The paragraphs of a text: blank lines are between them, other line breaks mean nothing.
fn paragraphs(text: &str) -> Vec<Block> {
    let lines = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(lines).filter(|text| !text.is_empty()).map(Block::Paragraph).collect()
}

#[derive(Template)]
#[template(path = "mail/layout.txt")]
struct Text<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail/layout.html")]
struct Html<'a> {
    letter: &'a Letter,
}

impl Text<'_> {
    fn fact(&self, label: &str, value: &str) -> String {
        self.wrap(&format!("{label}: {value}"))
    }

    fn wrap(&self, text: &str) -> String {
        textwrap::fill(text, Options::new(COLUMNS).word_splitter(WordSplitter::NoHyphenation))
    }
}

fn words(template: &impl Template) -> String {
    template.render().expect("these templates only format strings, which cannot fail")
}
