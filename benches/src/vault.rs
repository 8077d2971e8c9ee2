//! The vault under load: who has credentials, and how they are stored, listed, revealed and signed with.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;

use crate::CONNECTIONS;
use crate::accounts::{Account, Turn, next, value_of};
use crate::http::{self, Connection, write_request};
use crate::load::{Question, Script};

/// Accounts that have credentials, one for each connection. The others get theirs while storing is measured.
pub const HOLDERS: usize = CONNECTIONS;
/// Credentials of each of them.
pub const HELD: usize = 10;

pub const API_KEYS: &str = "/api/v1/api-keys/";

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
pub enum Operation {
    Store,
    List,
    Decrypt,
    Sign,
    /// Of a webhook.
    TakeIn,
}

impl Operation {
    pub const ALL: [Self; 5] = [Self::Store, Self::List, Self::Decrypt, Self::Sign, Self::TakeIn];

    pub fn name(self) -> String {
        match self {
            Self::Store => "api key, create".to_owned(),
            Self::List => format!("api keys, list of {HELD}"),
            Self::Decrypt => "api key, decrypt".to_owned(),
            Self::Sign => "api key, sign".to_owned(),
            Self::TakeIn => "webhook of a provider, taken in".to_owned(),
        }
    }
}

pub type Id = [u8; 16];

/// The bytes of an id.
pub fn id(text: &str) -> Result<Id> {
    let number =
        u128::from_str_radix(&text.replace('-', ""), 16).with_context(|| format!("no id: {text}"))?;
    Ok(number.to_be_bytes())
}

/// An account with credentials.
pub struct Holder {
    pub account: Id,
    token: String,
    records: Vec<Record>,
}

struct Record {
    id: String,
    api_key: String,
    secret: String,
}

/// A key or a secret of the length that Binance's have.
pub fn made_up(prefix: &str, number: usize) -> String {
    format!("{prefix}{number:0>width$}", width = 64 - prefix.len())
}

pub fn credential(name: &str, api_key: &str, secret: &str) -> String {
    format!(
        r#"{{"provider":"binance","name":"{name}","api_key":"{api_key}","secret":"{secret}","test":false,"sign_rules":[{{"method":"GET","path":"/api/v3/*"}}]}}"#
    )
}

/// Gives the first accounts their credentials.
pub async fn prepare(address: SocketAddr, accounts: &[Account]) -> Result<Vec<Holder>> {
    ensure!(accounts.len() > HOLDERS, "too few accounts");
    let holders = accounts[..HOLDERS].iter().enumerate().map(|(index, account)| async move {
        let mut connection = Connection::open(address).await?;
        let mut records = Vec::new();
        for number in (index * HELD..).take(HELD) {
            let (api_key, secret) = (made_up("key", number), made_up("secret", number));
            let body = credential(&format!("held {number}"), &api_key, &secret);
            let request = http::request(API_KEYS, Some(&account.access_token), Some(&body));
            let (status, body) = connection.exchange(&request).await?;
            ensure!(status == 200, "storing answered {status}: {}", String::from_utf8_lossy(body));
            let id = value_of(body, ID).context("no id")?.to_owned();
            records.push(Record { id, api_key, secret });
        }
        Ok(Holder { account: id(&account.id)?, token: account.access_token.clone(), records })
    });
    try_join_all(holders).await
}

impl Holder {
    /// The ids of the credentials.
    pub fn ids(&self) -> Result<Vec<Id>> {
        self.records.iter().map(|record| id(&record.id)).collect()
    }

    /// Questions of an operation that stores nothing, and what only the right answer has.
    pub fn questions(&self, operation: Operation) -> Rc<[Question]> {
        let ask = |path: &str, body: Option<&str>, expected: &str| Question {
            request: http::request(&format!("{API_KEYS}{path}"), Some(&self.token), body),
            expected: format!("\"{expected}\"").into_bytes(),
        };
        let signed = r#"{"method":"GET","path":"/api/v3/account","query":"recvWindow=5000"}"#;
        let of = |record: &Record| match operation {
            Operation::Decrypt => ask(&format!("{}/decrypt", record.id), Some("{}"), &record.secret),
            Operation::Sign => ask(&format!("{}/sign", record.id), Some(signed), &record.api_key),
            // The newest come first, so the answer ends with the first one.
            Operation::List | Operation::Store | Operation::TakeIn => {
                ask("?limit=50", None, &self.records[0].id)
            }
        };
        self.records.iter().map(of).collect()
    }
}

/// Stores a new credential each time, for one account after the other.
pub struct Store {
    pub accounts: Rc<[Account]>,
    pub turn: Turn,
}

impl Script for Store {
    fn request(&mut self, out: &mut Vec<u8>) {
        let number = next(&self.turn);
        let storing = &self.accounts[HOLDERS..];
        let token = &storing[number % storing.len()].access_token;
        let (api_key, secret) = (made_up("newkey", number), made_up("newsecret", number));
        let body = credential(&format!("stored {number}"), &api_key, &secret);
        write_request(out, API_KEYS, Some(token), Some(&body));
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        value_of(body, ID).is_some()
    }
}

pub const ID: &[u8] = b"\"id\":\"";

/// Where Binance stands in for this run: a signature takes the time of the service, which is all that is told here.
pub fn exchange() -> Result<SocketAddr> {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    if let Some(address) = ADDRESS.get() {
        return Ok(*address);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Asked once in ten minutes by each server.
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(tell_the_time(stream))));
    Ok(*ADDRESS.get_or_init(|| address))
}

fn tell_the_time(mut stream: TcpStream) -> Result<()> {
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
    stream.set_read_timeout(PATIENCE)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while !lines.next().context("an unfinished request")??.is_empty() {}
    // Any will do, as long as it is told.
    let time = r#"{"serverTime":1800000000000}"#;
    let length = time.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{time}")?;
    Ok(())
}
