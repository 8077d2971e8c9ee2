//! Mail, a provider of identity checks and a receiver of webhooks are away for days, and people go on. Nobody gets another
//! answer for it but who needs the provider; nothing is tried more often than the README says; and what was acknowledged
//! arrives once they are back, or was given up by the rule, is counted and listed, and is sent by command.
//!
//! `LATCHKEY_TEST_AWAY_PEOPLE` makes a longer drill.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use entities::outbox_message::{self, State};
use entities::{Timestamp, kyc_event};
use futures_util::{StreamExt, stream};
use latchkey::secret::Secret;
use metrics_exporter_prometheus::PrometheusBuilder;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api_keys::store;
use crate::kyc::{VERIFICATIONS, decided, id_of, press, settled};
use crate::kyc_drills::number;
use crate::kyc_vendors::{self, deliver, path, row, try_begin};
use crate::mail::outbox;
use crate::support::door::{Door, Way};
use crate::support::process::Rows;
use crate::support::receiver::{Delivery, Receiver, Reply};
use crate::support::smtp::{Letter, SmtpServer};
use crate::support::{App, Engine, PASSWORD, Vendors, counted, eventually};
use crate::webhooks::{FIRST, endpoint, environment, is_signed, rows as deliveries};

const ADA: &str = "ada@example.com";
const PERSONA: &str = "persona";
const HOUR: u64 = 3600;
const DAY: Duration = Duration::from_secs(86_400);

/// Hours that all three are away, and between the visits of those who use the server meanwhile.
const AWAY: u64 = 60;
const APART: u64 = 15;
const VISITS: usize = (AWAY / APART) as usize;
/// People who do something at the same moment.
const AT_ONCE: usize = 8;

/// The queues; for how many milliseconds a worker has what it claims, and how many it has under way at most.
const QUEUES: [(&str, i64, i64); 3] =
    [("outbox_messages", 180_000, 16), ("webhook_deliveries", 75_000, 8), ("kyc_events", 60_000, 32)];

/// Seconds until the next attempt at a mail, and at a webhook of a provider that has to be confirmed.
fn mail_wait(attempt: i32) -> u64 {
    HOUR.min(5_u64 << (attempt - 1).min(20))
}

/// The same for a webhook of ours.
fn webhook_wait(attempt: i32) -> u64 {
    [5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR][usize::try_from(attempt - 1).unwrap()]
}

/// What waits was tried so often that each wait since it was written may have been as long as it should be, and is tried again
/// when it should be.
fn assert_patient(now: Timestamp, wait: fn(i32) -> u64, attempts: i32, written: Timestamp, due: Timestamp) {
    let least = Duration::from_secs((1..=attempts).map(wait).sum());
    assert!(due.since(written) >= least, "{attempts} attempts from {written:?} to {due:?}");
    let most = Duration::from_secs(wait(attempts) * 6 / 5);
    assert!(due > now && due.since(now) <= most, "after {attempts} attempts, at {now:?}: {due:?}");
}

/// What becomes of the checks that were begun before, by turns.
#[derive(Clone, Copy)]
enum Fate {
    /// So early that the webhook is given up before the provider can be asked.
    ApprovedEarly,
    ApprovedLate,
    /// Needs no question.
    Declined,
    /// Approved without a word: to be found by asking.
    NotTold,
    /// The webhook comes when the provider is back.
    ToldAfterwards,
}

const FATES: usize = 5;

/// Somebody who was there before, with a check that is under way.
struct Regular {
    email: String,
    check: Value,
    reference: String,
    external_id: String,
}

/// Somebody who signs up while no mail is sent.
struct Newcomer {
    email: String,
    id: String,
    at: Timestamp,
}

/// A server, the three that it depends on, and those who use it.
struct Scene {
    app: App,
    rows: Rows,
    smtp: SmtpServer,
    mail: Door,
    receiver: Receiver,
    hooks: Door,
    vendors: Vendors,
    regulars: Vec<Regular>,
    newcomers: Vec<Newcomer>,
    /// Events that have been acknowledged: of which type, and of what.
    acknowledged: Vec<String>,
}

impl Scene {
    /// Everybody is there, and nothing waits.
    async fn begin(engine: Engine, people: usize) -> Self {
        let (smtp, receiver, vendors) =
            tokio::join!(SmtpServer::start(&[]), Receiver::start(), Vendors::start());
        let mail = Door::to(([127, 0, 0, 1], smtp.port).into()).await;
        let hooks = Door::to(receiver.address).await;
        let app = App::start(engine, |config| {
            config.mail_url = Some(Secret::new(format!("smtp://{}", mail.address)));
            config.mail_from = "Example <no-reply@example.com>".into();
            // Has the server count; the test has the page.
            config.metrics_listen = Some("127.0.0.1:0".into());
            config.webhooks.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
            let url = format!("http://{}/hooks", hooks.address);
            config.webhooks.endpoints.insert("crm".into(), endpoint(&url, &[FIRST], &[]));
            let mut persona = vendors.settings(PERSONA);
            // That level is the demo's, which is always there.
            persona.levels.remove("basic");
            config.kyc.providers.insert(PERSONA.into(), persona);
        })
        .await;
        let rows = Rows(app.database.connect().await);
        let (regulars, newcomers, acknowledged) = (vec![], vec![], vec![]);
        let mut scene =
            Self { app, rows, smtp, mail, receiver, hooks, vendors, regulars, newcomers, acknowledged };
        let app = &scene.app;
        let emails: Vec<String> = (0..people).map(|number| format!("regular-{number}@example.com")).collect();
        let sign_ups = emails.iter().map(|email| app.sign_up(email, PASSWORD));
        stream::iter(sign_ups).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
        scene.at_rest().await;
        let links = scene.links().await;
        for email in emails {
            scene.app.verify(&links[&email][0]).await.assert_status(200);
            let user = scene.app.login(&email, PASSWORD).await;
            let check = try_begin(&user, PERSONA, "before").await.assert_status(200).json();
            let row = row(&scene.app, &check).await;
            let (reference, external_id) = (row.reference.unwrap(), row.external_id);
            scene.regulars.push(Regular { email, check, reference, external_id });
        }
        scene.at_rest().await;
        scene
    }

    fn of(&self, fate: Fate) -> impl Iterator<Item = &Regular> {
        self.regulars.iter().skip(fate as usize).step_by(FATES)
    }

    /// How many are claimed just now.
    async fn under_way(&self, table: &str, claim: i64) -> i64 {
        let until = self.app.now().0 + claim;
        self.rows.count(&format!("{table} WHERE state = 'pending' AND due_at = {until}")).await
    }

    /// Waits until all that is due at this moment has been tried, as long as it goes on; nothing is due again at once.
    async fn at_rest(&self) {
        self.app.services.look_after_kyc().await.unwrap();
        // One round, without the wait after it.
        let over = CancellationToken::new();
        over.cancel();
        let mut left = i64::MAX;
        while left > 0 {
            left = eventually("some of it is done", async || {
                self.app.services.outbox.wake();
                self.app.services.work_on_kyc(over.clone()).await;
                let now = self.app.now().0;
                let mut count = 0;
                for (table, claim, _) in QUEUES {
                    let due = format!("{table} WHERE state = 'pending' AND due_at <= {now}");
                    count += self.rows.count(&due).await + self.under_way(table, claim).await;
                }
                (count < left).then_some(count)
            })
            .await;
        }
        self.assert_all_patient().await;
    }

    async fn assert_all_patient(&self) {
        let now = self.app.now();
        for row in outbox(&self.app).await.iter().filter(|row| row.state == State::Pending) {
            assert_patient(now, mail_wait, row.attempts, row.created_at, row.due_at);
        }
        for row in deliveries(&self.app).await.iter().filter(|row| row.state == State::Pending) {
            assert_patient(now, webhook_wait, row.attempts, row.created_at, row.due_at);
        }
        for row in self.events(kyc_event::State::Pending).await {
            assert_patient(now, mail_wait, row.attempts, row.received_at, row.due_at);
        }
    }

    async fn events(&self, state: kyc_event::State) -> Vec<kyc_event::Model> {
        let events = kyc_event::Entity::find().all(self.app.connection().await).await.unwrap();
        events.into_iter().filter(|event| event.state == state).collect()
    }

    /// The provider decides, and what it sends to tell of that comes twice.
    async fn tell(&self, fate: Fate, status: &str) {
        for Regular { reference, external_id, .. } in self.of(fate) {
            self.vendors.state(PERSONA, json!({ "reference": reference, "status": status })).await;
            let at = self.app.now().seconds();
            let order =
                json!({ "reference": reference, "external_id": external_id, "status": status, "at": at });
            let webhook = self.vendors.webhook(PERSONA, order).await;
            for _ in 0..2 {
                let client = self.app.anonymous();
                deliver(&client, &path(&self.app, PERSONA), &webhook).await.assert_status(200);
            }
        }
    }

    /// Everything that somebody does here. Only what needs the provider is told to come later.
    async fn live(&self, regular: &Regular, hour: u64) -> [String; 4] {
        let mut user = self.app.login(&regular.email, PASSWORD).await;
        user.profile().await.assert_status(200);
        user.refresh().await;
        user.get(VERIFICATIONS).await.assert_status(200);
        let key = store(&user, &format!("Of hour {hour}")).await;
        user.post(&format!("{key}/decrypt"), &json!({})).await.assert_status(200);
        let refused = try_begin(&user, PERSONA, "while-away").await.assert_error(503, "provider_unavailable");
        assert!(refused.retry_after() > 0);
        let other = decided(&self.app, &user, "basic", "approve", "approved").await;
        user.logout().await.assert_status(200);
        let key = key.rsplit('/').next().unwrap();
        [
            format!("api_key.created {key}"),
            format!("api_key.revealed {key}"),
            format!("kyc.updated {}", id_of(&other)),
            format!("session.revoked {}", user.claims()["sid"].as_str().unwrap()),
        ]
    }

    async fn arrive(&self, number: usize, hour: u64) -> Newcomer {
        let email = format!("newcomer-{hour}-{number}@example.com");
        let id = self.app.sign_up(&email, PASSWORD).await.json()["user"]["id"].as_str().unwrap().to_owned();
        self.app.try_login(&email, PASSWORD).await.assert_error(403, "email_not_verified");
        Newcomer { email, id, at: self.app.now() }
    }

    /// Everybody comes, as many newcomers with them, and the three are away in another manner each time.
    async fn visit(&mut self, hour: u64) {
        let turn = hour / APART;
        let silent = turn == 1;
        let (mail, hooks) = match turn {
            1 => (Way::Silent, Way::Silent),
            3 => (Way::Shut, Way::Shut),
            // To answer 500.
            _ => (Way::Shut, Way::Open),
        };
        self.mail.turn(mail);
        self.hooks.turn(hooks);
        let unavailable = json!({ "scenario": "status", "status": 503 });
        self.vendors.scenario(PERSONA, unavailable.clone()).await;
        if silent {
            self.vendors.scenario(PERSONA, json!({ "scenario": "slow", "times": 16 })).await;
        }
        match turn {
            0 => {
                self.tell(Fate::ApprovedEarly, "approved").await;
                self.tell(Fate::Declined, "declined").await;
                for Regular { reference, .. } in self.of(Fate::NotTold) {
                    let order = json!({ "reference": reference, "status": "approved" });
                    self.vendors.state(PERSONA, order).await;
                }
            }
            2 => self.tell(Fate::ApprovedLate, "approved").await,
            _ => {}
        }

        let knocks = [self.mail.knocks(), self.hooks.knocks()];
        let scene = &*self;
        let lives = stream::iter(scene.regulars.iter().map(|regular| scene.live(regular, hour)));
        let arrivals = stream::iter((0..scene.regulars.len()).map(|number| scene.arrive(number, hour)));
        let (lives, arrivals, polled) = tokio::join!(
            lives.buffer_unordered(AT_ONCE).collect::<Vec<_>>(),
            arrivals.buffer_unordered(AT_ONCE).collect::<Vec<_>>(),
            scene.app.services.look_after_kyc(),
        );
        polled.unwrap();
        for (table, claim, most) in QUEUES {
            let claimed = self.under_way(table, claim).await;
            assert!(claimed <= most, "{claimed} of {table} under way");
        }
        if silent {
            assert!(self.mail.knocks() > knocks[0] && self.hooks.knocks() > knocks[1]);
            // Who was held up is let go, and all others come to nothing faster.
            self.mail.turn(Way::Shut);
            self.hooks.turn(Way::Shut);
            self.vendors.scenario(PERSONA, unavailable).await;
        }
        self.acknowledged.extend(lives.into_iter().flatten());
        self.acknowledged.extend(arrivals.iter().map(|newcomer| format!("user.created {}", newcomer.id)));
        self.newcomers.extend(arrivals);
    }

    /// Mails that were sent. What asks for a mail to be made is none itself.
    async fn sent_mails(&self) -> Vec<outbox_message::Model> {
        let rows = outbox(&self.app).await.into_iter();
        rows.filter(|row| row.state == State::Sent && row.template != "resend_verification").collect()
    }

    /// All that have arrived.
    async fn letters(&self) -> Vec<Letter> {
        self.smtp.received(self.sent_mails().await.len()).await
    }

    /// What confirms an address, as it has arrived there.
    async fn links(&self) -> HashMap<String, Vec<String>> {
        let mut links: HashMap<String, Vec<String>> = HashMap::new();
        for letter in self.letters().await {
            if letter.mail.template == "verify_email" {
                links.entry(letter.to).or_default().push(letter.mail.token());
            }
        }
        links
    }
}

/// The type of an event, and what it tells of.
fn subject(delivery: &Delivery) -> String {
    let told = delivery.json();
    let names = ["api_key_id", "session_id", "verification_id", "account_id"];
    let id = names.into_iter().find_map(|name| told["data"][name].as_str()).unwrap();
    format!("{} {id}", told["type"].as_str().unwrap())
}

on_both_engines! {
    async fn what_was_acknowledged_while_they_were_away_arrives(engine: Engine) {
        // All of a test is on one thread.
        let recorder = PrometheusBuilder::new().build_recorder();
        let _counting = ::metrics::set_default_local_recorder(&recorder);
        let people = number("LATCHKEY_TEST_AWAY_PEOPLE", FATES);
        let mut scene = Scene::begin(engine, people).await;
        let before = scene.receiver.received().len();
        let began = scene.app.now();
        scene.receiver.answer(Reply::status(500));
        scene.vendors.reset().await;
        for hour in 0..AWAY {
            if hour > 0 {
                scene.app.clock.advance_seconds(HOUR);
            }
            if hour % APART == 0 {
                scene.visit(hour).await;
            }
            scene.at_rest().await;
        }

        // Nobody but who needs the provider, and who can't confirm an address, has heard of it.
        let starts = VISITS * people;
        let page = recorder.handle().render();
        let mut problems: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("latchkey_http_problems_total")).collect();
        problems.sort_unstable();
        let expected = ["email_not_verified", "provider_unavailable"].map(|code| format!("{{code=\"{code}\"}} {starts}"));
        assert_eq!(problems, expected);
        let calls = scene.vendors.calls(PERSONA).await;
        let begun = calls.iter().filter(|call| call["method"] == "POST").count();
        assert_eq!(begun, starts, "each is one question");
        let asked = "SELECT CAST((SELECT SUM(polls) FROM kyc_verifications)
            + (SELECT SUM(attempts) FROM kyc_events WHERE provider = 'persona') AS BIGINT)";
        let asked = scene.rows.column::<i64>(asked).await[0];
        assert!(i64::try_from(calls.len() - begun).unwrap() <= asked, "{} of {asked}", calls.len() - begun);
        // After 1, 3, 7, 15, 31 and 55 hours.
        assert_eq!(scene.rows.count("kyc_verifications WHERE polls > 6").await, 0);
        let declined = "kyc_verifications WHERE provider = 'persona' AND status = 'declined'";
        assert_eq!(scene.rows.count(declined).await.unsigned_abs(), scene.of(Fate::Declined).count() as u64);

        // What is older than the rule allows was given up, and nothing else.
        let mails: Vec<_> = outbox(&scene.app).await;
        for mail in mails.iter().filter(|mail| mail.state != State::Sent) {
            let old = mail.created_at == began;
            assert_eq!([mail.state == State::Dead, mail.attempts == 56, mail.sealed.is_none()], [old; 3], "{mail:?}");
        }
        let hooks = deliveries(&scene.app).await;
        let unsent: Vec<_> = hooks.iter().filter(|row| row.state != State::Sent).collect();
        for row in &unsent {
            let old = row.created_at < began + Duration::from_secs(36 * HOUR);
            assert_eq!([row.state == State::Dead, row.attempts == 7], [old; 2], "{row:?}");
        }
        let events = scene.events(kyc_event::State::Dead).await;
        assert!(events.iter().all(|event| event.attempts == 56), "{events:?}");
        assert_eq!(events.len(), scene.of(Fate::ApprovedEarly).count());
        assert_eq!(scene.events(kyc_event::State::Pending).await.len(), scene.of(Fate::ApprovedLate).count());
        let attempts: i64 = mails.iter().map(|mail| i64::from(mail.attempts)).sum();
        assert!(scene.mail.knocks() <= attempts, "{} of {attempts}", scene.mail.knocks());
        let attempts: i64 = hooks.iter().map(|row| i64::from(row.attempts)).sum();
        assert!(scene.hooks.knocks() <= attempts, "{} of {attempts}", scene.hooks.knocks());

        // The operator is told.
        let dead_mails = mails.iter().filter(|mail| mail.state == State::Dead).count();
        let dead_hooks = unsent.iter().filter(|row| row.state == State::Dead).count();
        let failed: i32 = unsent.iter().map(|row| row.attempts).sum();
        let over = CancellationToken::new();
        over.cancel();
        scene.app.services.count_queues(over).await;
        let page = recorder.handle().render();
        for line in [
            format!("latchkey_mail_dead {dead_mails}"),
            format!("latchkey_mail_dead_total {dead_mails}"),
            format!("latchkey_webhooks_dead {dead_hooks}"),
            format!("latchkey_webhooks_failed_total{{endpoint=\"crm\"}} {failed}"),
            format!("latchkey_kyc_dead_total{{provider=\"persona\"}} {}", events.len()),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
        let environment = environment(&scene.receiver);
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = async |arguments: &[&str]| scene.app.database.run(arguments, &environment).await;
        let waiting_mails = mails.iter().filter(|mail| mail.state == State::Pending).count();
        let doctor = run(&["doctor"]).await.assert_failure("problem").stdout;
        for line in [
            format!("PROBLEM  mails: {dead_mails} were given up, {waiting_mails} wait"),
            format!("PROBLEM  webhooks: {dead_hooks} were given up, {} wait", unsent.len() - dead_hooks),
            format!("PROBLEM  webhooks of providers: {} were given up", events.len()),
        ] {
            assert!(doctor.contains(&line), "{line} in {doctor}");
        }
        let listed = run(&["webhooks", "list", "--state", "dead", "--limit", "1000"]).await.assert_success().stdout;
        assert_eq!(listed.lines().count(), dead_hooks.min(1000), "{listed}");
        let listed = run(&["kyc", "events", "--state", "dead", "--limit", "1000"]).await.assert_success().stdout;
        assert_eq!(listed.lines().count(), events.len(), "{listed}");

        // They are back; what was given up is sent by command, the rest by itself.
        let back = scene.receiver.received().len();
        scene.receiver.answer(Reply::status(204));
        scene.mail.turn(Way::Open);
        scene.hooks.turn(Way::Open);
        scene.vendors.reset().await;
        scene.tell(Fate::ToldAfterwards, "approved").await;
        let replayed = run(&["webhooks", "replay", "--dead"]).await.assert_success().stdout;
        assert!(replayed.starts_with(&format!("{dead_hooks} to be sent")), "{replayed}");
        for event in listed.lines() {
            run(&["kyc", "retry", event.split(' ').next().unwrap()]).await.assert_success();
        }
        // What is under way when the clock moves would be taken for the work of a server that died, and done again.
        scene.at_rest().await;
        scene.app.clock.advance_seconds(HOUR);
        scene.at_rest().await;
        let links = scene.links().await;
        let mut late = vec![];
        for newcomer in &scene.newcomers {
            let links = links.get(&newcomer.email).cloned().unwrap_or_default();
            assert_eq!(links.len(), usize::from(newcomer.at != began), "{}", newcomer.email);
            let fresh = scene.app.now().since(newcomer.at) < DAY;
            match links.first() {
                Some(link) if fresh => drop(scene.app.verify(link).await.assert_status(200)),
                Some(link) => drop(scene.app.verify(link).await.assert_error(400, "verification_token_expired")),
                None => {}
            }
            if !fresh {
                let body = json!({ "email": newcomer.email });
                scene.app.anonymous().post("/auth/resend-verification", &body).await.assert_status(200);
                late.push(newcomer);
            }
        }
        scene.at_rest().await;
        let links = scene.links().await;
        for newcomer in late {
            let links = &links[&newcomer.email];
            assert_eq!(links.len(), 1 + usize::from(newcomer.at != began), "{}", newcomer.email);
            scene.app.verify(links.last().unwrap()).await.assert_status(200);
        }
        for newcomer in &scene.newcomers {
            scene.app.login(&newcomer.email, PASSWORD).await;
        }
        for regular in &scene.regulars {
            let user = scene.app.login(&regular.email, PASSWORD).await;
            let begun = try_begin(&user, PERSONA, "while-away").await.assert_status(200).json();
            let again = try_begin(&user, PERSONA, "while-away").await.assert_status(200).json();
            assert_eq!(id_of(&begun), id_of(&again));
        }
        scene.at_rest().await;
        // The longest wait of a webhook, and of a question to the provider.
        for _ in 0..24 {
            scene.app.clock.advance_seconds(HOUR);
            scene.at_rest().await;
        }

        for (number, regular) in scene.regulars.iter().enumerate() {
            let user = scene.app.login(&regular.email, PASSWORD).await;
            let status = if number % FATES == Fate::Declined as usize { "declined" } else { "approved" };
            settled(&user, &regular.check, status).await;
        }
        assert_eq!(scene.rows.count("kyc_verifications WHERE reference IS NULL").await, 0);
        let checks = people + starts;
        assert_eq!(scene.rows.count("kyc_changes").await.unsigned_abs(), checks as u64, "one for each that was decided");
        let letters: Vec<String> = scene.letters().await.into_iter().map(|letter| letter.message_id).collect();
        let sent = scene.sent_mails().await.into_iter().map(|row| format!("<{}@example.com>", row.id));
        let sent: HashSet<String> = sent.collect();
        assert_eq!(letters.len(), sent.len());
        assert_eq!(letters.into_iter().collect::<HashSet<_>>(), sent);
        assert!(outbox(&scene.app).await.iter().all(|mail| mail.state != State::Pending));

        scene.acknowledged.extend(scene.newcomers.iter().map(|newcomer| format!("user.verified {}", newcomer.id)));
        scene.acknowledged.extend(scene.regulars.iter().map(|regular| format!("kyc.updated {}", id_of(&regular.check))));
        let received = scene.receiver.received();
        let taken: Vec<&Delivery> = received[..before].iter().chain(&received[back..]).collect();
        assert!(taken.iter().all(|delivery| is_signed(delivery, FIRST)));
        let hooks = deliveries(&scene.app).await;
        assert!(hooks.iter().all(|row| row.state == State::Sent), "{hooks:?}");
        let ids: HashSet<String> = hooks.iter().map(|row| format!("msg_{}", row.id)).collect();
        assert_eq!(taken.len(), ids.len());
        let bodies: HashMap<String, &str> =
            taken.iter().map(|delivery| (delivery.id().to_owned(), delivery.body.as_str())).collect();
        assert_eq!(bodies.keys().cloned().collect::<HashSet<_>>(), ids);
        for refused in &received[before..back] {
            assert_eq!(bodies[refused.id()], refused.body, "the same, under the same id");
        }
        let mut told: HashMap<String, usize> = HashMap::new();
        for delivery in taken {
            *told.entry(subject(delivery)).or_default() += 1;
        }
        for acknowledged in &scene.acknowledged {
            assert_eq!(told.get(acknowledged), Some(&1), "{acknowledged}");
        }
        let words = format!(
            "{AWAY} hours with {} people: {} acknowledged changes, each told once; {starts} starts of checks refused with 503, \
             nothing else; given up by the rule: {dead_mails} mails, asked for again, {dead_hooks} webhooks and {} of the \
             provider's, done by command; the {waiting_mails} mails that waited came once",
            people + scene.newcomers.len(), scene.acknowledged.len(), events.len()
        );
        counted("mail, a provider and a webhook receiver away for days", engine, &words);
    }

    /// After a day without an answer the same request comes once more, and waits while what came to nothing is removed.
    async fn what_is_begun_once_more_after_a_day_is_not_forgotten_meanwhile(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = kyc_vendors::app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        vendors.scenario(PERSONA, json!({ "scenario": "status", "status": 503 })).await;
        try_begin(&ada, PERSONA, "one").await.assert_error(503, "provider_unavailable");
        app.clock.advance(DAY + Duration::from_secs(1));
        let ada = app.login(ADA, PASSWORD).await;
        vendors.reset().await;
        vendors.scenario(PERSONA, json!({ "scenario": "slow", "seconds": 2 })).await;
        let (begun, ()) = tokio::join!(try_begin(&ada, PERSONA, "one"), async {
            eventually("the request", async || (!vendors.calls(PERSONA).await.is_empty()).then_some(())).await;
            app.services.look_after_kyc().await.unwrap();
        });
        begun.assert_status(200);
    }

    async fn a_provider_that_says_nothing_holds_up_no_other(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = App::start(engine, |config| {
            config.kyc.providers.insert(PERSONA.into(), vendors.settings(PERSONA));
        })
        .await;
        let ada = app.user(ADA).await;
        let check = try_begin(&ada, PERSONA, "one").await.assert_status(200).json();
        let row = row(&app, &check).await;
        let approved = json!({ "reference": row.reference, "external_id": row.external_id, "status": "approved" });
        let webhook = vendors.webhook(PERSONA, approved).await;
        vendors.scenario(PERSONA, json!({ "scenario": "slow" })).await;
        deliver(&app.anonymous(), &path(&app, PERSONA), &webhook).await.assert_status(200);
        let asked = async || vendors.calls(PERSONA).await.iter().any(|call| call["method"] == "GET");
        eventually("a question", async || asked().await.then_some(())).await;
        let demo = json!({ "level": "full", "provider": "demo" });
        let demo = ada.post(VERIFICATIONS, &demo).await.assert_status(200).json();
        press(&app, &demo, "approve").await;
        settled(&ada, &demo, "approved").await;
        let rows = Rows(app.database.connect().await);
        assert_eq!(rows.count("kyc_events WHERE state = 'pending' AND last_error IS NULL").await, 1);
    }
}
