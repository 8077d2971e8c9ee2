//! `kill -9` under load: what was acknowledged is there afterwards, and nothing is there by half.
//!
//! `LATCHKEY_TEST_KILLS` and `LATCHKEY_TEST_SEED` make it a longer drill, or another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::api_keys::{API_KEYS, KEY, SECRET};
use crate::support::process::{Connection, Process, Session, Site, credentials};
use crate::support::{Answer, Engine, PASSWORD, PATIENCE, counted};

const CLIENTS: u64 = 6;

/// SplitMix64: chances that can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Tells when so many writes have been acknowledged, for a kill in the midst of the next ones.
struct Countdown {
    goal: u32,
    acknowledged: AtomicU32,
    over: Notify,
}

impl Countdown {
    fn tick(&self) {
        if self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == self.goal {
            self.over.notify_one();
        }
    }
}

/// What was acknowledged, and what was asked for when the server died: that may have happened or not.
#[derive(Debug, Clone)]
struct Fact<T> {
    acknowledged: T,
    asked: Option<T>,
}

impl<T: Clone> Fact<T> {
    fn new(value: T) -> Self {
        Self { acknowledged: value, asked: None }
    }

    fn settle(&mut self) {
        self.acknowledged = self.asked.take().expect("something was asked for");
    }
}

/// A person with an account who writes without pause.
struct Person {
    number: u64,
    dice: Dice,
    email: String,
    password: Fact<String>,
    full_name: Fact<Option<String>>,
    session: Session,
    /// Accounts that this person has opened besides.
    opened: Vec<String>,
    /// Names of stored credentials, and the id of the last.
    stored: Vec<String>,
    last: Option<Value>,
    counter: u32,
}

impl Person {
    async fn arrive(number: u64, seed: u64, site: &Site, server: &Process) -> Self {
        let email = format!("person-{number}@example.com");
        site.verified(server, &email, PASSWORD).await;
        let session = server.login(&email, PASSWORD).await;
        Self {
            number,
            dice: Dice(seed ^ number.wrapping_mul(0x5851_f42d_4c95_7f2d)),
            email,
            password: Fact::new(PASSWORD.to_owned()),
            full_name: Fact::new(None),
            session,
            opened: vec![],
            stored: vec![],
            last: None,
            counter: 0,
        }
    }

    /// Writes until the server is gone.
    async fn live(mut self, address: std::net::SocketAddr, countdown: Arc<Countdown>) -> Self {
        let Ok(mut connection) = Connection::open(address).await else { return self };
        while self.act(&mut connection).await.is_ok() {
            countdown.tick();
        }
        self
    }

    async fn act(&mut self, connection: &mut Connection) -> hyper::Result<()> {
        self.counter += 1;
        let access = self.session.access.clone();
        match self.dice.roll(10) {
            0..3 => {
                let name = format!("Name {}", self.counter);
                self.full_name.asked = Some(Some(name.clone()));
                let body = json!({ "full_name": name });
                good(connection.call("PATCH", "/auth/profile", Some(&access), &body).await?);
                self.full_name.settle();
            }
            3..6 => {
                let body = json!({ "refresh_token": self.session.refresh });
                self.session = Session::of(&connection.post("/auth/refresh", &body).await?);
            }
            6..8 => {
                let email = format!("guest-{}-{}@example.com", self.number, self.counter);
                good(connection.post("/auth/signup", &credentials(&email, PASSWORD)).await?);
                self.opened.push(email);
            }
            8 => {
                let name = format!("Key {} of {}", self.counter, self.number);
                let body = json!({ "provider": "binance", "name": name, "api_key": KEY, "secret": SECRET, "test": false });
                let stored = good(connection.call("POST", API_KEYS, Some(&access), &body).await?);
                self.stored.push(name);
                self.last = Some(stored["data"]["id"].clone());
            }
            _ => {
                let new = format!("{PASSWORD} {}", self.counter);
                self.password.asked = Some(new.clone());
                let body = json!({ "current_password": self.password.acknowledged, "new_password": new });
                good(connection.call("POST", "/auth/password", Some(&access), &body).await?);
                self.password.settle();
            }
        }
        Ok(())
    }

    /// Finds everything as it was left.
    async fn look_around(&mut self, server: &Process) {
        // The token that was being exchanged is answered with the same successor, or exchanged now.
        self.session = Session::of(&server.refresh(&self.session.refresh).await);

        let profile = server.profile(&self.session.access).await.assert_status(200).json();
        let found: Option<String> = serde_json::from_value(profile["full_name"].clone()).unwrap();
        let Fact { acknowledged, asked } = &self.full_name;
        assert!(
            found == *acknowledged || Some(&found) == asked.as_ref(),
            "{found:?}, not {:?}",
            self.full_name
        );
        self.full_name = Fact::new(found);

        let mut right = vec![];
        for password in
            [Some(self.password.acknowledged.clone()), self.password.asked.clone()].into_iter().flatten()
        {
            let answer = server.anonymous().post("/auth/login", &credentials(&self.email, &password)).await;
            if answer.status == 200 {
                right.push((password, Session::of(&answer)));
            }
        }
        assert_eq!(right.len(), 1, "one password is the right one: {:?}", self.password);
        let (password, session) = right.remove(0);
        self.password = Fact::new(password);
        if let Some(id) = &self.last {
            let path = format!("{API_KEYS}{}/decrypt", id.as_str().unwrap());
            let shown = good(server.anonymous().bearer(&session.access).post(&path, &json!({})).await);
            assert_eq!(shown["data"]["secret"], SECRET);
        }
    }
}

#[track_caller]
fn good(answer: Answer) -> Value {
    answer.assert_status(200).json()
}

on_both_engines! {
    async fn nothing_acknowledged_is_lost_and_nothing_is_there_by_half(site: Site) {
        // As long as a token may be shown again, however slow the machine.
        let site = site.with("TOKENS__REFRESH_GRACE_SECONDS", "60").with("VAULT__KEYS_PER_ACCOUNT", "10000");
        let (kills, seed) = (number("LATCHKEY_TEST_KILLS", 8), number("LATCHKEY_TEST_SEED", 20_261_124));
        let mut dice = Dice(seed);
        let mut server = site.start().await;
        let (mut people, mut writes) = (vec![], 0_u32);
        for number in 0..CLIENTS {
            people.push(Person::arrive(number, seed, &site, &server).await);
        }
        for _ in 0..kills {
            let goal = u32::try_from(dice.roll(60) + 1).unwrap();
            let countdown = Arc::new(Countdown { goal, acknowledged: AtomicU32::new(0), over: Notify::new() });
            let mut lives = JoinSet::new();
            for person in people.drain(..) {
                lives.spawn(person.live(server.address, Arc::clone(&countdown)));
            }
            tokio::time::timeout(PATIENCE, countdown.over.notified()).await.expect("writes are acknowledged");
            server.node.kill().await;
            people = lives.join_all().await;
            writes += countdown.acknowledged.load(Ordering::SeqCst);

            server = site.start().await;
            for person in &mut people {
                person.look_around(&server).await;
            }
            whole(&site, &people).await;
        }

        // Mails that a dead server had claimed are due again when the claim runs out: let that time pass.
        let rows = site.rows().await;
        rows.execute("UPDATE outbox_messages SET due_at = 0 WHERE state = 'pending'").await;
        rows.outbox_empty().await;
        assert_eq!(rows.count("outbox_messages WHERE state <> 'sent'").await, 0);
        for email in people.iter().flat_map(|person| &person.opened) {
            let mails = site.mails_to(email);
            assert_eq!(mails.len(), 1, "{email}");
            assert_eq!(mails[0].template, "verify_email");
        }
        counted("kill -9 under load", site.database.engine, &format!("{kills} kills, {writes} acknowledged writes, none lost"));
    }
}

/// Every account has all that its transaction wrote, and every acknowledged sign-up has its account.
async fn whole(site: &Site, people: &[Person]) {
    let rows = site.rows().await;
    for rest in [
        "accounts a WHERE NOT EXISTS (SELECT 1 FROM email_verifications v WHERE v.account_id = a.id)",
        "accounts a WHERE NOT EXISTS
           (SELECT 1 FROM outbox_messages m WHERE m.account_id = a.id AND m.template = 'verify_email')",
        "accounts a WHERE NOT EXISTS
           (SELECT 1 FROM audit_events e WHERE e.account_id = a.id AND e.action = 'account.created')",
        "outbox_messages m WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = m.account_id)",
        "sessions s WHERE NOT EXISTS
           (SELECT 1 FROM audit_events e WHERE e.session_id = s.id AND e.action = 'session.created')",
        // A refresh and its audit row are one.
        "sessions s WHERE s.counter <>
           (SELECT COUNT(*) FROM audit_events e WHERE e.session_id = s.id AND e.action = 'session.refreshed')",
        // So are a change of the password, its audit row and its mail.
        "accounts a WHERE
           (SELECT COUNT(*) FROM audit_events e WHERE e.account_id = a.id AND e.action = 'account.password_changed') <>
           (SELECT COUNT(*) FROM outbox_messages m WHERE m.account_id = a.id AND m.template = 'password_changed')",
        "accounts a WHERE (SELECT COUNT(*) FROM api_keys k WHERE k.account_id = a.id) <>
           (SELECT COUNT(*) FROM audit_events e WHERE e.account_id = a.id AND e.action = 'api_key.added')",
    ] {
        assert_eq!(rows.count(rest).await, 0, "{rest}");
    }
    let there = rows.column::<String>("SELECT email FROM accounts").await;
    for email in people.iter().flat_map(|person| &person.opened) {
        assert!(there.contains(email), "{email}");
    }
    let there = rows.column::<String>("SELECT name FROM api_keys").await;
    for name in people.iter().flat_map(|person| &person.stored) {
        assert!(there.contains(name), "{name}");
    }
    if site.database.engine == Engine::Sqlite {
        assert_eq!(rows.column::<String>("PRAGMA integrity_check").await, ["ok"]);
    }
}
