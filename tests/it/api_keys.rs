//! Stored credentials: what is taken and what is refused, what is shown and to whom, and that nothing else opens them.

mod changes;
mod meanwhile;
mod turns;

use serde_json::{Value, json};

use crate::support::{Answer, App, Client, Engine, PASSWORD, Providers};

pub use changes::overtaken;

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
pub const API_KEYS: &str = "/api/v1/api-keys/";

async fn app(engine: Engine, providers: &Providers) -> App {
    App::start(engine, |config| providers.configure(config)).await
}

async fn delete(client: &Client, path: &str) -> Answer {
    client.json("DELETE", path, &Value::Null).await
}

/// Stores a credential of Binance without testing it; answers its path.
pub async fn store(client: &Client, name: &str) -> String {
    let body =
        json!({ "provider": "binance", "name": name, "api_key": KEY, "secret": SECRET, "test": false });
    let answer = client.post(API_KEYS, &body).await.assert_status(200).json();
    format!("{API_KEYS}{}", answer["data"]["id"].as_str().unwrap())
}

/// 64 letters and digits, as Binance has them.
pub const KEY: &str = "kQ3mZ8vT1xW6yB4nR7sD2fG5hJ9lP0aEcUoIiVwXzYqLtMbNrSgKdHpFjCcanary";
pub const SECRET: &str = "sX7cV2bN5mQ8wE1rT4yU9iO3pA6sD0fGhJkLzZxXcCvVbBnNmMqQwWeErRcanary";

on_both_engines! {
    async fn what_is_stored_is_shown_without_its_secrets(app: App) {
        let ada = app.user(ADA).await;
        let body = json!({
            "provider": "binance", "name": "Savings", "api_key": format!("  {KEY}\n"), "secret": SECRET,
            "labels": ["team: research", "eu"], "expires_at": "2030-01-01T00:00:00Z", "test": false,
        });
        let answer = ada.post(API_KEYS, &body).await.assert_status(200).json();
        assert_eq!((&answer["success"], &answer["message"]), (&json!(true), &json!("The credential is stored.")));
        let stored = &answer["data"];
        assert_eq!(stored["provider"], "binance");
        assert_eq!(stored["environment"], "live");
        assert_eq!(stored["name"], "Savings");
        assert_eq!(stored["api_key_masked"], format!("••••{}", &KEY[KEY.len() - 4..]));
        assert_eq!(stored["labels"], json!(["team: research", "eu"]));
        assert_eq!(stored["status"], "untested");
        assert_eq!(stored["last_test"], Value::Null);
        assert_eq!(stored["expires_at"], "2030-01-01T00:00:00Z");
        assert_eq!(stored["version"], 1);
        let path = format!("{API_KEYS}{}", stored["id"].as_str().unwrap());
        assert_eq!(ada.get(&path).await.assert_status(200).json()["data"], *stored);
        let list = ada.get(API_KEYS).await.assert_status(200).json();
        assert_eq!(list["data"]["api_keys"], json!([stored]));
        for answer in [answer.to_string(), list.to_string()] {
            assert!(!answer.contains(SECRET) && !answer.contains(&KEY[..32]), "{answer}");
        }
        // Without the slash it is the same list.
        assert_eq!(ada.get("/api/v1/api-keys").await.assert_status(200).json(), list);
    }

    async fn the_owner_reveals_it_after_a_recent_sign_in(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let answer = ada.post(&format!("{path}/decrypt?purpose=export"), &json!({})).await.assert_status(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.json()["data"], json!({ "api_key": KEY, "secret": SECRET, "passphrase": null }));
        let trail = app.audit().await;
        let event = App::only_event(trail.into_iter().filter(|event| event.action == "api_key.revealed").collect(), "api_key.revealed");
        assert!(event.detail.as_deref().unwrap().contains("\"purpose\":\"export\""), "{event:?}");
        assert!(ada.get(&path).await.json()["data"]["last_used_at"].is_string());

        app.clock.advance_seconds(601);
        let refused = ada.post(&format!("{path}/decrypt"), &json!({})).await;
        assert!(refused.header("www-authenticate").unwrap().contains("max_age=\"600\""), "{refused:?}");
        refused.assert_error(401, "insufficient_user_authentication");
    }

    async fn with_a_second_factor_it_takes_two(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let (ada, totp) = {
            let mut ada = ada;
            let (totp, _) = ada.add_totp("Phone", app.now()).await;
            (ada, totp)
        };
        ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
        app.next_code();
        let ada = app.login_with_totp(ADA, PASSWORD, &totp).await;
        ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
        // One factor is not enough, however fresh: as on a remembered device.
        app.next_code();
        let ticket = app.ticket(ADA, PASSWORD).await;
        let body = json!({ "ticket": ticket, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
        let device = app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200).json();
        let body = json!({ "email": ADA, "password": PASSWORD, "device_token": device["device_token"] });
        let session = app.anonymous().post("/auth/login", &body).await.assert_status(200).json();
        let single = app.anonymous().bearer(session["session"]["access_token"].as_str().unwrap());
        let refused = single.post(&format!("{path}/decrypt"), &json!({})).await;
        assert_eq!(refused.json()["acr_values"], "aal2");
        refused.assert_error(401, "insufficient_user_authentication");
    }

    async fn after_a_recovery_it_stays_sealed(app: App) {
        let (mut ada, _, codes) = app.user_with_totp(ADA).await;
        let path = store(&ada, "Savings").await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let answer = app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200);
        ada.take(&answer);
        ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_error(403, "secrets_sealed");
        let rules = json!({ "sign_rules": [{ "method": "GET", "path": "/api/*" }] });
        ada.patch(&path, &rules).await.assert_status(200);
        let request = json!({ "method": "GET", "path": "/api/v3/account" });
        ada.post(&format!("{path}/sign"), &request).await.assert_error(403, "secrets_sealed");
    }

    async fn the_first_reveal_on_a_device_is_told_by_mail(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let reveal = format!("{path}/decrypt");
        ada.post(&reveal, &json!({})).await.assert_status(200);
        ada.post(&reveal, &json!({})).await.assert_status(200);
        let mail = app.mail_of(ADA, "secret_revealed").await;
        assert!(mail.text.contains("Savings") && !mail.text.contains(SECRET), "{}", mail.text);
        ada.with("user-agent", "Other/1.0").post(&reveal, &json!({})).await.assert_status(200);
        app.mail_of(ADA, "secret_revealed").await;
    }

    async fn a_new_credential_takes_the_place_of_the_old_one(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let before = raw(&app).await;
        let other = KEY.replace("kQ3m", "zZ9y");
        let body = json!({ "api_key": other, "secret": SECRET });
        let changed = ada.patch(&path, &body).await.assert_status(200).json();
        assert_eq!((&changed["data"]["version"], &changed["data"]["status"]), (&json!(2), &json!("untested")));
        let revealed = ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200).json();
        assert_eq!(revealed["data"]["api_key"], other);
        // Put back, the old one does not open: it belongs to the version before.
        let after = raw(&app).await;
        assert_ne!(before, after);
        write(&app, &before).await;
        ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_error(500, "credential_unreadable");
        // What is not sent stays.
        write(&app, &after).await;
        let body = json!({ "name": "Trading", "labels": ["eu"], "expires_at": "2031-01-01T00:00:00Z" });
        let changed = ada.patch(&path, &body).await.assert_status(200).json()["data"].clone();
        assert_eq!((&changed["name"], &changed["version"]), (&json!("Trading"), &json!(2)));
        let changed = ada.patch(&path, &json!({ "expires_at": null })).await.assert_status(200).json()["data"].clone();
        assert_eq!((&changed["expires_at"], &changed["labels"]), (&Value::Null, &json!(["eu"])));
        // Half a credential is none.
        ada.patch(&path, &json!({ "secret": SECRET })).await.assert_violation("missing", &["body", "api_key"]);
    }

    async fn what_is_removed_is_gone(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let answer = delete(&ada, &path).await.assert_status(200).json();
        assert_eq!(answer["success"], true);
        for answer in [
            ada.get(&path).await,
            ada.post(&format!("{path}/decrypt"), &json!({})).await,
            ada.post(&format!("{path}/test-connection"), &json!({})).await,
            delete(&ada, &path).await,
        ] {
            answer.assert_error(404, "not_found");
        }
        // Its name is free again.
        store(&ada, "Savings").await;
    }

    async fn names_are_unique_for_their_owner(app: App) {
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let path = store(&ada, "Savings").await;
        store(&ada, "Other").await;
        store(&bob, "Savings").await;
        let body = json!({ "provider": "binance", "name": "SAVINGS", "api_key": KEY, "secret": SECRET, "test": false });
        ada.post(API_KEYS, &body).await.assert_error(409, "name_taken");
        ada.patch(&path, &json!({ "name": "other" })).await.assert_error(409, "name_taken");
        ada.patch(&path, &json!({ "name": "savings" })).await.assert_status(200);
    }

    async fn the_list_is_read_in_pages_and_filtered(app: App) {
        let ada = app.user(ADA).await;
        for number in 0..5 {
            let labels = if number % 2 == 0 { json!(["even", "a_b"]) } else { json!(["odd"]) };
            let body = json!({
                "provider": "binance", "name": format!("Key {number}"), "api_key": KEY, "secret": SECRET, "labels": labels,
                "environment": if number == 4 { "testnet" } else { "live" }, "test": false,
                "expires_at": if number == 3 { json!("2026-12-01T00:00:00Z") } else { Value::Null },
            });
            ada.post(API_KEYS, &body).await.assert_status(200);
            app.clock.advance_seconds(1);
        }
        let names = async |query: &str| -> Vec<String> {
            let page = ada.get(&format!("{API_KEYS}?{query}")).await.assert_status(200).json();
            let keys = page["data"]["api_keys"].as_array().unwrap().clone();
            keys.iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("").await, ["Key 4", "Key 3", "Key 2", "Key 1", "Key 0"]);
        assert_eq!(names("label=even").await, ["Key 4", "Key 2", "Key 0"]);
        assert_eq!(names("label=eve").await, [""; 0]);
        assert_eq!(names("environment=testnet").await, ["Key 4"]);
        assert_eq!(names("provider=kraken").await, [""; 0]);
        assert_eq!(names("status=untested&label=odd").await, ["Key 3", "Key 1"]);
        let first = ada.get(&format!("{API_KEYS}?limit=2")).await.assert_status(200).json();
        assert_eq!(first["data"]["api_keys"].as_array().unwrap().len(), 2);
        let before = first["data"]["before"].as_str().unwrap();
        assert_eq!(names(&format!("limit=3&before={before}")).await, ["Key 2", "Key 1", "Key 0"]);
        app.clock.advance_seconds(60 * 86_400);
        let mut ada = app.login(ADA, PASSWORD).await;
        ada.refresh().await;
        let page = ada.get(&format!("{API_KEYS}?status=expired")).await.assert_status(200).json();
        assert_eq!(page["data"]["api_keys"][0]["name"], "Key 3");
        ada.get(&format!("{API_KEYS}?status=gone")).await.assert_status(422);
    }

    async fn a_label_is_found_as_it_is_written(app: App) {
        let ada = app.user(ADA).await;
        let labels = ["a_b", "axb", "A_B"];
        for (number, label) in labels.iter().enumerate() {
            let body = json!({
                "provider": "binance", "name": format!("Key {number}"), "api_key": KEY, "secret": SECRET,
                "labels": [label], "test": false,
            });
            ada.post(API_KEYS, &body).await.assert_status(200);
        }
        for label in labels {
            let page = ada.get(&format!("{API_KEYS}?label={label}")).await.assert_status(200).json();
            let found: Vec<&Value> = page["data"]["api_keys"].as_array().unwrap().iter().map(|key| &key["labels"]).collect();
            assert_eq!(found, [&json!([label])]);
        }
    }

    async fn mistakes_are_named_before_anything_is_stored(app: App) {
        let ada = app.user(ADA).await;
        for (body, kind, loc) in [
            (json!({ "name": "X", "api_key": KEY, "secret": SECRET }), "missing", &["body", "provider"][..]),
            (json!({ "provider": "nobody", "name": "X", "api_key": KEY }), "value_error", &["body", "provider"]),
            (json!({ "exchange": "nobody", "name": "X", "api_key": KEY }), "value_error", &["body", "exchange"]),
            (json!({ "provider": "binance", "name": "X", "api_key": KEY }), "missing", &["body", "secret"]),
            (json!({ "provider": "binance", "name": "X", "api_key": KEY, "api_secret": " " }), "missing", &["body", "api_secret"]),
            (json!({ "provider": "binance", "name": "X", "api_key": KEY, "secret": SECRET, "passphrase": "p" }), "value_error", &["body", "passphrase"]),
            (json!({ "provider": "binance", "name": "X", "api_key": KEY, "secret": SECRET, "environment": "moon" }), "value_error", &["body", "environment"]),
            (json!({ "provider": "binance", "name": "X", "api_key": "a\u{7}b", "secret": SECRET }), "value_error", &["body", "api_key"]),
            (json!({ "provider": "kraken", "name": "X", "api_key": KEY, "secret": "no base64!" }), "value_error", &["body", "secret"]),
            (json!({ "provider": "binance", "name": "X", "api_key": KEY, "secret": SECRET, "settings": { "colour": "red" } }), "value_error", &["body", "settings"]),
            (json!({ "provider": "binance", "name": "", "api_key": KEY, "secret": SECRET }), "string_too_short", &["body", "name"]),
        ] {
            let answer = ada.post(API_KEYS, &body).await;
            assert!(!answer.text().contains(SECRET) && !answer.text().contains(KEY), "{answer:?}");
            answer.assert_violation(kind, loc);
        }
        let body = json!({ "provider": "binance", "name": "X", "api_key": KEY, "secret": SECRET, "labels": ["a\"b"] });
        let detail = ada.post(API_KEYS, &body).await.assert_status(422).json()["detail"][0].clone();
        assert_eq!((&detail["type"], &detail["loc"]), (&json!("string_pattern_mismatch"), &json!(["body", "labels", 0])));
        assert_eq!(ada.get(API_KEYS).await.json()["data"]["api_keys"], json!([]));
    }

    async fn existing_clients_may_use_the_older_names(app: App) {
        let ada = app.user(ADA).await;
        let body = json!({ "exchange": "binance", "name": "Old", "api_key": KEY, "api_secret": SECRET, "test": false });
        let answer = ada.post(API_KEYS, &body).await.assert_status(200).json();
        let path = format!("{API_KEYS}{}", answer["data"]["id"].as_str().unwrap());
        let revealed = ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200).json();
        assert_eq!(revealed["data"]["secret"], SECRET);
    }

    async fn there_is_a_most(engine: Engine) {
        let app = App::start(engine, |config| config.vault.keys_per_account = 2).await;
        let ada = app.user(ADA).await;
        store(&ada, "One").await;
        store(&ada, "Two").await;
        let body = json!({ "provider": "binance", "name": "Three", "api_key": KEY, "secret": SECRET, "test": false });
        ada.post(API_KEYS, &body).await.assert_error(409, "limit_reached");
    }

    async fn reveals_are_counted(engine: Engine) {
        let app = App::start(engine, |config| {
            config.limits.enabled = true;
            config.limits.reveal_per_account = latchkey::config::Rate { count: 2, seconds: 3600 };
        }).await;
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        for _ in 0..2 {
            ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
        }
        ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_error(429, "rate_limited");
    }

    async fn what_can_not_be_tested_now_is_stored_all_the_same(engine: Engine) {
        let providers = Providers::start().await;
        let app = App::start(engine, |config| {
            providers.configure(config);
            config.limits.enabled = true;
            config.limits.connection_test_per_account = latchkey::config::Rate { count: 1, seconds: 3600 };
        })
        .await;
        let ada = app.user(ADA).await;
        for (name, status) in [("One", "working"), ("Two", "untested")] {
            let mut body = providers.credential("binance", "hmac");
            body["name"] = json!(name);
            let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
            assert_eq!(stored["data"]["status"], status, "{stored}");
            assert_eq!(stored["message"].as_str().unwrap().contains("Test it later"), status == "untested", "{stored}");
        }
        assert_eq!(ada.get(API_KEYS).await.json()["data"]["api_keys"].as_array().unwrap().len(), 2);
    }

    async fn moved_or_altered_it_does_not_open(app: App) {
        let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
        let mine = store(&ada, "Savings").await;
        app.clock.advance_seconds(1);
        let theirs = store(&bob, "Savings").await;
        // In the order of their ids, which begin with the time.
        let rows = raw(&app).await;
        let intact = rows.clone();
        let unreadable = async |client: &Client, path: &str| {
            client.post(&format!("{path}/decrypt"), &json!({})).await.assert_error(500, "credential_unreadable");
        };
        // To another owner's row; to another field; a bit flipped anywhere.
        let mut moved = rows.clone();
        let (a, b) = (moved[0].id, moved[1].id);
        (moved[0].id, moved[1].id) = (b, a);
        write(&app, &moved).await;
        unreadable(&ada, &mine).await;
        unreadable(&bob, &theirs).await;
        let mut swapped = rows.clone();
        let secret = swapped[0].secret.clone();
        swapped[0].secret = std::mem::replace(&mut swapped[0].api_key, secret);
        write(&app, &swapped).await;
        unreadable(&ada, &mine).await;
        for part in 0..3 {
            for bit in [0, 7, 9, 100, 299] {
                let mut altered = rows.clone();
                let bytes = match part {
                    0 => &mut altered[0].wrapped_key,
                    1 => &mut altered[0].api_key,
                    _ => &mut altered[0].secret,
                };
                let at = (bit / 8) % bytes.len();
                bytes[at] ^= 1 << (bit % 8);
                write(&app, &altered).await;
                unreadable(&ada, &mine).await;
            }
        }
        write(&app, &intact).await;
        ada.post(&format!("{mine}/decrypt"), &json!({})).await.assert_status(200);
        let trail = app.audit().await;
        assert!(trail.iter().filter(|event| event.action == "api_key.unreadable").count() >= 18);
    }
}

/// The sealed part of a row.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    id: entities::ApiKeyId,
    wrapped_key: Vec<u8>,
    api_key: Vec<u8>,
    secret: Vec<u8>,
}

async fn raw(app: &App) -> Vec<Row> {
    use sea_orm::{EntityTrait, QueryOrder};
    let rows = entities::api_key::Entity::find()
        .order_by_asc(entities::api_key::Column::Id)
        .all(app.connection().await)
        .await
        .unwrap();
    rows.into_iter()
        .map(|row| Row {
            id: row.id,
            wrapped_key: row.wrapped_key,
            api_key: row.sealed_api_key,
            secret: row.sealed_secret.unwrap(),
        })
        .collect()
}

async fn write(app: &App, rows: &[Row]) {
    use entities::api_key::{Column, Entity};
    use sea_orm::sea_query::Expr;
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
    for row in rows {
        Entity::update_many()
            .col_expr(Column::WrappedKey, Expr::value(row.wrapped_key.clone()))
            .col_expr(Column::SealedApiKey, Expr::value(row.api_key.clone()))
            .col_expr(Column::SealedSecret, Expr::value(row.secret.clone()))
            .filter(Column::Id.eq(row.id))
            .exec(app.connection().await)
            .await
            .unwrap();
    }
}

on_both_engines! {
    async fn a_test_says_whether_it_works_and_what_it_may_do(engine: Engine) {
        let providers = Providers::start().await;
        let app = app(engine, &providers).await;
        let ada = app.user(ADA).await;
        let answer = ada.post(API_KEYS, &providers.credential("binance", "hmac")).await.assert_status(200).json();
        assert_eq!(answer["success"], true, "{answer}");
        let stored = &answer["data"];
        assert_eq!((&stored["status"], &stored["last_test"]["outcome"]), (&json!("working"), &json!("ok")));
        let path = format!("{API_KEYS}{}", stored["id"].as_str().unwrap());

        providers.scenario("binance", json!({ "scenario": "error", "code": "-1022" })).await;
        let tested = ada.post(&format!("{path}/test-connection"), &json!({})).await.assert_status(200).json();
        assert_eq!((&tested["success"], &tested["data"]["outcome"]), (&json!(false), &json!("bad_signature")));
        assert_eq!(tested["data"]["provider_code"], "-1022");
        assert_eq!(ada.get(&path).await.json()["data"]["status"], "failing");
        // That it can't be reached says nothing of the credential.
        providers.scenario("binance", json!({ "scenario": "close" })).await;
        let tested = ada.post(&format!("{path}/test-connection"), &json!({})).await.assert_status(200).json();
        assert_eq!(tested["data"]["outcome"], "network");
        assert_eq!(ada.get(&path).await.json()["data"]["status"], "failing");
        providers.reset().await;
        ada.post(&format!("{path}/test-connection"), &json!({})).await.assert_status(200);
        assert_eq!(ada.get(&path).await.json()["data"]["status"], "working");
        let list = ada.get(&format!("{API_KEYS}?status=working")).await.json();
        assert_eq!(list["data"]["api_keys"][0]["last_test"]["permissions"]["read"], "yes");
    }

    async fn a_key_that_may_withdraw_is_warned_of_or_refused(engine: Engine) {
        let providers = Providers::start().await;
        providers.scenario("binance", json!({ "scenario": "permissions", "merge": { "enableWithdrawals": true } })).await;
        let app = App::start(engine, |config| providers.configure(config)).await;
        let ada = app.user(ADA).await;
        let body = providers.credential("binance", "hmac");
        let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
        assert!(stored["data"]["last_test"]["warnings"].to_string().contains("withdraw"), "{stored}");
        let app = app.restart(|config| {
            providers.configure(config);
            config.vault.refuse_withdrawal_keys = true;
        }).await;
        let ada = app.login(ADA, PASSWORD).await;
        let mut body = body;
        body["name"] = json!("Another");
        body["test"] = json!(false);
        ada.post(API_KEYS, &body).await.assert_violation("value_error", &["body", "api_key"]);
        assert_eq!(ada.get(API_KEYS).await.json()["data"]["api_keys"].as_array().unwrap().len(), 1);
        providers.reset().await;
        let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
        assert_eq!(stored["data"]["status"], "working");
    }

    async fn what_the_owner_allows_is_signed_and_nothing_else(engine: Engine) {
        let providers = Providers::start().await;
        let app = app(engine, &providers).await;
        let ada = app.user(ADA).await;
        let mut body = providers.credential("binance", "hmac");
        body["sign_rules"] = json!([{ "method": "GET", "path": "/api/v3/*" }]);
        let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
        let sign = format!("{API_KEYS}{}/sign", stored["data"]["id"].as_str().unwrap());
        let request = json!({ "method": "GET", "path": "/api/v3/myTrades", "query": "symbol=BTCUSDT" });
        let signed = ada.post(&sign, &request).await.assert_status(200).json()["data"].clone();
        let secret = body["secret"].as_str().unwrap();
        assert!(!signed.to_string().contains(secret), "{signed}");
        // The service takes it.
        let mut client = Client::new(signed["base_url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap());
        for header in signed["headers"].as_array().unwrap() {
            let name: &'static str = header["name"].as_str().unwrap().to_lowercase().leak();
            client = client.with(name, header["value"].as_str().unwrap());
        }
        let target = format!("{}?{}", signed["path"].as_str().unwrap(), signed["query"].as_str().unwrap());
        let echo = client.get(&target).await.assert_status(200).json();
        assert_eq!(echo["echo"]["path"], "/api/v3/myTrades", "{echo}");
        for (method, path) in [("POST", "/api/v3/order"), ("GET", "/sapi/v1/capital/withdraw/apply")] {
            let request = json!({ "method": method, "path": path });
            ada.post(&sign, &request).await.assert_error(403, "signing_not_allowed");
        }
        let request = json!({ "method": "GET", "path": "/api/v3/../../sapi/v1/x" });
        ada.post(&sign, &request).await.assert_violation("value_error", &["body", "path"]);
        // Rules are as well protected as the account.
        app.clock.advance_seconds(601);
        let path = sign.strip_suffix("/sign").unwrap();
        let rules = json!({ "sign_rules": [{ "method": "POST", "path": "/*" }] });
        ada.patch(path, &rules).await.assert_error(401, "insufficient_user_authentication");
        ada.patch(path, &json!({ "name": "Other" })).await.assert_status(200);
    }

    async fn a_service_that_is_down_delays_no_signature_but_the_first(engine: Engine) {
        let providers = Providers::start().await;
        let app = app(engine, &providers).await;
        let ada = app.user(ADA).await;
        let mut body = providers.credential("binance", "hmac");
        body["sign_rules"] = json!([{ "method": "GET", "path": "/api/v3/*" }]);
        body["test"] = json!(false);
        let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
        let sign = format!("{API_KEYS}{}/sign", stored["data"]["id"].as_str().unwrap());
        let request = json!({ "method": "GET", "path": "/api/v3/account" });
        let asked = async || {
            let calls = providers.calls("binance").await;
            calls.iter().filter(|call| call.to_string().contains("/api/v3/time")).count()
        };
        providers.scenario("binance", json!({ "scenario": "status", "status": 503, "on": "public" })).await;
        for answer in futures_util::future::join_all((0..20).map(|_| ada.post(&sign, &request))).await {
            answer.assert_status(200);
        }
        assert_eq!(asked().await, 1, "one asks for all, and once");
        app.clock.advance_seconds(61);
        ada.post(&sign, &request).await.assert_status(200);
        assert_eq!(asked().await, 2);
        // Once it answers, that is known for long.
        providers.reset().await;
        app.clock.advance_seconds(61);
        ada.post(&sign, &request).await.assert_status(200);
        app.clock.advance_seconds(599);
        ada.post(&sign, &request).await.assert_status(200);
        assert_eq!(asked().await, 1, "counted anew");
    }

    async fn no_signed_request_holds_the_secret(engine: Engine) {
        let providers = Providers::start().await;
        let app = app(engine, &providers).await;
        let ada = app.user(ADA).await;
        let connectors = ada.get("/api/v1/connectors").await.assert_status(200).json();
        for connector in connectors["connectors"].as_array().unwrap() {
            let provider = connector["name"].as_str().unwrap();
            for name in providers.names(provider) {
                let mut body = providers.credential(provider, &name);
                body["test"] = json!(false);
                body["sign_rules"] = json!([{ "method": "POST", "path": "/*" }]);
                let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
                let path = format!("{API_KEYS}{}/sign", stored["data"]["id"].as_str().unwrap());
                let answer = ada.post(&path, &json!({ "method": "POST", "path": "/0/private/any", "body": "a=1" })).await;
                if connector["signs"] == true {
                    let text = answer.assert_status(200).text();
                    let secret = body["secret"].as_str().unwrap();
                    assert!(!text.contains(secret) && !text.contains(&secret[..secret.len() / 2]), "{provider} {name}: {text}");
                } else {
                    answer.assert_error(409, "signing_unsupported");
                }
            }
        }
    }

    async fn nonces_grow_and_tests_of_a_key_run_one_after_the_other(engine: Engine) {
        let providers = Providers::start().await;
        let app = app(engine, &providers).await;
        let ada = app.user(ADA).await;
        let stored = ada.post(API_KEYS, &providers.credential("kraken", "hmac")).await.assert_status(200).json();
        assert_eq!(stored["success"], true, "{stored}");
        let path = format!("{API_KEYS}{}/test-connection", stored["data"]["id"].as_str().unwrap());
        let body = json!({});
        let tests = (0..6).map(|_| ada.post(&path, &body));
        for answer in futures_util::future::join_all(tests).await {
            let answer = answer.assert_status(200).json();
            assert_eq!(answer["data"]["outcome"], "ok", "{answer}");
        }
        let nonces: Vec<u64> = providers.calls("kraken").await.iter()
            .filter_map(|call| call["nonce"].as_u64().or_else(|| call["nonce"].as_str()?.parse().ok())).collect();
        assert_eq!(nonces.len(), 7);
        assert!(nonces.windows(2).all(|pair| pair[0] < pair[1]), "{nonces:?}");
    }

    async fn every_connector_tells_every_error_of_its_service(engine: Engine) {
        let providers = Providers::start().await;
        let app = app(engine, &providers).await;
        let ada = app.user(ADA).await;
        for about in latchkey::plugins::connectors::ALL.iter().map(|connector| connector.about()) {
            for name in providers.names(about.name) {
                let body = providers.credential(about.name, &name);
                let stored = ada.post(API_KEYS, &body).await;
                let stored = stored.assert_status(200).json();
                assert_eq!(stored["success"], true, "{} {name}: {stored}", about.name);
            }
            let name = providers.names(about.name).remove(0);
            let mut body = providers.credential(about.name, &name);
            body["name"] = json!(format!("{} for errors", about.name));
            body["test"] = json!(false);
            let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
            let path = format!("{API_KEYS}{}/test-connection", stored["data"]["id"].as_str().unwrap());
            for code in providers.errors(about.name).await {
                providers.scenario(about.name, json!({ "scenario": "error", "code": code })).await;
                let tested = ada.post(&path, &json!({})).await.assert_status(200).json();
                let data = &tested["data"];
                // A key that may not be asked about, or has nothing left to spend, is a key.
                let works = [("gate", "FORBIDDEN"), ("openai", "insufficient_quota")];
                assert_eq!(data["outcome"] == "ok", works.contains(&(about.name, code.as_str())), "{code}: {tested}");
                assert!(data["detail"].as_str().unwrap().ends_with('.'), "{} {code}: {tested}", about.name);
                for secret in ["api_key", "secret", "passphrase"] {
                    if let Some(secret) = body[secret].as_str() {
                        assert!(!tested.to_string().contains(secret), "{} {code}: {tested}", about.name);
                    }
                }
            }
            for (scenario, outcomes) in [
                (json!({ "scenario": "garbage" }), &["unexpected"][..]),
                (json!({ "scenario": "empty" }), &["unexpected"]),
                (json!({ "scenario": "huge" }), &["unexpected"]),
                (json!({ "scenario": "redirect" }), &["unexpected"]),
                (json!({ "scenario": "close" }), &["network"]),
                (json!({ "scenario": "status", "status": 500 }), &["provider_down"]),
                (json!({ "scenario": "status", "status": 429 }), &["rate_limited"]),
            ] {
                providers.reset().await;
                providers.scenario(about.name, scenario.clone()).await;
                let tested = ada.post(&path, &json!({})).await.assert_status(200).json();
                let outcome = tested["data"]["outcome"].as_str().unwrap();
                // Of a service that nobody knows, any answer of status 200 is a good one.
                let taken = about.name.starts_with("generic_") && ["garbage", "empty"].map(Value::from).contains(&scenario["scenario"]);
                assert!(taken || outcomes.contains(&outcome), "{} {scenario}: {tested}", about.name);
            }
            // Nobody followed the redirect.
            assert_eq!(providers.calls("trap").await, [json!(null); 0]);
            providers.reset().await;
        }
    }

    async fn a_clock_that_differs_is_made_up_for(engine: Engine) {
        let providers = Providers::start().await;
        let app = app(engine, &providers).await;
        let ada = app.user(ADA).await;
        for provider in ["binance", "bybit", "okx", "kucoin", "gate", "coinbase"] {
            let name = providers.names(provider).remove(0);
            let stored = ada.post(API_KEYS, &providers.credential(provider, &name)).await.assert_status(200).json();
            assert_eq!(stored["success"], true, "{provider}: {stored}");
            // Learnt once more when the service complains.
            providers.scenario(provider, json!({ "scenario": "skew", "seconds": 3600 })).await;
            let path = format!("{API_KEYS}{}/test-connection", stored["data"]["id"].as_str().unwrap());
            let tested = ada.post(&path, &json!({})).await.assert_status(200).json();
            let expected = if provider == "coinbase" { &["ok", "invalid_key"][..] } else { &["ok"][..] };
            assert!(expected.contains(&tested["data"]["outcome"].as_str().unwrap()), "{provider}: {tested}");
        }
    }
}

/// Waits out the real limit, as no setting shortens it: so for both at once, and on one engine.
#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_given_up() {
    let providers = Providers::start().await;
    let app = app(Engine::Sqlite, &providers).await;
    let ada = app.user(ADA).await;
    let test = async |provider: &str, credential: &str, scenario: &str| {
        let mut body = providers.credential(provider, credential);
        body["test"] = json!(false);
        let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
        providers.scenario(provider, json!({ "scenario": scenario })).await;
        let path = format!("{API_KEYS}{}/test-connection", stored["data"]["id"].as_str().unwrap());
        ada.post(&path, &json!({})).await.assert_status(200).json()
    };
    let started = std::time::Instant::now();
    let (slow, drip) = tokio::join!(test("github", "classic", "slow"), test("stripe", "secret", "drip"));
    assert!((9..15).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    for tested in [slow, drip] {
        assert_eq!(tested["data"]["outcome"], "network", "{tested}");
        assert_eq!(tested["data"]["detail"], "The service did not answer in time. Try again later.");
    }
}

#[tokio::test]
async fn the_generic_connectors_go_to_public_addresses_only() {
    let app = App::start(Engine::Sqlite, |_| {}).await;
    let ada = app.user(ADA).await;
    for url in [
        "http://api.example.com",
        "https://127.0.0.1",
        "https://localhost:8443",
        "https://169.254.169.254",
        "https://[::1]",
        "https://[::ffff:10.0.0.1]",
        "https://2130706433",
        "https://user@api.example.com",
        "https://10.0.0.1",
        "ftp://api.example.com",
        "https://100.64.0.1",
        "https://0x7f000001",
    ] {
        let body = json!({
            "provider": "generic_bearer", "name": url, "api_key": "token-of-a-service-1234", "test": false,
            "settings": { "base_url": url, "test_path": "/status" },
        });
        ada.post(API_KEYS, &body).await.assert_violation("value_error", &["body", "settings", "base_url"]);
    }
    // A name is resolved when it is asked, and looked at then.
    let body = json!({
        "provider": "generic_bearer", "name": "Local", "api_key": "token-of-a-service-1234",
        "settings": { "base_url": "https://localhost", "test_path": "/status" },
    });
    let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
    assert_eq!(stored["data"]["last_test"]["outcome"], "network", "{stored}");
}
