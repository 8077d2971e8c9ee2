//! Identity checks: begun, decided by providers and reviewers, and worth something in tokens and policies.

use entities::account::Role;
use entities::{kyc_change, kyc_event, kyc_verification};
use latchkey::config::Grant;
use latchkey::plugins::kyc::Check;
use latchkey::services::policy::Requirement;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::{Answer, App, Engine, PUBLIC_URL, User, eventually};

pub const VERIFICATIONS: &str = "/api/kyc/verifications";
pub const CASES: &str = "/api/v1/admin/kyc/verifications";
const ADA: &str = "ada@example.com";
const DAY: u64 = 86_400;

/// Begins a verification with the demo.
pub async fn begin(user: &User, level: &str) -> Value {
    user.post(VERIFICATIONS, &json!({ "level": level })).await.assert_status(200).json()
}

pub fn id_of(session: &Value) -> String {
    session["verification"]["id"].as_str().unwrap().to_owned()
}

/// Presses a button on the demo's page.
pub async fn press(app: &App, session: &Value, decision: &str) -> Answer {
    let path = session["url"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap();
    app.anonymous().get(path).await.assert_status(200);
    app.anonymous().submit(path, &format!("decision={decision}")).await.assert_status(200)
}

/// Waits until a verification has a status.
pub async fn settled(user: &User, session: &Value, status: &str) -> Value {
    let path = format!("{VERIFICATIONS}/{}", id_of(session));
    eventually(status, async || {
        let session = user.get(&path).await.assert_status(200).json();
        (session["verification"]["status"] == status).then_some(session)
    })
    .await
}

/// Begins a verification and has the demo decide it.
pub async fn decided(app: &App, user: &User, level: &str, decision: &str, status: &str) -> Value {
    let session = begin(user, level).await;
    press(app, &session, decision).await;
    settled(user, &session, status).await;
    session
}

/// How many webhooks are in the inbox, whatever has become of them.
pub async fn events(app: &App) -> u64 {
    kyc_event::Entity::find().count(app.connection().await).await.unwrap()
}

async fn standing(user: &User) -> Value {
    user.get("/api/kyc/").await.assert_status(200).json()["standing"].clone()
}

fn grants() -> Vec<Grant> {
    let grant = |level: &str, checks: &[Check], ial| Grant {
        provider: "*".into(),
        level: level.into(),
        checks: checks.to_vec(),
        ial,
        valid_days: 20,
    };
    vec![grant("*", &[], 1), grant("full", &[Check::Document, Check::Face], 2)]
}

on_both_engines! {
    async fn an_approval_is_in_the_token_from_the_next_refresh_on(app: App) {
        let mut ada = app.user(ADA).await;
        assert_eq!(standing(&ada).await, json!({ "ial": 0, "ial_until": null, "next": "start", "verification": null }));
        let session = begin(&ada, "basic").await;
        assert_eq!((&session["verification"]["status"], &session["verification"]["next"]), (&json!("pending"), &json!("continue")));
        assert_eq!((&session["token"], standing(&ada).await["next"].as_str()), (&Value::Null, Some("continue")));
        press(&app, &session, "approve").await;
        let after = settled(&ada, &session, "approved").await;
        assert_eq!((&after["verification"]["ial"], &after["verification"]["next"]), (&json!(1), &json!("refresh")));
        // The link is of no use to anybody any more.
        assert_eq!(after["url"], Value::Null);
        assert_eq!((standing(&ada).await["ial"].as_i64(), standing(&ada).await["next"].as_str()), (Some(1), Some("refresh")));
        assert_eq!(ada.claims()["ial"], 0);
        ada.refresh().await;
        assert_eq!(ada.claims()["ial"], 1);
        assert_eq!(standing(&ada).await["next"], "nothing");
        let mail = app.mail_of(ADA, "identity_verified").await;
        assert!(mail.subject.contains("identity"), "{}", mail.subject);
        // Whoever signs in has it at once.
        let again = app.login(ADA, &ada.password).await;
        assert_eq!(again.claims()["ial"], 1);
    }

    async fn an_approval_ends(engine: Engine) {
        let app = App::start(engine, |config| config.kyc.grants = grants()).await;
        let mut ada = app.user(ADA).await;
        let full = decided(&app, &ada, "full", "approve", "approved").await;
        ada.refresh().await;
        assert_eq!(ada.claims()["ial"], 2);
        app.clock.advance_seconds(5 * DAY);
        ada.refresh().await;
        decided(&app, &ada, "basic", "approve", "approved").await;
        ada.refresh().await;
        assert_eq!(ada.claims()["ial"], 2);
        // The better one runs out first; what is left is the other.
        app.clock.advance_seconds(5 * DAY);
        ada.refresh().await;
        app.clock.advance_seconds(5 * DAY);
        ada.refresh().await;
        app.clock.advance_seconds(5 * DAY);
        ada.refresh().await;
        assert_eq!(ada.claims()["ial"], 0, "to the second");
        app.services.look_after_kyc().await.unwrap();
        ada.refresh().await;
        assert_eq!(ada.claims()["ial"], 1);
        settled(&ada, &full, "expired").await;
    }

    async fn what_demands_an_identity_says_how_to_get_there(engine: Engine) {
        let app = App::start(engine, |config| {
            let demand = Requirement { ial: 1, ..Requirement::default() };
            config.assurance.routes.insert("api_key_decrypt".into(), demand);
        })
        .await;
        let (mut ada, _, _) = app.user_with_totp(ADA).await;
        let path = format!("{}/decrypt", crate::api_keys::store(&ada, "Savings").await);
        let body = json!({ "name": "Bot", "scopes": ["decrypt"] });
        let key = ada.post("/api/v1/access-keys", &body).await.assert_status(200).json();
        let server = app.anonymous().bearer(key["token"].as_str().unwrap());
        for client in [&*ada, &server] {
            let refused = client.post(&path, &json!({})).await;
            assert_eq!((&refused.json()["acr_values"], &refused.json()["verification_url"]), (&json!("ial1"), &json!(VERIFICATIONS)));
            refused.assert_error(401, "insufficient_user_authentication");
        }
        let session = decided(&app, &ada, "basic", "approve", "approved").await;
        let refused = ada.post(&path, &json!({})).await;
        assert!(refused.json()["detail"].as_str().unwrap().contains("refresh"), "{refused:?}");
        assert_eq!(refused.json()["verification_url"], Value::Null);
        server.post(&path, &json!({})).await.assert_status(200);
        ada.refresh().await;
        ada.post(&path, &json!({})).await.assert_status(200);
        // What is taken back ends at the next request, whatever the token says.
        app.clock.advance_seconds(1);
        press(&app, &session, "decline").await;
        settled(&ada, &session, "declined").await;
        assert_eq!(ada.claims()["ial"], 1);
        for client in [&*ada, &server] {
            client.post(&path, &json!({})).await.assert_error(401, "insufficient_user_authentication");
        }
    }

    async fn what_somebody_takes_back_is_over(app: App) {
        let ada = app.user(ADA).await;
        let session = begin(&ada, "basic").await;
        let path = format!("{VERIFICATIONS}/{}/cancel", id_of(&session));
        let cancelled = ada.post(&path, &Value::Null).await.assert_status(200).json();
        assert_eq!(cancelled["verification"]["status"], "cancelled");
        ada.post(&path, &Value::Null).await.assert_error(409, "verification_closed");
        let page = session["url"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap();
        app.anonymous().submit(page, "decision=approve").await.assert_error(404, "not_found");
        let other = decided(&app, &ada, "basic", "decline", "declined").await;
        let path = format!("{VERIFICATIONS}/{}/cancel", id_of(&other));
        ada.post(&path, &Value::Null).await.assert_error(409, "verification_closed");
    }

    async fn what_nobody_decides_is_given_up(app: App) {
        let mut ada = app.user(ADA).await;
        let session = begin(&ada, "basic").await;
        app.clock.advance_seconds(4 * DAY);
        ada.refresh().await;
        app.services.look_after_kyc().await.unwrap();
        settled(&ada, &session, "pending").await;
        app.clock.advance_seconds(3 * DAY);
        ada.refresh().await;
        app.services.look_after_kyc().await.unwrap();
        settled(&ada, &session, "expired").await;
    }

    /// As two nodes do, which find the same verifications due.
    async fn what_two_rounds_give_up_at_once_is_given_up_once(app: App) {
        let ada = app.user(ADA).await;
        // More than one round is through with before the other has read them.
        for _ in 0..20 {
            begin(&ada, "basic").await;
        }
        app.clock.advance_seconds(7 * DAY);
        let (one, other) = tokio::join!(app.services.look_after_kyc(), app.services.look_after_kyc());
        one.and(other).unwrap();
        let rows = kyc_verification::Entity::find().all(app.connection().await).await.unwrap();
        assert!(rows.iter().all(|row| row.status == "expired"), "{rows:?}");
        assert_eq!(kyc_change::Entity::find().count(app.connection().await).await.unwrap(), 20);
        let trail = app.audit().await;
        assert_eq!(trail.iter().filter(|event| event.action == "verification.changed").count(), 20);
    }

    /// An account that can't be read stands for whatever goes wrong with one of them.
    async fn what_can_not_be_given_up_holds_up_nothing_else(app: App) {
        let (ada, bob) = (app.user(ADA).await, app.user("bob@example.com").await);
        begin(&ada, "basic").await;
        begin(&bob, "basic").await;
        begin(&bob, "full").await;
        for sql in [
            "UPDATE accounts SET role = 'unheard of' WHERE email = 'ada@example.com'",
            // One that the provider never answered for, to be forgotten.
            "UPDATE kyc_verifications SET reference = NULL WHERE level = 'full'",
        ] {
            app.connection().await.execute_unprepared(sql).await.unwrap();
        }
        app.clock.advance_seconds(7 * DAY);
        app.services.look_after_kyc().await.unwrap();
        let rows = kyc_verification::Entity::find().all(app.connection().await).await.unwrap();
        let status = |user: &User| rows.iter().find(|row| row.account_id.to_string() == user.id).unwrap().status.clone();
        assert_eq!((rows.len(), status(&ada), status(&bob)), (2, "pending".into(), "expired".into()));
    }

    async fn a_request_that_is_repeated_begins_one(app: App) {
        let ada = app.user(ADA).await;
        let with_key = |key: &str| ada.with("idempotency-key", key);
        let body = json!({ "level": "basic", "redirect_url": "https://app.example.com/done" });
        let first = with_key("one").post(VERIFICATIONS, &body).await.assert_status(200).json();
        let again = with_key("one").post(VERIFICATIONS, &body).await.assert_status(200).json();
        assert_eq!(first, again);
        let other = json!({ "level": "full", "redirect_url": "https://app.example.com/done" });
        with_key("one").post(VERIFICATIONS, &other).await.assert_error(409, "idempotency_key_reused");
        with_key("one").post(VERIFICATIONS, &json!({ "level": "basic" })).await.assert_error(409, "idempotency_key_reused");
        with_key("two").post(VERIFICATIONS, &other).await.assert_status(200);
        with_key("bad key").post(VERIFICATIONS, &body).await.assert_violation("string_pattern_mismatch", &["header", "Idempotency-Key"]);
        // Somebody else's key of the same name is another one.
        let bob = app.user("bob@example.com").await;
        let his = bob.with("idempotency-key", "one").post(VERIFICATIONS, &body).await.assert_status(200).json();
        assert_ne!(his["verification"]["id"], first["verification"]["id"]);

        let client = with_key("many");
        let many = (0..20).map(|_| client.post(VERIFICATIONS, &body));
        let answers = futures_util::future::join_all(many).await;
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:?}");
        assert!(answers.iter().any(|answer| answer.status == 200));
        let rows = kyc_verification::Entity::find().all(app.connection().await).await.unwrap();
        assert_eq!(rows.len(), 4);
        let listed = ada.get(&format!("{VERIFICATIONS}?limit=2")).await.assert_status(200).json();
        assert_eq!(listed["verifications"].as_array().unwrap().len(), 2);
        let rest = format!("{VERIFICATIONS}?limit=2&before={}", listed["before"].as_str().unwrap());
        let rest = ada.get(&rest).await.assert_status(200).json();
        assert_eq!((rest["verifications"].as_array().unwrap().len(), &rest["before"]), (1, &Value::Null));
    }

    async fn only_what_is_on_offer_can_be_begun(engine: Engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user(ADA).await;
        for (body, loc) in [
            (json!({ "level": "royal" }), ["body", "level"]),
            (json!({ "level": "basic", "provider": "sumsub" }), ["body", "provider"]),
            (json!({ "level": "royal", "provider": "demo" }), ["body", "level"]),
        ] {
            ada.post(VERIFICATIONS, &body).await.assert_violation("value_error", &loc);
        }
        let overview = app.anonymous().get("/api/kyc/").await.assert_status(200).json();
        let levels: Vec<_> = overview["offers"].as_array().unwrap().iter().map(|offer| offer["level"].clone()).collect();
        assert_eq!(levels, ["basic", "full"]);
        let off = App::start(engine, |config| config.kyc.demo = false).await;
        let ada = off.user(ADA).await;
        ada.post(VERIFICATIONS, &json!({ "level": "basic" })).await.assert_violation("value_error", &["body", "level"]);
        off.anonymous().get("/kyc/demo/anything").await.assert_error(404, "not_found");
        assert_eq!(off.anonymous().get("/api/kyc/health").await.json()["service"], "off");
    }

    async fn reviewers_decide_with_a_second_pair_of_eyes(engine: Engine) {
        let app = App::start(engine, |config| {
            config.kyc.grants = grants();
            config.kyc.two_reviewers = true;
        })
        .await;
        let ada = app.user(ADA).await;
        let session = decided(&app, &ada, "full", "review", "in_review").await;
        assert_eq!(standing(&ada).await["next"], "wait");
        let (one, two) = (app.staff(Role::Reviewer).await, app.staff(Role::Reviewer).await);
        let queue = one.get(CASES).await.assert_status(200).json();
        assert_eq!(queue["cases"][0]["account_id"], ada.id);
        let path = format!("{CASES}/{}", id_of(&session));
        let decision = format!("{path}/decision");
        let approve = json!({ "verdict": "approve", "reason": "Seen in a call", "checks": ["face", "document"] });
        let decline = json!({ "verdict": "decline", "reason": "Not the same person" });
        for (reviewer, body, status) in [
            (&one, &approve, "in_review"),
            (&one, &approve, "in_review"),
            (&two, &decline, "in_review"),
            (&one, &approve, "in_review"),
            (&two, &approve, "approved"),
        ] {
            let case = reviewer.post(&decision, body).await.assert_status(200).json();
            assert_eq!(case["verification"]["status"], status);
            assert_eq!(case["proposal"].is_null(), status == "approved");
        }
        assert_eq!(standing(&ada).await["ial"], 2);
        let file = one.get(&path).await.assert_status(200).json();
        let sources: Vec<_> = file["steps"].as_array().unwrap().iter().map(|step| step["source"].clone()).collect();
        assert_eq!(sources, ["reviewer", "provider"]);
        let trail = app.audit().await;
        let changed = trail.iter().find(|event| event.action == "verification.changed" && event.actor == "staff").unwrap();
        let detail: Value = serde_json::from_str(changed.detail.as_deref().unwrap()).unwrap();
        assert_eq!((&detail["by"], &detail["proposed_by"]), (&json!(two.id), &json!(one.id)));
        // The person learns that, and nothing of why.
        let shown = ada.get(&format!("{VERIFICATIONS}/{}", id_of(&session))).await.text();
        assert!(!shown.contains("call") && !shown.contains(&one.id), "{shown}");
    }

    async fn what_an_account_leaves_behind_can_not_be_read(app: App) {
        let (ada, bob) = (app.user(ADA).await, app.user("bob@example.com").await);
        decided(&app, &ada, "full", "approve", "approved").await;
        decided(&app, &bob, "full", "approve", "approved").await;
        let rows = kyc_event::Entity::find().all(app.connection().await).await.unwrap();
        let of = |user: &User| rows.iter().find(|row| row.account_id.map(|id| id.to_string()) == Some(user.id.clone())).unwrap().id;
        let opened = app.services.read_kyc_event(of(&ada)).await.unwrap();
        assert!(String::from_utf8_lossy(&opened).contains("demo.decided"));
        let read = App::only_event(app.audit().await, "verification.event_read");
        assert_eq!(read.account_id.map(|id| id.to_string()), Some(ada.id.clone()));

        app.services.delete_account(ada.id.parse().unwrap()).await.unwrap();
        // The event is still there, and nobody has its key.
        let left = kyc_event::Entity::find_by_id(of(&ada)).one(app.connection().await).await.unwrap().unwrap();
        assert!(left.sealed.is_some() && left.event.is_none());
        assert!(app.services.read_kyc_event(of(&ada)).await.is_err());
        app.services.read_kyc_event(of(&bob)).await.unwrap();
        let rows = kyc_verification::Entity::find().all(app.connection().await).await.unwrap();
        assert!(rows.iter().all(|row| row.account_id.to_string() == bob.id));
        app.clock.advance_seconds(31 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(events(&app).await, 0);
    }

    async fn health_tells_how_it_is_going(app: App) {
        let ada = app.user(ADA).await;
        let health = app.anonymous().get("/api/kyc/health").await.assert_status(200).json();
        let demo = json!({ "name": "demo", "last_contact_at": null, "last_webhook_at": null });
        assert_eq!(health, json!({ "service": "ok", "providers": [demo], "backlog": 0, "waiting_since": null }));
        decided(&app, &ada, "basic", "approve", "approved").await;
        let health = app.anonymous().get("/api/kyc/health").await.assert_status(200).json();
        assert!(health["providers"][0]["last_webhook_at"].is_string(), "{health}");
        assert_eq!(health["backlog"], 0);
    }
}
