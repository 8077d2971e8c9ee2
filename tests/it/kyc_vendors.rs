//! The way of a webhook through the server, from every vendor: proved, taken in once, worked on in order, confirmed.

use entities::account::Role;
use entities::kyc_verification;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};

use crate::kyc::{CASES, VERIFICATIONS, events, id_of, settled};
use crate::kyc_providers::REPEATING;
use crate::support::{Answer, App, Client, Engine, User, Vendors, eventually};

const ADA: &str = "ada@example.com";
/// Vendors that sign when they have sent it. The others are kept from repeating by what is in the inbox.
const SIGNED_WHEN_SENT: [&str; 4] = ["persona", "stripe_identity", "didit", "standard_webhooks"];
/// Vendors that tell of a verification as soon as they have made it, under our id.
const EARLY: [&str; 5] = ["sumsub", "persona", "veriff", "stripe_identity", "didit"];
/// The answer to a request was lost, with the server that waited for it.
const LOST: &str =
    "UPDATE kyc_verifications SET reference = NULL, handle = NULL, sealed = NULL, poll_at = NULL";

pub async fn app(engine: Engine, vendors: &Vendors) -> App {
    App::start(engine, |config| {
        vendors.configure(config);
        config.kyc.demo = false;
    })
    .await
}

pub async fn try_begin(user: &User, vendor: &str, key: &str) -> Answer {
    let body = json!({ "level": "full", "provider": vendor });
    user.with("idempotency-key", key).post(VERIFICATIONS, &body).await
}

/// A verification as it is stored.
pub async fn row(app: &App, session: &Value) -> kyc_verification::Model {
    let id: entities::KycVerificationId = id_of(session).parse().unwrap();
    kyc_verification::Entity::find_by_id(id).one(app.connection().await).await.unwrap().unwrap()
}

/// Delivers a webhook as it was made.
pub async fn deliver(
    client: &Client,
    path: &str,
    (headers, body): &(Vec<(String, String)>, Vec<u8>),
) -> Answer {
    let request = headers
        .iter()
        .filter(|(name, _)| name != "content-length" && name != "host")
        .fold(client.request("POST", path), |request, (name, value)| request.header(name, value));
    client.send(request, http_body_util::Full::new(hyper::body::Bytes::from(body.clone()))).await
}

/// Where a vendor's webhooks go; one that can't sign shows its token there.
pub fn path(app: &App, vendor: &str) -> String {
    let settings = &app.services.config.kyc.providers[vendor];
    let token = settings.webhook_tokens.first().map(|token| format!("?token={}", token.expose()));
    format!("/api/kyc/webhook/{vendor}{}", token.unwrap_or_default())
}

/// From now on it takes its time for answers: enough for something to come in between.
async fn slow_down(vendors: &Vendors, vendor: &str) {
    vendors.reset().await;
    vendors.scenario(vendor, json!({ "scenario": "slow", "seconds": 3 })).await;
}

/// Waits until it has got so many requests since then.
async fn asked(vendors: &Vendors, vendor: &str, count: usize) {
    eventually("requests", async || (vendors.calls(vendor).await.len() >= count).then_some(())).await;
}

async fn decline(reviewer: &User, session: &Value) {
    let body = json!({ "verdict": "decline", "reason": "Not the same person" });
    let path = format!("{CASES}/{}/decision", id_of(session));
    reviewer.post(&path, &body).await.assert_status(200);
}

on_both_engines! {
    async fn every_vendor_raises_the_level(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        for vendor in vendors.names() {
            let mut ada = app.user(&format!("{vendor}@example.com")).await;
            let session = try_begin(&ada, vendor, "one").await.assert_status(200).json();
            let row = row(&app, &session).await;
            let reference = row.reference.clone().unwrap();
            let now = app.clock.sources().now().seconds();
            let order = |status: &str, at: i64| {
                json!({ "reference": reference, "external_id": row.external_id, "status": status, "at": at })
            };
            if vendor != "standard_webhooks" {
                vendors.state(vendor, json!({ "reference": reference, "status": "in_review" })).await;
            }
            let review = vendors.webhook(vendor, order("in_review", now)).await;
            // Jumio's say no more than that it is done, and say so once.
            if vendor != "jumio" {
                let answer = deliver(&app.anonymous(), &path(&app, vendor), &review).await.assert_status(200);
                assert_eq!(answer.text(), "null");
                settled(&ada, &session, "in_review").await;
                let before = events(&app).await;
                deliver(&app.anonymous(), &path(&app, vendor), &review).await.assert_status(200);
                assert_eq!(events(&app).await, before, "{vendor}: a duplicate");
            }

            if vendor != "standard_webhooks" {
                vendors.state(vendor, json!({ "reference": reference, "status": "approved" })).await;
            }
            let approved = vendors.webhook(vendor, order("approved", now + 1)).await;
            app.clock.advance_seconds(2);
            // Whose it is, is told by its signature as well.
            let signed = !app.services.config.kyc.providers[vendor].webhook_secrets.is_empty();
            let anywhere = if signed { "/api/kyc/webhook".to_owned() } else { path(&app, vendor) };
            deliver(&app.anonymous(), &anywhere, &approved).await.assert_status(200);
            settled(&ada, &session, "approved").await;
            ada.refresh().await;
            assert_eq!(ada.claims()["ial"], 1, "{vendor}");
            // Old news change nothing.
            let late = vendors.webhook(vendor, order("in_review", now)).await;
            deliver(&app.anonymous(), &path(&app, vendor), &late).await.assert_status(200);
            settled(&ada, &session, "approved").await;
        }
    }

    async fn what_is_not_proved_leaves_nothing_behind(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        for vendor in vendors.names() {
            let ada = app.user(&format!("{vendor}@example.com")).await;
            let session = try_begin(&ada, vendor, vendor).await.assert_status(200).json();
            let row = row(&app, &session).await;
            let now = app.clock.sources().now().seconds();
            let order = json!({ "reference": row.reference, "external_id": row.external_id, "status": "approved", "at": now });
            let (headers, body) = vendors.webhook(vendor, order).await;
            let bare = format!("/api/kyc/webhook/{vendor}");
            let path = path(&app, vendor);
            let before = events(&app).await;
            let refuse = async |path: &str, headers: Vec<(String, String)>, body: Vec<u8>| {
                let answer = deliver(&app.anonymous(), path, &(headers, body)).await;
                answer.assert_error(401, "invalid_webhook");
            };
            let about = latchkey::plugins::kyc::find(vendor).unwrap().about();
            if about.signature.is_empty() {
                let bearer = |token: &str| vec![("authorization".to_owned(), format!("Bearer {token}"))];
                refuse(&bare, vec![], body.clone()).await;
                refuse(&bare, bearer("wrong"), body.clone()).await;
                refuse(&format!("{bare}?token=wrong"), vec![], body).await;
            } else {
                for (at, byte) in [(0, 1), (body.len() / 2, 0x20), (body.len() - 1, 0x80)] {
                    let mut spoilt = body.clone();
                    spoilt[at] ^= byte;
                    refuse(&path, headers.clone(), spoilt).await;
                }
                let unsigned: Vec<_> = headers.iter().filter(|(name, _)| !about.signature.contains(&name.as_str())).cloned().collect();
                refuse(&path, unsigned.clone(), body.clone()).await;
                // Its API key, or a bearer token, is no signature.
                let bearer = [unsigned, vec![("authorization".into(), "Bearer secret".into())]].concat();
                refuse(&path, bearer, body.clone()).await;
                let other = if vendor == "persona" { "stripe_identity" } else { "persona" };
                refuse(&format!("/api/kyc/webhook/{other}"), headers.clone(), body.clone()).await;
                if SIGNED_WHEN_SENT.contains(&vendor) {
                    // Genuine, and kept by somebody until now.
                    app.clock.advance_seconds(301);
                    refuse(&path, headers, body).await;
                }
            }
            assert_eq!(events(&app).await, before, "{vendor}");
        }
    }

    async fn a_provider_that_fails_leaves_nothing_half_begun(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        for (number, vendor) in vendors.names().into_iter().filter(|vendor| *vendor != "standard_webhooks").enumerate() {
            for (scenario, status, code) in [
                (json!({ "scenario": "status", "status": 500 }), 503, "provider_unavailable"),
                (json!({ "scenario": "close" }), 503, "provider_unavailable"),
                (json!({ "scenario": "status", "status": 401 }), 502, "provider_failed"),
                (json!({ "scenario": "garbage" }), 502, "provider_failed"),
            ] {
                vendors.scenario(vendor, scenario).await;
                try_begin(&ada, vendor, vendor).await.assert_error(status, code);
                vendors.reset().await;
            }
            let listed = ada.get(VERIFICATIONS).await.assert_status(200).json();
            assert_eq!(listed["verifications"].as_array().unwrap().len(), number, "{vendor}");
            // The same request goes on where it was.
            let begun = try_begin(&ada, vendor, vendor).await.assert_status(200).json();
            let again = try_begin(&ada, vendor, vendor).await.assert_status(200).json();
            assert_eq!(id_of(&begun), id_of(&again));
        }
    }

    /// The vendor has made it, the answer was lost with the server that waited for it, and a webhook came before the client
    /// did again.
    async fn an_early_webhook_does_not_stand_for_the_answer(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        for vendor in EARLY {
            let session = try_begin(&ada, vendor, vendor).await.assert_status(200).json();
            let begun = row(&app, &session).await;
            let lost = format!("{LOST} WHERE provider = '{vendor}'");
            app.connection().await.execute_unprepared(&lost).await.unwrap();
            let now = app.clock.sources().now().seconds();
            let order = json!({
                "reference": begun.reference, "external_id": begun.external_id, "status": "pending", "at": now,
            });
            let early = vendors.webhook(vendor, order).await;
            deliver(&app.anonymous(), &path(&app, vendor), &early).await.assert_status(200);
            eventually("its reference", async || row(&app, &session).await.reference.map(drop)).await;

            let again = try_begin(&ada, vendor, vendor).await.assert_status(200).json();
            assert_eq!(id_of(&again), id_of(&session));
            assert!(again["url"].is_string() || again["token"].is_string(), "{vendor}: {again}");
            let row = row(&app, &again).await;
            assert!(row.sealed.is_some() && row.poll_at.is_some(), "{vendor}: {row:?}");
            if REPEATING.contains(&vendor) {
                assert_eq!((row.reference, row.handle), (begun.reference, begun.handle), "{vendor}");
            }
            // Now there is an answer.
            assert_eq!(try_begin(&ada, vendor, vendor).await.assert_status(200).json(), again);
        }
    }

    /// It has no link any more, as one whose answer was lost; but the vendor decides on it.
    async fn what_is_looked_at_again_is_not_begun_anew(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        let session = try_begin(&ada, "persona", "one").await.assert_status(200).json();
        let begun = row(&app, &session).await;
        for status in ["approved", "in_review"] {
            let now = app.clock.sources().now().seconds();
            vendors.state("persona", json!({ "reference": begun.reference, "status": status })).await;
            let order = json!({ "reference": begun.reference, "status": status, "at": now });
            let told = vendors.webhook("persona", order).await;
            deliver(&app.anonymous(), &path(&app, "persona"), &told).await.assert_status(200);
            settled(&ada, &session, status).await;
            app.clock.advance_seconds(1);
        }
        vendors.reset().await;
        let again = try_begin(&ada, "persona", "one").await.assert_status(200).json();
        assert_eq!((id_of(&again), &again["url"]), (id_of(&session), &Value::Null));
        assert_eq!(row(&app, &again).await.reference, begun.reference);
        let calls = vendors.calls("persona").await;
        assert!(calls.iter().all(|call| call["method"] == "GET"), "{calls:?}");
    }

    async fn an_approval_counts_once_the_vendor_says_so_itself(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        let session = try_begin(&ada, "persona", "one").await.assert_status(200).json();
        let row = row(&app, &session).await;
        let now = app.clock.sources().now().seconds();
        let order = |status: &str, at: i64| json!({ "reference": row.reference, "status": status, "at": at });
        vendors.state("persona", json!({ "reference": row.reference, "status": "in_review" })).await;
        let approved = vendors.webhook("persona", order("approved", now)).await;
        deliver(&app.anonymous(), &path(&app, "persona"), &approved).await.assert_status(200);
        settled(&ada, &session, "in_review").await;
        // What went quiet is asked for.
        vendors.state("persona", json!({ "reference": row.reference, "status": "approved" })).await;
        app.clock.advance_seconds(3601);
        let mut ada = app.login(ADA, &ada.password).await;
        app.services.look_after_kyc().await.unwrap();
        settled(&ada, &session, "approved").await;
        ada.refresh().await;
        assert_eq!(ada.claims()["ial"], 1);
    }

    /// A reviewer decides, and the person takes back, while the vendor is being asked.
    async fn what_people_decide_while_a_vendor_is_asked_stands(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        let declined = try_begin(&ada, "persona", "one").await.assert_status(200).json();
        let cancelled = try_begin(&ada, "persona", "two").await.assert_status(200).json();
        for session in [&declined, &cancelled] {
            let reference = row(&app, session).await.reference;
            vendors.state("persona", json!({ "reference": reference, "status": "approved" })).await;
        }
        app.clock.advance_seconds(3601);
        let ada = app.login(ADA, &ada.password).await;
        let reviewer = app.staff(Role::Reviewer).await;
        slow_down(&vendors, "persona").await;
        let (asked, ()) = tokio::join!(app.services.look_after_kyc(), async {
            asked(&vendors, "persona", 2).await;
            app.clock.advance_seconds(1);
            decline(&reviewer, &declined).await;
            let path = format!("{VERIFICATIONS}/{}/cancel", id_of(&cancelled));
            ada.post(&path, &Value::Null).await.assert_status(200);
            app.clock.advance_seconds(1);
        });
        asked.unwrap();
        settled(&ada, &declined, "declined").await;
        settled(&ada, &cancelled, "cancelled").await;
    }

    /// The same, where a webhook is the reason to ask.
    async fn what_a_reviewer_decides_while_a_webhook_is_confirmed_stands(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        let session = try_begin(&ada, "veriff", "one").await.assert_status(200).json();
        let order = json!({ "reference": row(&app, &session).await.reference, "status": "approved" });
        vendors.state("veriff", order.clone()).await;
        let reviewer = app.staff(Role::Reviewer).await;
        slow_down(&vendors, "veriff").await;
        let approved = vendors.webhook("veriff", order).await;
        deliver(&app.anonymous(), &path(&app, "veriff"), &approved).await.assert_status(200);
        asked(&vendors, "veriff", 1).await;
        app.clock.advance_seconds(1);
        decline(&reviewer, &session).await;
        app.clock.advance_seconds(1);
        eventually("the inbox is worked on", async || {
            let health = app.anonymous().get("/api/kyc/health").await.json();
            (health["backlog"] == 0).then_some(())
        })
        .await;
        settled(&ada, &session, "declined").await;
    }

    /// The answer to a request that was repeated comes after an early webhook has shown the verification to its person.
    async fn what_is_taken_back_before_the_answer_has_no_link(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        let session = try_begin(&ada, "persona", "one").await.assert_status(200).json();
        let begun = row(&app, &session).await;
        app.connection().await.execute_unprepared(LOST).await.unwrap();
        slow_down(&vendors, "persona").await;
        let (again, ()) = tokio::join!(try_begin(&ada, "persona", "one"), async {
            asked(&vendors, "persona", 1).await;
            let now = app.clock.sources().now().seconds();
            let order = json!({
                "reference": begun.reference, "external_id": begun.external_id, "status": "pending", "at": now,
            });
            let early = vendors.webhook("persona", order).await;
            deliver(&app.anonymous(), &path(&app, "persona"), &early).await.assert_status(200);
            eventually("its reference", async || row(&app, &session).await.reference.map(drop)).await;
            let path = format!("{VERIFICATIONS}/{}/cancel", id_of(&session));
            ada.post(&path, &Value::Null).await.assert_status(200);
        });
        let again = again.assert_status(200).json();
        assert_eq!((&again["verification"]["status"], &again["url"]), (&json!("cancelled"), &Value::Null));
        let row = row(&app, &session).await;
        assert_eq!((row.reference, row.sealed, row.poll_at), (begun.reference, None, None));
    }

    /// As a node has left it whose clock was a year ahead: an event that it could not confirm, and a request under way.
    async fn what_a_wrong_clock_has_put_off_goes_on(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        let session = try_begin(&ada, "persona", "one").await.assert_status(200).json();
        let order = json!({ "reference": row(&app, &session).await.reference, "status": "approved" });
        vendors.state("persona", order.clone()).await;
        vendors.scenario("persona", json!({ "scenario": "status", "status": 503 })).await;
        let approved = vendors.webhook("persona", order).await;
        deliver(&app.anonymous(), &path(&app, "persona"), &approved).await.assert_status(200);
        let db = app.connection().await;
        eventually("an attempt", async || {
            let event = entities::kyc_event::Entity::find().one(db).await.unwrap().unwrap();
            event.last_error.map(drop)
        })
        .await;
        vendors.reset().await;
        db.execute_unprepared("UPDATE kyc_events SET due_at = due_at + 31536000000").await.unwrap();
        app.services.reap().await.unwrap();
        settled(&ada, &session, "approved").await;

        let other = try_begin(&ada, "veriff", "two").await.assert_status(200).json();
        let busy = app.now().0 + 31_536_000_000;
        let busy = format!("{LOST}, busy_until = {busy} WHERE provider = 'veriff'");
        db.execute_unprepared(&busy).await.unwrap();
        let again = try_begin(&ada, "veriff", "two").await.assert_status(200).json();
        assert_eq!(id_of(&again), id_of(&other));
    }

    async fn a_webhook_about_nobody_is_answered_and_changes_nothing(engine: Engine) {
        let vendors = Vendors::start().await;
        let app = app(engine, &vendors).await;
        let ada = app.user(ADA).await;
        let session = try_begin(&ada, "stripe_identity", "one").await.assert_status(200).json();
        let row = row(&app, &session).await;
        let now = app.clock.sources().now().seconds();
        let (reference, other) = (row.reference.unwrap(), app.user("bob@example.com").await);
        let others = try_begin(&other, "stripe_identity", "one").await.assert_status(200).json();
        let his = self::row(&app, &others).await;
        // Of a reference that somebody else has.
        let order = json!({ "reference": reference, "external_id": his.external_id, "status": "expired", "at": now });
        let crossed = vendors.webhook("stripe_identity", order).await;
        deliver(&app.anonymous(), &path(&app, "stripe_identity"), &crossed).await.assert_status(200);
        eventually("the inbox is worked on", async || {
            let health = app.anonymous().get("/api/kyc/health").await.json();
            (health["backlog"] == 0).then_some(())
        })
        .await;
        settled(&ada, &session, "pending").await;
        settled(&other, &others, "pending").await;
        assert_eq!(events(&app).await, 1);
        let why = json!(entities::kyc_event::Entity::find().one(app.connection().await).await.unwrap().unwrap().last_error);
        assert_eq!(why, "another person's reference");
    }
}
