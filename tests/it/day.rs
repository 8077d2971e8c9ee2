//! A day of traffic and its aftermath: each table ends with the rows that should be there, and with no other.

use latchkey::config::{Config, WebhookEndpoint};
use latchkey::secret::Secret;
use serde_json::{Value, json};

use crate::api_keys::store;
use crate::kyc::decided;
use crate::support::process::Rows;
use crate::support::receiver::Receiver;
use crate::support::{App, Engine, PASSWORD, eventually};

const DAY: u64 = 86_400;
/// Ten people do ten different things.
const TENS: u64 = 12;

fn settings(config: &mut Config, receiver: &Receiver) {
    config.limits.enabled = true;
    config.webhooks.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let endpoint = WebhookEndpoint {
        url: receiver.url().parse().unwrap(),
        secrets: vec![Secret::new("whsec_YmVmb3JlIHRoZSBoYXJ2ZXN0IGNhbmFyeSAxMjM0NTY=".into())],
        events: vec!["user.created".into()],
    };
    config.webhooks.endpoints.insert("crm".into(), endpoint);
}

/// What somebody does here today.
async fn live(app: &App, number: u64) {
    let email = format!("person-{number}@example.com");
    app.sign_up(&email, PASSWORD).await;
    let mut token = app.mail_to(&email).await.token();
    match number % 10 {
        // Never confirms the address.
        0 => return,
        // Has lost the mail, and signs up once more.
        1 => {
            app.sign_up(&email, PASSWORD).await;
            token = app.mail_to(&email).await.token();
        }
        _ => {}
    }
    app.verify(&token).await.assert_status(200);
    let mut person = app.login(&email, PASSWORD).await;
    match number % 10 {
        2 => drop(person.logout().await.assert_status(200)),
        // Forgets the password, and chooses another.
        3 => {
            person.refresh().await;
            let token = app.reset_token(&email).await;
            app.reset(&token, "eight dark green kettles").await.assert_status(200);
            app.login(&email, "eight dark green kettles").await;
        }
        // Remembers the password in the end.
        4 => drop(app.reset_token(&email).await),
        // Adds a second factor, and nearly another; makes a key for a program, leaves a sign-in half done, and has the device
        // remembered at the next.
        5 => {
            let (totp, _) = person.add_totp("Phone", app.now()).await;
            let key = json!({ "name": "Bot", "scopes": ["read"] });
            person.post("/api/v1/access-keys", &key).await.assert_status(200);
            person.post("/auth/mfa/totp", &json!({ "name": "Tablet" })).await.assert_status(200);
            app.next_code();
            app.ticket(&email, PASSWORD).await;
            let ticket = app.ticket(&email, PASSWORD).await;
            let code = totp.code(app.now());
            let body = json!({ "ticket": ticket, "method": "totp", "code": code, "remember_device": true });
            app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200);
        }
        // Entrusts two credentials, and looks at one.
        6 => {
            store(&person, "One").await;
            let path = store(&person, "Two").await;
            person.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
        }
        // Is who they say, or is not.
        7 if number % 20 == 7 => drop(decided(app, &person, "basic", "approve", "approved").await),
        7 => drop(decided(app, &person, "basic", "decline", "declined").await),
        // Moves to another address, and begins to add a passkey.
        8 => {
            app.restore_token(&person, &email, &format!("moved-{number}@example.com")).await;
            person.challenge("/auth/passkeys/options").await;
        }
        // Leaves.
        9 => drop(person.json("DELETE", "/auth/account", &Value::Null).await.assert_status(200)),
        _ => {}
    }
}

/// Throws away the mails that were read, which would be looked through for each one to come.
fn throw_mails_away(app: &App) {
    for file in std::fs::read_dir(app.database.directory.path().join("mail")).unwrap() {
        let path = file.unwrap().path();
        let hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
        if !hidden {
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Lets time pass, and does what is due until nothing is.
async fn pass(app: &App, rows: &Rows, seconds: u64) {
    app.clock.advance_seconds(seconds);
    loop {
        app.services.look_after_kyc().await.unwrap();
        let done = app.services.reap().await.unwrap();
        for table in ["outbox_messages", "webhook_deliveries", "kyc_events"] {
            let pending = format!("{table} WHERE state = 'pending'");
            eventually(&pending, async || (rows.count(&pending).await == 0).then_some(())).await;
        }
        if done == 0 {
            return;
        }
    }
}

/// Days until the tables are looked at again.
const DAYS: [u64; 5] = [2, 10, 60, 440, 440];
/// The rows of each table each time.
const LEFT: &[(&str, [u64; 5])] = &[
    // Those who leave go after a week, those who never confirmed their address after a month.
    ("accounts", [120, 108, 96, 96, 96]),
    // One for each of nine, another one for those with a new password and those with a second factor. Those that were ended
    // go after a week, the others when they have run out.
    ("sessions", [132, 96, 0, 0, 0]),
    // Those who moved to another address have none any more.
    ("email_verifications", [108, 0, 0, 0, 0]),
    ("password_resets", [24, 0, 0, 0, 0]),
    ("email_changes", [12, 0, 0, 0, 0]),
    ("server_keys", [2, 2, 2, 2, 2]),
    ("rate_limits", [0, 0, 0, 0, 0]),
    // Each account that goes is an event, and so is each approval that runs out; then the trail's own time is over.
    ("audit_events", [648, 660, 672, 6, 0]),
    // Those who left are told that they are gone.
    ("outbox_messages", [282, 12, 0, 0, 0]),
    ("webhook_deliveries", [132, 0, 0, 0, 0]),
    ("webhook_pauses", [0, 0, 0, 0, 0]),
    ("totp_authenticators", [12, 12, 12, 12, 12]),
    ("api_keys", [24, 24, 24, 24, 24]),
    ("access_keys", [12, 12, 12, 12, 12]),
    ("passkeys", [0, 0, 0, 0, 0]),
    ("recovery_codes", [120, 120, 120, 120, 120]),
    ("mfa_tickets", [0, 0, 0, 0, 0]),
    ("webauthn_challenges", [0, 0, 0, 0, 0]),
    ("remembered_devices", [12, 12, 0, 0, 0]),
    ("seen_devices", [108, 96, 96, 0, 0]),
    // Six were declined, which is forgotten with the trail; the other six run out after a year, and are forgotten as long
    // after that.
    ("kyc_verifications", [12, 12, 12, 6, 0]),
    ("kyc_changes", [12, 12, 12, 12, 0]),
    ("kyc_events", [12, 12, 0, 0, 0]),
    ("kyc_person_keys", [12, 12, 12, 12, 12]),
    ("kyc_contacts", [0, 0, 0, 0, 0]),
];

on_both_engines! {
    async fn a_day_ends_with_what_should_be_there(engine: Engine) {
        let receiver = Receiver::start().await;
        let app = App::start(engine, |config| settings(config, &receiver)).await;
        let rows = Rows(app.database.connect().await);
        for number in 0..TENS * 10 {
            live(&app, number).await;
            throw_mails_away(&app);
            app.clock.advance_seconds(DAY / (TENS * 10));
        }
        let kept = crate::retention::KEPT_SMALL.iter().map(|(table, _)| *table);
        let listed = LEFT.iter().map(|(table, _)| *table).chain(["seaql_migrations"]);
        assert!(kept.eq(listed), "each table is listed");
        for (at, days) in DAYS.into_iter().enumerate() {
            pass(&app, &rows, days * DAY + 7200).await;
            for (table, left) in LEFT {
                assert_eq!(rows.count(table).await.unsigned_abs(), left[at], "{table}, the {at}th time");
            }
        }
        // Whoever stayed is still there.
        app.login("person-4@example.com", PASSWORD).await.profile().await.assert_status(200);
    }
}
