//! The keys that sign access tokens: published ahead of use, then signing, then verifying, then gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use latchkey::clock::Clock;
use latchkey::config::SigningAlgorithm;
use latchkey::crypto::signing_key::{self, SigningKey};
use latchkey::services::Error;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::process::{Process, Session, Site};
use crate::support::{Answer, App, Client, Engine, PASSWORD, PUBLIC_URL, User, eventually};

/// The key set, and the seconds for which it may be kept.
async fn key_set(server: &Client) -> (JwkSet, u64) {
    let answer = server.get("/.well-known/jwks.json").await.assert_status(200);
    let age =
        answer.header("cache-control").unwrap().strip_prefix("public, max-age=").unwrap().parse().unwrap();
    let keys = answer.json();
    for key in keys["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none() && key["use"] == "sig", "{key}");
    }
    (serde_json::from_value(keys).unwrap(), age)
}

/// Verifies a token as another service does, which has nothing but the key set; time is ours to tell.
fn verify(token: &str, keys: &JwkSet) -> Result<Value, String> {
    let header = decode_header(token).map_err(|error| error.to_string())?;
    let kid = header.kid.ok_or("no kid")?;
    let key = keys.find(&kid).ok_or_else(|| format!("{kid} is not among the keys"))?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[PUBLIC_URL]);
    validation.set_audience(&[PUBLIC_URL]);
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(key).map_err(|error| error.to_string())?;
    decode::<Value>(token, &key, &validation).map(|token| token.claims).map_err(|error| error.to_string())
}

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

/// What every node does by itself every half minute.
async fn reload(app: &App) {
    app.services.keys.reload(&app.services.db, app.services.sources.now()).await;
}

async fn profile(app: &App, token: &str) -> Answer {
    app.anonymous().bearer(token).get("/auth/profile").await
}

/// A token that looks like one of `user`'s, under a key that nobody has published.
fn made_up(user: &User) -> String {
    let (kid, secret) = signing_key::generate(SigningAlgorithm::EdDSA).unwrap();
    let key = SigningKey::from_pkcs8(kid, "EdDSA", &secret).unwrap();
    let header = latchkey::crypto::access_token::header(&key).unwrap();
    key.sign(&header, user.claims().to_string().as_bytes()).unwrap()
}

on_both_engines! {
    async fn other_services_verify_tokens_with_the_key_set(app: App) {
        let ada = app.user("ada@example.com").await;
        let (keys, age) = key_set(&app.anonymous()).await;
        assert_eq!((verify(&ada.access_token, &keys).unwrap()["sub"].as_str(), age), (Some(&*ada.id), 300));
    }

    /// Rotates with the command, beside two nodes. Every token that is issued meanwhile is good on both, and for services
    /// that keep the key set of either for as long as they may, until it expires and no longer.
    async fn a_rotation_refuses_nothing_on_two_nodes(app: App) {
        let other = app.sibling(|_| {}).await;
        let nodes = [&app, &other];
        let mut people = [app.user("ada@example.com").await, other.user("bob@example.com").await];
        let old = kid(&people[0].access_token);
        // What a service has of each node just before, and when it has to ask again.
        let mut kept = vec![];
        for node in nodes {
            let (keys, age) = key_set(&node.anonymous()).await;
            kept.push((keys, app.clock.now() + Duration::from_secs(age)));
        }

        let rotated = app.database.run(&["keys", "rotate", "--algorithm", "ES256"], &[]).await.assert_success().stdout;
        let new = rotated.split_whitespace().nth(1).unwrap().trim_end_matches(';').to_owned();
        let mut active_at = app.clock.now();
        for node in nodes {
            reload(node).await;
            let (keys, age) = key_set(&node.anonymous()).await;
            assert!(keys.find(&old).is_some() && keys.find(&new).is_some(), "published ahead of use");
            active_at = node.services.keys.status(app.clock.now()).into_iter().find(|key| key.kid == new).unwrap().active_at;
            assert!(active_at.since(app.clock.now()) >= Duration::from_secs(age));
        }

        let mut alive: Vec<String> = people.iter().map(|person| person.access_token.clone()).collect();
        let mut signers = HashSet::new();
        for minute in 1..=90 {
            app.clock.advance_seconds(60);
            let now = app.clock.now();
            for (node, kept) in nodes.iter().zip(&mut kept) {
                reload(node).await;
                if kept.1 <= now {
                    let (keys, age) = key_set(&node.anonymous()).await;
                    *kept = (keys, now + Duration::from_secs(age));
                }
            }
            if minute % 3 == 0 {
                for person in &mut people {
                    person.refresh().await;
                    let expected = if active_at <= now { &new } else { &old };
                    assert_eq!(&kid(&person.access_token), expected, "minute {minute}");
                    signers.insert(kid(&person.access_token));
                    alive.push(person.access_token.clone());
                }
            }
            let mut expired = vec![];
            for token in &alive {
                let claims = verify(token, &kept[0].0).unwrap();
                verify(token, &kept[1].0).unwrap();
                let expected = if claims["exp"].as_i64().unwrap() > now.seconds() { 200 } else { 401 };
                for node in nodes {
                    profile(node, token).await.assert_status(expected);
                }
                if expected == 401 {
                    expired.push(token.clone());
                }
            }
            alive.retain(|token| !expired.contains(token));
        }
        assert_eq!(signers.len(), 2);
        for node in nodes {
            let (keys, _) = key_set(&node.anonymous()).await;
            assert!(keys.keys.len() == 1 && keys.find(&new).is_some(), "the old key is gone");
        }
        App::only_event(app.audit().await, "signing_key.rotated");
    }

    /// One after the other on nodes whose clocks differ by a minute: the first key has not signed yet when it is replaced.
    async fn rotations_in_quick_succession_refuse_nothing(app: App) {
        let ahead = app.sibling_with(app.clock.off_by(60), |_| {}).await;
        let nodes = [&app, &ahead];
        let mut people = [app.user("ada@example.com").await, ahead.user("bob@example.com").await];
        let mut made = vec![kid(&people[0].access_token)];
        for (node, algorithm) in [(&ahead, SigningAlgorithm::ES256), (&app, SigningAlgorithm::EdDSA), (&app, SigningAlgorithm::ES256)] {
            made.push(node.services.rotate_signing_key(algorithm).await.unwrap().kid);
            app.clock.advance_seconds(5);
        }
        reload(&ahead).await;
        for minute in 1..=90 {
            app.clock.advance_seconds(60);
            for node in nodes {
                reload(node).await;
            }
            for person in &mut people {
                for node in nodes {
                    profile(node, &person.access_token).await.assert_status(200);
                }
                person.refresh().await;
                let signer = kid(&person.access_token);
                assert!(made.contains(&signer) && (minute < 12 || signer == made[3]), "minute {minute}");
            }
        }
        for node in nodes {
            let status = node.services.keys.status(app.clock.now());
            assert!(status.len() == 1 && status[0].kid == made[3], "{status:?}");
        }
    }

    async fn a_node_whose_clock_is_behind_starts_with_the_very_first_key(app: App) {
        let behind = app.sibling_with(app.clock.off_by(-60), |_| {}).await;
        behind.anonymous().get("/readyz").await.assert_status(200);
        for (one, other) in [(&app, &behind), (&behind, &app)] {
            let user = one.user(&format!("{}@example.com", one.address.port())).await;
            user.profile().await.assert_status(200);
            profile(other, &user.access_token).await.assert_status(200);
        }
    }

    async fn a_node_that_restarts_along_the_way_goes_on(app: App) {
        let mut ada = app.user("ada@example.com").await;
        let before = ada.access_token.clone();
        let new = app.services.rotate_signing_key(SigningAlgorithm::ES256).await.unwrap().kid;
        let app = app.restart(|_| {}).await;
        assert_eq!(key_set(&app.anonymous()).await.0.keys.len(), 2);
        ada = app.login(&ada.email, PASSWORD).await;
        assert_eq!(kid(&ada.access_token), kid(&before), "it does not sign yet");
        app.clock.advance_seconds(601);
        let app = app.restart(|_| {}).await;
        profile(&app, &before).await.assert_status(200);
        profile(&app, &ada.access_token).await.assert_status(200);
        ada = app.login(&ada.email, PASSWORD).await;
        assert_eq!(kid(&ada.access_token), new);
        profile(&app, &before).await.assert_status(200);
    }

    /// Only a node that has not read its keys for long, or whose clock is far behind, comes to see a key that it does not know.
    async fn an_unknown_key_makes_a_node_look_once_a_minute(app: App) {
        let (maker, signer) = (app.sibling_with(app.clock.off_by(-600), |_| {}).await, app.sibling(|_| {}).await);
        let ada = app.user("ada@example.com").await;
        // Signs in under a key that is published and used in the same moment.
        let surprise = async || {
            maker.services.rotate_signing_key(SigningAlgorithm::ES256).await.unwrap();
            app.clock.advance_seconds(1);
            reload(&signer).await;
            let user = signer.login(&ada.email, PASSWORD).await;
            assert_ne!(kid(&user.access_token), kid(&ada.access_token));
            user
        };
        let user = surprise().await;
        profile(&app, &user.access_token).await.assert_status(200);

        app.clock.advance_seconds(60);
        let flood: Vec<String> = (0..50).map(|_| made_up(&ada)).collect();
        for answer in join_all(flood.iter().map(|token| profile(&app, token))).await {
            answer.assert_error(401, "invalid_token");
        }
        let user = surprise().await;
        // The flood had its look at the database; those who come behind it have to wait.
        profile(&app, &user.access_token).await.assert_error(401, "invalid_token");
        app.clock.advance_seconds(60);
        profile(&app, &user.access_token).await.assert_status(200);

        app.clock.advance_seconds(60);
        let body = json!({ "access_token": surprise().await.access_token });
        app.anonymous().post("/auth/logout", &body).await.assert_status(200);
    }

    async fn an_unknown_key_is_not_refused_while_nobody_can_look(app: App) {
        let ada = app.user("ada@example.com").await;
        app.services.db.clone().close().await;
        for _ in 0..2 {
            profile(&app, &made_up(&ada)).await.assert_error(503, "unavailable");
        }
    }

    async fn what_a_retired_key_signed_is_forgotten(app: App) {
        let ada = app.user("ada@example.com").await;
        app.services.rotate_signing_key(SigningAlgorithm::EdDSA).await.unwrap();
        ada.profile().await.assert_status(200);
        // A sign-out takes an expired token, while there is a key to tell that it was ours.
        app.clock.advance_seconds(7200);
        ada.logout().await.assert_error(401, "invalid_token");
    }

    async fn no_more_than_eight_keys_are_there_at_a_time(app: App) {
        for _ in 1..8 {
            app.services.rotate_signing_key(SigningAlgorithm::EdDSA).await.unwrap();
        }
        let refused = app.services.rotate_signing_key(SigningAlgorithm::EdDSA).await.unwrap_err();
        let Error::RateLimited(wait) = refused else { panic!("{refused:?}") };
        app.database.run(&["keys", "rotate"], &[]).await.assert_failure("too often; wait");
        assert_eq!(key_set(&app.anonymous()).await.0.keys.len(), 8);
        app.clock.advance(wait);
        app.services.rotate_signing_key(SigningAlgorithm::EdDSA).await.unwrap();
    }
}

/// A person who signs in, refreshes and reads the profile, each time on the next node, until told to stop; with a service
/// that verifies each token by the key set, kept for as long as it may be.
struct Visitor {
    email: String,
    nodes: Arc<[Process; 2]>,
    stop: CancellationToken,
    seen: HashSet<String>,
    answers: usize,
    refusals: Vec<String>,
}

impl Visitor {
    async fn stay(mut self) -> Self {
        let mut session = self.nodes[0].login(&self.email, PASSWORD).await;
        let mut kept: Option<(JwkSet, Instant)> = None;
        for turn in 0.. {
            if self.stop.is_cancelled() {
                break;
            }
            let [one, other] = [&self.nodes[turn % 2], &self.nodes[(turn + 1) % 2]];
            let renewed = match turn % 5 {
                0 => {
                    one.anonymous()
                        .post("/auth/login", &json!({ "email": self.email, "password": PASSWORD }))
                        .await
                }
                _ => one.refresh(&session.refresh).await,
            };
            let before = std::mem::replace(&mut session, Session::of(&renewed));
            self.seen.insert(kid(&session.access));
            let keys = match &kept {
                Some((keys, until)) if Instant::now() < *until => keys.clone(),
                _ => {
                    let (keys, age) = key_set(&other.anonymous()).await;
                    kept = Some((keys.clone(), Instant::now() + Duration::from_secs(age)));
                    keys
                }
            };
            for token in [&session.access, &before.access] {
                if let Err(error) = verify(token, &keys) {
                    self.refusals.push(error);
                }
                for node in [other, one] {
                    let answer = node.profile(token).await;
                    if answer.status != 200 {
                        self.refusals.push(answer.text());
                    }
                    self.answers += 1;
                }
            }
        }
        self
    }
}

/// From EdDSA to ES256 and back under load, with the command, on the clock of the machine.
#[tokio::test]
async fn keys_are_rotated_under_load_and_nothing_is_refused() {
    let site = Site::new(Engine::Postgres).await.with("TOKENS__PUBLISH_AHEAD_SECONDS", "4");
    let nodes = Arc::new([site.start().await, site.start().await]);
    let stop = CancellationToken::new();
    let mut visitors = JoinSet::new();
    for number in 0..4 {
        let email = format!("visitor-{number}@example.com");
        site.verified(&nodes[0], &email, PASSWORD).await;
        let (nodes, stop) = (Arc::clone(&nodes), stop.clone());
        let visitor = Visitor { email, nodes, stop, seen: HashSet::new(), answers: 0, refusals: vec![] };
        visitors.spawn(visitor.stay());
    }

    for (number, algorithm) in ["ES256", "EdDSA"].into_iter().enumerate() {
        let rotated = site.run(&["keys", "rotate", "--algorithm", algorithm]).await.assert_success().stdout;
        let new = rotated.split_whitespace().nth(1).unwrap().trim_end_matches(';').to_owned();
        // One that starts in the middle knows what the others know.
        let late = site.start().await;
        for node in nodes.iter().chain([&late]) {
            eventually("the new key in the key set", async || {
                let (keys, _) = key_set(&node.anonymous()).await;
                (keys.keys.len() == number + 2 && keys.find(&new).is_some()).then_some(())
            })
            .await;
        }
        for node in nodes.iter().chain([&late]) {
            eventually("a token under the new key", async || {
                let session = node.login("visitor-0@example.com", PASSWORD).await;
                for node in nodes.iter().chain([&late]) {
                    node.profile(&session.access).await.assert_status(200);
                }
                (kid(&session.access) == new).then_some(())
            })
            .await;
        }
    }
    stop.cancel();
    let visitors = visitors.join_all().await;
    for visitor in &visitors {
        assert_eq!(visitor.refusals, Vec::<String>::new());
        assert_eq!(visitor.seen.len(), 3, "tokens under each of the keys");
    }
    let answers: usize = visitors.iter().map(|visitor| visitor.answers).sum();
    assert!(answers > 200, "{answers}");
}
