//! Every error code there is, out of a server that has a reason to say it.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use latchkey::api::problem::Code;
use latchkey::config::{Config, Rate};
use poem_openapi::types::ToJSON;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::json;

use entities::account::Role;
use entities::kyc_verification;

use crate::admin::one_too_many;
use crate::api_keys::{overtaken, store};
use crate::kyc::{VERIFICATIONS, begin, id_of};
use crate::support::{Answer, App, Authenticator, Engine, PASSWORD, eventually};

/// A scene per code, as two tests: the answer must be the whole problem document.
macro_rules! scenes {
    ($($scene:ident: $code:ident($engine:ident) $body:block)*) => {
        /// The codes that have a scene.
        const SHOWN: &[Code] = &[$(Code::$code),*];

        on_both_engines! {$(
            async fn $scene($engine: Engine) {
                let answer: Answer = $body;
                assert_is(&answer, Code::$code);
            }
        )*}
    };
}

#[test]
fn every_code_has_a_scene() {
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !SHOWN.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Has verifications begun at a vendor that is reached there.
fn vendor(config: &mut Config, base_url: &str) {
    let settings = json!({
        "api_key": "key", "webhook_secrets": ["wbhsec_0123456789"], "levels": { "full": "itmpl_1" }, "base_url": base_url,
    });
    config.kyc.providers.insert("persona".into(), serde_json::from_value(settings).unwrap());
    config.kyc.demo = false;
}

/// A server whose vendor takes connections and says nothing.
async fn silent_vendor(engine: Engine) -> App {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = vec![];
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    App::start(engine, |config| vendor(config, &url)).await
}

#[track_caller]
fn assert_is(answer: &Answer, code: Code) {
    let answer = answer.clone().assert_status(code.status().as_u16());
    if code == Code::ValidationFailed {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.json()["detail"].is_array(), "{answer:?}");
        return;
    }
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:latchkey:error:{}", problem["error"].as_str().unwrap()));
    assert_eq!(problem["title"], code.title());
    assert_eq!(problem["status"], answer.status);
    // What is missing of a sign-in takes words of its own.
    if code != Code::InsufficientUserAuthentication {
        assert_eq!(problem["detail"], code.detail());
    }
    assert_eq!(problem["error"], code.to_json().unwrap());
    assert_eq!(problem["success"], false);
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
    let resend = [Code::EmailNotVerified, Code::VerificationTokenExpired, Code::InvalidVerificationToken];
    assert_eq!(problem.get("resend_url").is_some(), resend.contains(&code), "{problem}");
    assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401, "{answer:?}");
    assert_eq!(answer.header("retry-after").is_some(), [429, 503].contains(&answer.status), "{answer:?}");
    assert_eq!(answer.header("allow").is_some(), answer.status == 405, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

scenes! {
    bad_request: BadRequest(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().get("/verify-email?token=one&token=two").await
    }

    invalid_verification_token: InvalidVerificationToken(engine) {
        let app = App::start(engine, |_| {}).await;
        app.verify("nonsense").await
    }

    verification_token_expired: VerificationTokenExpired(engine) {
        let app = App::start(engine, |_| {}).await;
        app.sign_up("ada@example.com", PASSWORD).await;
        let token = app.mail_to("ada@example.com").await.token();
        app.clock.advance_seconds(86_400);
        app.verify(&token).await
    }

    verification_token_used: VerificationTokenUsed(engine) {
        let app = App::start(engine, |_| {}).await;
        app.sign_up("ada@example.com", PASSWORD).await;
        let token = app.mail_to("ada@example.com").await.token();
        app.verify(&token).await.assert_status(200);
        app.verify(&token).await
    }

    invalid_link: InvalidLink(engine) {
        let app = App::start(engine, |_| {}).await;
        app.reset("nonsense", PASSWORD).await
    }

    link_expired: LinkExpired(engine) {
        let app = App::start(engine, |_| {}).await;
        app.user("ada@example.com").await;
        let token = app.reset_token("ada@example.com").await;
        app.clock.advance_seconds(3600);
        app.reset(&token, PASSWORD).await
    }

    link_used: LinkUsed(engine) {
        let app = App::start(engine, |_| {}).await;
        app.user("ada@example.com").await;
        let token = app.reset_token("ada@example.com").await;
        app.reset(&token, PASSWORD).await.assert_status(200);
        app.reset(&token, PASSWORD).await
    }

    unauthenticated: Unauthenticated(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().get("/auth/profile").await
    }

    invalid_token: InvalidToken(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().bearer("nonsense").get("/auth/profile").await
    }

    invalid_credentials: InvalidCredentials(engine) {
        let app = App::start(engine, |_| {}).await;
        app.try_login("nobody@example.com", PASSWORD).await
    }

    invalid_refresh_token: InvalidRefreshToken(engine) {
        let app = App::start(engine, |_| {}).await;
        app.try_refresh("nonsense").await
    }

    refresh_token_reused: RefreshTokenReused(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        ada.clone().refresh().await;
        app.clock.advance_seconds(11);
        app.try_refresh(&ada.refresh_token).await
    }

    email_not_verified: EmailNotVerified(engine) {
        let app = App::start(engine, |_| {}).await;
        app.sign_up("ada@example.com", PASSWORD).await;
        app.try_login("ada@example.com", PASSWORD).await
    }

    account_disabled: AccountDisabled(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        assert!(app.services.set_disabled(ada.id.parse().unwrap(), true).await.unwrap());
        app.try_login("ada@example.com", PASSWORD).await
    }

    wrong_current_password: WrongCurrentPassword(engine) {
        let app = App::start(engine, |_| {}).await;
        app.user("ada@example.com").await.change_password("not this one", "eight dark green kettles").await
    }

    insufficient_user_authentication: InsufficientUserAuthentication(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        app.clock.advance_seconds(601);
        ada.post("/auth/mfa/recovery-codes", &json!(null)).await
    }

    invalid_mfa_ticket: InvalidMfaTicket(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().verify_totp("nonsense", "123456").await
    }

    wrong_code: WrongCode(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        ada.post("/auth/step-up", &json!({ "method": "totp", "secret": "123456" })).await
    }

    passkey_refused: PasskeyRefused(engine) {
        let app = App::start(engine, |_| {}).await;
        let mut unknown = Authenticator::new();
        app.anonymous().login_with_passkey(&mut unknown).await
    }

    passkeys_unavailable: PasskeysUnavailable(engine) {
        let app = App::start(engine, |config| config.public_url = Some("http://127.0.0.1:8080".parse().unwrap())).await;
        app.anonymous().post("/auth/login/passkey/options", &json!(null)).await
    }

    second_factor_missing: SecondFactorMissing(engine) {
        let app = App::start(engine, |_| {}).await;
        app.user("ada@example.com").await.post("/auth/mfa/recovery-codes", &json!(null)).await
    }

    limit_reached: LimitReached(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        for _ in 0..10 {
            ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200);
        }
        ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await
    }

    insufficient_scope: InsufficientScope(engine) {
        let app = App::start(engine, |_| {}).await;
        let (ada, _, _) = app.user_with_totp("ada@example.com").await;
        let path = store(&ada, "Savings").await;
        let body = json!({ "name": "Bot", "scopes": ["read"] });
        let key = ada.post("/api/v1/access-keys", &body).await.assert_status(200).json();
        app.anonymous().bearer(key["token"].as_str().unwrap()).post(&format!("{path}/decrypt"), &json!({})).await
    }

    insufficient_role: InsufficientRole(engine) {
        let app = App::start(engine, |_| {}).await;
        app.staff(Role::Reviewer).await.get("/api/v1/admin/users").await
    }

    own_case: OwnCase(engine) {
        let app = App::start(engine, |_| {}).await;
        let operator = app.staff(Role::Operator).await;
        operator.post(&format!("/api/v1/admin/users/{}/end-sessions", operator.id), &json!(null)).await
    }

    invalid_webhook: InvalidWebhook(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().post("/api/kyc/webhook", &json!({})).await
    }

    verification_closed: VerificationClosed(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        let path = format!("{VERIFICATIONS}/{}/cancel", id_of(&begin(&ada, "basic").await));
        ada.post(&path, &json!(null)).await.assert_status(200);
        ada.post(&path, &json!(null)).await
    }

    idempotency_key_reused: IdempotencyKeyReused(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await.with("idempotency-key", "one");
        ada.post(VERIFICATIONS, &json!({ "level": "basic" })).await.assert_status(200);
        ada.post(VERIFICATIONS, &json!({ "level": "full" })).await
    }

    request_in_progress: RequestInProgress(engine) {
        let app = silent_vendor(engine).await;
        let ada = app.user("ada@example.com").await.with("idempotency-key", "one");
        let body = json!({ "level": "full" });
        // The vendor never answers the first one.
        let (answer, _) = tokio::join!(
            async {
                eventually("a row", async || {
                    (kyc_verification::Entity::find().count(app.connection().await).await.unwrap() == 1).then_some(())
                })
                .await;
                ada.post(VERIFICATIONS, &body).await
            },
            tokio::time::timeout(Duration::from_secs(5), ada.post(VERIFICATIONS, &body)),
        );
        answer
    }

    provider_unavailable: ProviderUnavailable(engine) {
        let app = App::start(engine, |config| vendor(config, "http://127.0.0.1:1")).await;
        app.user("ada@example.com").await.post(VERIFICATIONS, &json!({ "level": "full" })).await
    }

    provider_failed: ProviderFailed(engine) {
        // Another server of ours is no vendor.
        let other = App::start(engine, |_| {}).await;
        let app = App::start(engine, |config| vendor(config, &format!("http://{}", other.address))).await;
        app.user("ada@example.com").await.post(VERIFICATIONS, &json!({ "level": "full" })).await
    }

    last_operator: LastOperator(engine) {
        let app = App::start(engine, |_| {}).await;
        one_too_many(&app).await
    }

    secrets_sealed: SecretsSealed(engine) {
        let app = App::start(engine, |_| {}).await;
        let (mut ada, _, codes) = app.user_with_totp("ada@example.com").await;
        let path = store(&ada, "Savings").await;
        let ticket = app.ticket("ada@example.com", PASSWORD).await;
        ada.take(&app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200));
        ada.post(&format!("{path}/decrypt"), &json!({})).await
    }

    signing_not_allowed: SigningNotAllowed(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        let path = store(&ada, "Savings").await;
        ada.post(&format!("{path}/sign"), &json!({ "method": "GET", "path": "/api/v3/account" })).await
    }

    name_taken: NameTaken(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        store(&ada, "Savings").await;
        let path = store(&ada, "Trading").await;
        ada.patch(&path, &json!({ "name": "savings" })).await
    }

    changed_meanwhile: ChangedMeanwhile(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        let path = store(&ada, "Savings").await;
        overtaken(&app, &ada, &path).await
    }

    signing_unsupported: SigningUnsupported(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        let body = json!({
            "provider": "generic_bearer", "name": "Token", "api_key": "token-of-a-service-1234", "test": false,
            "settings": { "base_url": "https://api.example.com", "test_path": "/status" },
            "sign_rules": [{ "method": "GET", "path": "/*" }],
        });
        let stored = ada.post("/api/v1/api-keys/", &body).await.assert_status(200).json();
        let path = format!("/api/v1/api-keys/{}/sign", stored["data"]["id"].as_str().unwrap());
        ada.post(&path, &json!({ "method": "GET", "path": "/status" })).await
    }

    credential_expired: CredentialExpired(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        let path = store(&ada, "Savings").await;
        ada.patch(&path, &json!({ "expires_at": "2020-01-01T00:00:00Z" })).await.assert_status(200);
        ada.post(&format!("{path}/sign"), &json!({ "method": "GET", "path": "/api/v3/account" })).await
    }

    credential_unreadable: CredentialUnreadable(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        let path = store(&ada, "Savings").await;
        app.connection().await.execute_unprepared("UPDATE api_keys SET version = version + 1").await.unwrap();
        ada.post(&format!("{path}/decrypt"), &json!({})).await
    }

    not_found: NotFound(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().get("/auth/nothing").await
    }

    method_not_allowed: MethodNotAllowed(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().get("/auth/login").await
    }

    request_timeout: RequestTimeout(engine) {
        let app = App::start(engine, |config| config.http.body_timeout_seconds = 1).await;
        let client = app.anonymous();
        let request = client.request("POST", "/auth/login").header("content-type", "application/json");
        let never = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        client.send(request.header("content-length", "64"), StreamBody::new(never)).await
    }

    payload_too_large: PayloadTooLarge(engine) {
        let app = App::start(engine, |_| {}).await;
        app.try_login("ada@example.com", &"x".repeat(70_000)).await
    }

    unsupported_media_type: UnsupportedMediaType(engine) {
        let app = App::start(engine, |_| {}).await;
        let body = json!({ "email": "ada@example.com", "password": PASSWORD }).to_string();
        app.anonymous().send_text("POST", "/auth/login", Some("text/plain"), body).await
    }

    validation_failed: ValidationFailed(engine) {
        let app = App::start(engine, |_| {}).await;
        app.anonymous().post("/auth/login", &json!({})).await
    }

    rate_limited: RateLimited(engine) {
        let app = App::start(engine, |config| {
            config.limits.enabled = true;
            config.limits.status_per_address = Rate { count: 1, seconds: 60 };
        })
        .await;
        let path = "/auth/verification-status?email=ada@example.com";
        app.anonymous().get(path).await.assert_status(200);
        app.anonymous().get(path).await
    }

    internal_error: InternalError(engine) {
        let app = App::start(engine, |_| {}).await;
        let ada = app.user("ada@example.com").await;
        app.connection().await.execute_unprepared("DROP TABLE audit_events").await.unwrap();
        ada.patch("/auth/profile", &json!({ "full_name": "Ada" })).await
    }

    overloaded: Overloaded(engine) {
        // One hash at a time, each of them slow, and room for one to wait: of four, two are too many.
        let app = App::start(engine, |config| {
            config.hashing.threads = 1;
            config.hashing.queue = 1;
            config.hashing.iterations = 40;
        })
        .await;
        let attempts = (0..4).map(|n| {
            let app = &app;
            async move { app.try_login(&format!("user-{n}@example.com"), PASSWORD).await }
        });
        let answers = stream::iter(attempts).buffer_unordered(4);
        pin!(answers.filter(|answer| std::future::ready(answer.status == 503))).next().await.unwrap()
    }

    unavailable: Unavailable(engine) {
        let app = App::start(engine, |_| {}).await;
        app.services.db.clone().close().await;
        app.try_login("ada@example.com", PASSWORD).await
    }
}
