//! Those who are measured: accounts all over the table, who sign in, store credentials and come back.

use std::process::Command;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::copies;
use crate::accounts::{ACCESS_TOKEN, REFRESH_TOKEN, credentials, value_of};
use crate::http::{self, Connection};
use crate::load::Question;
use crate::process::Process;
use crate::vault::{self, ID};

/// Credentials of each of them.
const HELD: usize = 2;

/// Somebody who is measured.
pub struct Person {
    email: String,
    id: String,
    access_token: String,
    pub refresh_token: String,
    /// The path of a credential, and its secret.
    credential: (String, String),
}

async fn ask(
    connection: &mut Connection,
    path: &str,
    token: Option<&str>,
    body: Option<&str>,
) -> Result<Vec<u8>> {
    let (status, answer) = connection.exchange(&http::request(path, token, body)).await?;
    ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(answer));
    Ok(answer.to_vec())
}

fn text(body: &[u8], key: &[u8]) -> Result<String> {
    let missing = || format!("no {} in an answer", String::from_utf8_lossy(key));
    Ok(value_of(body, key).with_context(missing)?.to_owned())
}

async fn sign_in(connection: &mut Connection, email: &str) -> Result<Vec<u8>> {
    ask(connection, "/auth/login", None, Some(&credentials(email))).await
}

/// Makes the account that is to be copied, with what hangs on it. Answers its id.
pub async fn original(server: &Process) -> Result<String> {
    let mut connection = Connection::open(server.address).await?;
    let email = "original@example.com";
    let signed_up = ask(&mut connection, "/auth/signup", None, Some(&credentials(email))).await?;
    let token = text(&signed_up, ACCESS_TOKEN)?;
    for _ in 0..2 {
        sign_in(&mut connection, email).await?;
    }
    for number in 0..HELD {
        let body = vault::credential(
            &format!("held {number}"),
            &vault::made_up("key", number),
            &vault::made_up("secret", number),
        );
        ask(&mut connection, vault::API_KEYS, Some(&token), Some(&body)).await?;
    }
    let answer: Value = serde_json::from_slice(&signed_up)?;
    Ok(answer.pointer("/user/id").and_then(Value::as_str).context("no id")?.to_owned())
}

/// `count` copies at even distances, each of which has signed in on this device before and has credentials of its own.
pub async fn gather(server: &Process, accounts: u64, count: u64) -> Result<Vec<Person>> {
    let mut connection = Connection::open(server.address).await?;
    let mut people = vec![];
    for index in 0..count {
        let email = copies::email(1 + index * accounts / count);
        sign_in(&mut connection, &email).await?;
        let signed_in = sign_in(&mut connection, &email).await?;
        let access_token = text(&signed_in, ACCESS_TOKEN)?;
        let number = usize::try_from(index)?;
        let secret = vault::made_up("secret", number);
        let body = vault::credential("own", &vault::made_up("key", number), &secret);
        let stored = ask(&mut connection, vault::API_KEYS, Some(&access_token), Some(&body)).await?;
        let path = format!("{}{}", vault::API_KEYS, text(&stored, ID)?);
        let answer: Value = serde_json::from_slice(&signed_in)?;
        people.push(Person {
            id: answer.pointer("/user/id").and_then(Value::as_str).context("no id")?.to_owned(),
            refresh_token: text(&signed_in, REFRESH_TOKEN)?,
            email,
            access_token,
            credential: (path, secret),
        });
    }
    Ok(people)
}

impl Person {
    fn question(&self, path: &str, body: Option<&str>, expected: &str) -> Question {
        Question {
            request: http::request(path, Some(&self.access_token), body),
            expected: format!("\"{expected}\"").into_bytes(),
        }
    }

    pub fn login(&self) -> Question {
        Question {
            request: http::request("/auth/login", None, Some(&credentials(&self.email))),
            expected: format!("\"{}\"", self.id).into_bytes(),
        }
    }

    pub fn profile(&self) -> Question {
        self.question("/auth/profile", None, &self.id)
    }

    pub fn list(&self) -> Question {
        self.question(&format!("{}?limit=50", vault::API_KEYS), None, "own")
    }

    pub fn decrypt(&self) -> Question {
        let (path, secret) = &self.credential;
        self.question(&format!("{path}/decrypt"), Some("{}"), secret)
    }

    /// An operator's search for this one.
    pub fn search(&self, operator: &str) -> Question {
        Question {
            request: http::request(
                &format!("/api/v1/admin/users?email={}", self.email.replace('@', "%40")),
                Some(operator),
                None,
            ),
            expected: format!("\"{}\"", self.id).into_bytes(),
        }
    }
}

/// Questions of an operation, shared by the threads that ask them.
pub fn questions(people: &[Person], question: impl Fn(&Person) -> Question) -> Arc<[Question]> {
    people.iter().map(question).collect()
}

/// An operator signed in with two factors. `command` is that of the server, ready for arguments.
pub async fn operator(server: &Process, mut command: Command) -> Result<String> {
    let mut connection = Connection::open(server.address).await?;
    let email = "operator@example.com";
    let signed_up = ask(&mut connection, "/auth/signup", None, Some(&credentials(email))).await?;
    let token = text(&signed_up, ACCESS_TOKEN)?;
    let enrolment = ask(&mut connection, "/auth/mfa/totp", Some(&token), Some(r#"{"name":"Phone"}"#)).await?;
    let secret = Secret::try_from_base32(&text(&enrolment, b"\"secret\":\"")?)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let totp = Builder::new().with_secret(secret).build_noncompliant();
    let code = totp.generate(UNIX_EPOCH.elapsed()?.as_secs()).to_string();
    let path = format!("/auth/mfa/totp/{}/confirm", text(&enrolment, ID)?);
    let confirmed =
        ask(&mut connection, &path, Some(&token), Some(&json!({ "code": code }).to_string())).await?;
    let done = command.args(["users", "set-role", email, "operator"]).output()?;
    ensure!(done.status.success(), "set-role: {}", String::from_utf8_lossy(&done.stderr));
    text(&confirmed, ACCESS_TOKEN)
}
