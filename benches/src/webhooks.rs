//! Webhooks of a provider of identity checks under load: signed after Standard Webhooks, each of them new.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::CONNECTIONS;
use crate::accounts::{Account, Turn, next, value_of};
use crate::http::{self, Connection};
use crate::load::Script;

const KEY: [u8; 32] = [7; 32];

/// What the server verifies with.
pub fn secret() -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(KEY))
}

/// Begins a verification for each account, so that each has as few steps as one has in life; answers what their events name.
pub async fn prepare(address: SocketAddr, accounts: &[Account]) -> Result<Rc<[String]>> {
    let begin = accounts.iter().map(|account| async move {
        let mut connection = Connection::open(address).await?;
        let body = r#"{"level":"full"}"#;
        let request = http::request("/api/kyc/verifications", Some(&account.access_token), Some(body));
        let (status, body) = connection.exchange(&request).await?;
        ensure!(status == 200, "a verification answered {status}: {}", String::from_utf8_lossy(body));
        Ok(value_of(body, b"\"reference\":\"").context("no reference")?.to_owned())
    });
    let references: Vec<String> = stream::iter(begin).buffered(CONNECTIONS).try_collect().await?;
    Ok(references.into())
}

/// Delivers a new webhook each time, about one verification after the other.
pub struct Deliver {
    pub references: Rc<[String]>,
    pub turn: Turn,
}

impl Script for Deliver {
    fn request(&mut self, out: &mut Vec<u8>) {
        let number = next(&self.turn);
        let reference = &self.references[number % self.references.len()];
        let body = format!(
            r#"{{"type":"verification.updated","data":{{"external_id":"{reference}","status":"in_review"}}}}"#
        );
        let at = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("takes keys of any length");
        mac.update(format!("msg_{number}.{at}.{body}").as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        out.clear();
        out.extend_from_slice(
            format!(
                "POST /api/kyc/webhook/standard_webhooks HTTP/1.1\r\nhost: localhost\r\nwebhook-id: msg_{number}\r\n\
                 webhook-timestamp: {at}\r\nwebhook-signature: v1,{signature}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
    }

    fn accepts(&mut self, body: &[u8]) -> bool {
        body == b"null"
    }
}
