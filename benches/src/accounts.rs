//! What the load does with accounts: each operation as a script for one connection.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use memchr::memmem;
use serde_json::Value;

use crate::http::{self, Connection, write_request};
use crate::load::{Question, Script};

pub const PASSWORD: &str = "quiet-harbour-lantern-47";
/// Sign-ups at a time while accounts are prepared.
const PREPARING: usize = 4;

/// An account with a session.
pub struct Account {
    pub email: String,
    pub id: String,
    pub access_token: String,
    pub refresh_token: String,
}

impl Account {
    /// The question whose answer is this account's profile and nobody else's.
    pub fn profile(&self) -> Question {
        Question {
            request: http::request("/auth/profile", Some(&self.access_token), None),
            expected: format!("\"{}\"", self.id).into_bytes(),
        }
    }
}

pub fn credentials(email: &str) -> String {
    format!(r#"{{"email":"{email}","password":"{PASSWORD}"}}"#)
}

/// Signs up `count` new accounts, in order.
pub async fn sign_up(address: SocketAddr, count: usize) -> Result<Vec<Account>> {
    let connections = (0..PREPARING).map(|lane| async move {
        let mut connection = Connection::open(address).await?;
        let mut accounts = Vec::new();
        for index in (lane..count).step_by(PREPARING) {
            let email = format!("account-{index}@example.com");
            let request = http::request("/auth/signup", None, Some(&credentials(&email)));
            let (status, body) = connection.exchange(&request).await?;
            ensure!(status == 200, "sign-up answered {status}: {}", String::from_utf8_lossy(body));
            accounts.push(account(email, body)?);
        }
        anyhow::Ok(accounts)
    });
    Ok(try_join_all(connections).await?.into_iter().flatten().collect())
}

fn account(email: String, body: &[u8]) -> Result<Account> {
    let answer: Value = serde_json::from_slice(body)?;
    let text = |pointer: &str| {
        answer
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .with_context(|| format!("no {pointer}"))
    };
    Ok(Account {
        email,
        id: text("/user/id")?,
        access_token: text("/session/access_token")?,
        refresh_token: text("/session/refresh_token")?,
    })
}

/// A counter that the scripts of one load share.
pub type Turn = Rc<Cell<usize>>;

/// Its number, and one more for the next.
pub fn next(turn: &Turn) -> usize {
    turn.replace(turn.get() + 1)
}

/// Logs in to one account after the other.
pub struct Login {
    pub accounts: Rc<[Account]>,
    pub turn: Turn,
}

impl Script for Login {
    fn request(&mut self, out: &mut Vec<u8>) {
        let account = &self.accounts[next(&self.turn) % self.accounts.len()];
        write_request(out, "/auth/login", None, Some(&credentials(&account.email)));
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        value_of(body, ACCESS_TOKEN).is_some()
    }
}

/// Signs up a new address each time.
pub struct Signup {
    pub turn: Turn,
}

impl Script for Signup {
    fn request(&mut self, out: &mut Vec<u8>) {
        let email = format!("newcomer-{}@example.com", next(&self.turn));
        write_request(out, "/auth/signup", None, Some(&credentials(&email)));
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        value_of(body, ACCESS_TOKEN).is_some()
    }
}

/// Asks one question after the other.
pub struct Ask {
    questions: Rc<[Question]>,
    turn: Turn,
    asked: usize,
}

impl Ask {
    pub fn new(questions: &Rc<[Question]>, turn: &Turn) -> Self {
        Self { questions: Rc::clone(questions), turn: Rc::clone(turn), asked: 0 }
    }
}

impl Script for Ask {
    fn request(&mut self, out: &mut Vec<u8>) {
        self.asked = next(&self.turn) % self.questions.len();
        out.clear();
        out.extend_from_slice(&self.questions[self.asked].request);
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        self.questions[self.asked].answered_by(body)
    }
}

/// Refreshes one session again and again, always with its newest token.
pub struct Refresh {
    token: String,
}

impl Refresh {
    pub fn new(account: Account) -> Self {
        Self::with(account.refresh_token)
    }

    pub fn with(token: String) -> Self {
        Self { token }
    }
}

impl Script for Refresh {
    fn request(&mut self, out: &mut Vec<u8>) {
        write_request(out, "/auth/refresh", None, Some(&format!(r#"{{"refresh_token":"{}"}}"#, self.token)));
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        match value_of(body, REFRESH_TOKEN) {
            Some(token) if token != self.token && value_of(body, ACCESS_TOKEN).is_some() => {
                token.clone_into(&mut self.token);
                true
            }
            _ => false,
        }
    }
}

/// Asks for nothing, of the empty handler.
pub struct Nothing;

impl Script for Nothing {
    fn request(&mut self, out: &mut Vec<u8>) {
        write_request(out, "/", None, None);
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        body.is_empty()
    }
}

pub const ACCESS_TOKEN: &[u8] = b"\"access_token\":\"";
pub const REFRESH_TOKEN: &[u8] = b"\"refresh_token\":\"";

/// The string after `key`, found without parsing the document around it; tokens need no unescaping.
pub fn value_of<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = &body[memmem::find(body, key)? + key.len()..];
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok().filter(|value| !value.is_empty())
}
