//! What vendors say, in words of ours.

use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A webhook as it came. What is signed are these bytes, not what they mean.
#[derive(Debug, Clone, Copy)]
pub struct Webhook<'a> {
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

impl Webhook<'_> {
    /// A header that is there once, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    }

    pub fn json(&self) -> Result<Value, Unreadable> {
        serde_json::from_slice(self.body).map_err(|_| Unreadable("not JSON"))
    }
}

/// A genuine webhook that can't be understood. The text names what is missing and repeats nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);

/// How far a verification has come.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::EnumIter,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The person has something to do.
    Pending,
    /// The vendor, or one of its people, or a reviewer looks at it.
    InReview,
    /// The person may try again.
    Resubmission,
    /// Given up, or approved too long ago.
    Expired,
    Approved,
    Declined,
    /// By the person or by us; no vendor says so.
    Cancelled,
}

/// What was looked at and found in order.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Check {
    /// An identity document.
    Document,
    /// That the person is the one on the document, and alive.
    Face,
    Address,
    /// A number that a state has given to the person.
    IdNumber,
    Email,
    Phone,
    /// Lists of sanctions and the like.
    Watchlist,
    /// Data compared with a register.
    Database,
}

/// What a vendor has found so far. Nothing of who the person is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub status: Status,
    /// Whether `pending` or `in_review` take back a decision: a reset, a review that was opened again. Decisions always do.
    pub explicit: bool,
    /// The vendor's codes for why, at most [`Finding::MOST_REASONS`], for reviewers and logs.
    pub reasons: Vec<String>,
    /// What was found in order, where the vendor tells it.
    pub checks: Vec<Check>,
    /// The vendor's own word for the status.
    pub raw_status: String,
}

impl Finding {
    pub const MOST_REASONS: usize = 20;
    const LONGEST_REASON: usize = 100;

    #[must_use]
    pub fn new(status: Status, raw_status: impl Into<String>) -> Self {
        Self { status, explicit: false, reasons: vec![], checks: vec![], raw_status: raw_status.into() }
    }

    /// With the texts of these values as reasons.
    #[must_use]
    pub fn because<'a>(mut self, reasons: impl IntoIterator<Item = &'a Value>) -> Self {
        let texts = reasons.into_iter().filter_map(|value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        self.reasons.extend(texts);
        self
    }

    #[must_use]
    pub fn checked(mut self, checks: impl IntoIterator<Item = Check>) -> Self {
        self.checks.extend(checks);
        self.checks.sort_unstable();
        self.checks.dedup();
        self
    }

    #[must_use]
    pub fn explicitly(self) -> Self {
        Self { explicit: true, ..self }
    }

    /// Bounded, and of printable characters: a vendor's text is as foreign as a user's.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        let clean = |text: &str| {
            text.chars().filter(|letter| !letter.is_control()).take(Self::LONGEST_REASON).collect::<String>()
        };
        self.reasons.truncate(Self::MOST_REASONS);
        self.reasons.iter_mut().for_each(|reason| *reason = clean(reason));
        self.raw_status = clean(&self.raw_status);
        self
    }
}

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The vendor's name for this kind of event.
    pub name: String,
    /// The same at each delivery of one event, another for every other one.
    pub dedupe_key: String,
    /// The vendor's id of the verification.
    pub reference: Option<String>,
    /// Ours, as the vendor gives it back. Must agree with what is stored under the reference.
    pub external_id: Option<String>,
    /// When it happened, in milliseconds since the Unix epoch, where that is signed.
    pub occurred_at: Option<i64>,
    /// Nothing where this kind of event says nothing of the state.
    pub finding: Option<Finding>,
}
