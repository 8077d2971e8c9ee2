//! Secrets are marked, go the whole way of a person through a real server process that logs all it can, and are then
//! looked for everywhere they must not be.

use std::path::Path;

use entities::Timestamp;
use serde_json::json;

use crate::support::{
    App, Authenticator, Client, Database, Engine, Mail, Node, Providers, Totp, User, assertion, mailbox,
};

const EMAIL: &str = "canary.8c1f@example.com";
const PASSWORD: &str = "canary password 7f3a 91b2";
const NEW_PASSWORD: &str = "canary password e05d 4c66";
const LAST_PASSWORD: &str = "canary password 51d9 b0e8";
const NEW_EMAIL: &str = "canary.8c1f@example.org";
const WRONG_PASSWORD: &str = "canary password 3d11 a7f0";

/// A secret in every guise that it could be written in.
fn guises(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut guises = vec![secret.to_owned(), hex.to_uppercase(), hex];
    guises.extend([BASE64_STANDARD_NO_PAD.encode(secret), BASE64_URL_SAFE_NO_PAD.encode(secret)]);
    guises.push(secret.replace(' ', "+"));
    guises.push(secret.replace(' ', "%20"));
    // Tokens are text for bytes.
    guises.extend(
        BASE64_URL_SAFE_NO_PAD.decode(secret).ok().filter(|bytes| bytes.len() >= 16).into_iter().flat_map(
            |bytes| {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                [hex.to_uppercase(), hex]
            },
        ),
    );
    guises
}

fn assert_absent(place: &str, content: &[u8], secrets: &[(&str, &str)]) {
    for (name, secret) in secrets {
        for guise in guises(secret) {
            let found = content.windows(guise.len()).position(|window| window == guise.as_bytes());
            if let Some(at) = found {
                let from = at.saturating_sub(120);
                let around =
                    String::from_utf8_lossy(&content[from..(at + 60).min(content.len())]).into_owned();
                panic!("{name} is in {place}: …{around}…");
            }
        }
    }
}

/// Stores, tests, signs with and reveals a credential; makes an access key.
async fn vault(user: &User, providers: &Providers) -> Vec<(&'static str, String)> {
    let mut key = providers.credential("generic_hmac", "iso8601");
    key["sign_rules"] = json!([{ "method": "GET", "path": "/*" }]);
    let mut broken = key.clone();
    broken["secret"] = json!([key["secret"]]);
    user.post("/api/v1/api-keys/", &broken).await.assert_status(422);
    let stored = user.post("/api/v1/api-keys/", &key).await.assert_status(200).json();
    assert_eq!(stored["success"], true, "{stored}");
    let path = format!("/api/v1/api-keys/{}", stored["data"]["id"].as_str().unwrap());
    user.post(&format!("{path}/test-connection"), &json!({})).await.assert_status(200);
    user.post(&format!("{path}/sign"), &json!({ "method": "GET", "path": "/any" })).await.assert_status(200);
    user.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
    let body = json!({ "name": "Bot", "scopes": ["decrypt"] });
    let made = user.post("/api/v1/access-keys", &body).await.assert_status(200).json();
    let token = made["token"].as_str().unwrap();
    user.bearer(token).post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
    user.bearer(&token[..70]).post(&format!("{path}/decrypt"), &json!({})).await.assert_status(401);
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    vec![
        ("a stored key", text("api_key")),
        ("a stored secret", text("secret")),
        ("a stored passphrase", text("passphrase")),
        ("an access key", token.to_owned()),
    ]
}

async fn journey(client: &Client, directory: &Path, providers: &Providers) -> Vec<(&'static str, String)> {
    let mailbox = mailbox(directory);
    let credentials = |password: &str| json!({ "email": EMAIL, "password": password });
    client.post("/auth/signup", &credentials(PASSWORD)).await.assert_status(200);
    let replaced: Mail = mailbox.next(EMAIL).await;
    client.post("/auth/resend-verification", &json!({ "email": EMAIL })).await.assert_status(200);
    let mail = mailbox.next(EMAIL).await;
    client.get(&mail.path()).await.assert_status(200);
    client.post("/auth/verify-email", &json!({ "token": replaced.token() })).await.assert_status(400);
    client.submit("/verify-email", &format!("token={}", mail.token())).await.assert_status(200);
    client.post("/auth/verify-email", &json!({ "token": mail.token() })).await.assert_status(400);
    client.get(&format!("/auth/verification-status?email={EMAIL}")).await.assert_status(200);

    client.post("/auth/login", &credentials(WRONG_PASSWORD)).await.assert_status(401);
    let answer = client.post("/auth/login", &credentials(PASSWORD)).await.assert_status(200);
    let mut user = User::new(client.clone(), EMAIL, PASSWORD, &answer);
    let first = user.clone();
    user.refresh().await;
    client.post("/auth/refresh", &json!({ "refresh_token": first.refresh_token })).await.assert_status(200);
    user.profile().await.assert_status(200);

    // The server's own time, to a second.
    let now = Timestamp(user.claims()["iat"].as_i64().unwrap() * 1000);
    let enrolment = user.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200).json();
    let totp = Totp::scan(&enrolment);
    let confirm = format!("/auth/mfa/totp/{}/confirm", totp.id);
    let earlier = totp.code(Timestamp(now.0 - 30_000));
    let confirmed = user.post(&confirm, &json!({ "code": earlier })).await.assert_status(200);
    user.take(&confirmed);
    let stored = vault(&user, providers).await;
    let recovery_code = confirmed.json()["recovery_codes"][0].as_str().unwrap().to_owned();
    let answer = client.post("/auth/login", &credentials(PASSWORD)).await.assert_status(200).json();
    let ticket = answer["mfa"]["ticket"].as_str().unwrap().to_owned();
    let verification = |method: &str, code: &str| json!({ "ticket": ticket, "method": method, "code": code, "remember_device": true });
    client
        .post("/auth/mfa/verify", &verification("recovery_code", &recovery_code[1..]))
        .await
        .assert_status(403);
    client
        .post("/auth/mfa/verify", &json!({ "ticket": ticket, "code": [recovery_code] }))
        .await
        .assert_status(422);
    let code = totp.code(now);
    let answer =
        client.post("/auth/mfa/verify", &verification("totp", &code)).await.assert_status(200).json();
    let device_token = answer["device_token"].as_str().unwrap().to_owned();
    let mut login = credentials(PASSWORD);
    login["device_token"] = json!(device_token);
    client.post("/auth/login", &login).await.assert_status(200);
    let body = json!({ "method": "recovery_code", "secret": recovery_code });
    let raised = user.post("/auth/step-up", &body).await.assert_status(200);
    user.take(&raised);

    user.get(&format!("/auth/profile?access_token={}", user.access_token)).await.assert_status(200);
    user.get(&format!("/nothing?password={}", PASSWORD.replace(' ', "%20"))).await.assert_status(404);
    // Mistakes must not be quoted either.
    user.post(
        "/auth/password",
        &json!({ "current_password": WRONG_PASSWORD, "new_password": [NEW_PASSWORD] }),
    )
    .await
    .assert_status(422);
    user.send_text("POST", "/auth/login", Some("application/json"), format!("{{\"password\":\"{PASSWORD}\""))
        .await
        .assert_status(422);
    user.change_password(WRONG_PASSWORD, NEW_PASSWORD).await.assert_status(403);
    user.change_password(PASSWORD, NEW_PASSWORD).await.assert_status(200);
    client.post("/auth/signup", &credentials(NEW_PASSWORD)).await.assert_status(200);
    let mut laptop = Authenticator::new();
    user.add_passkey("Laptop", &mut laptop).await;
    let mut broken = assertion(&mut laptop, &client.challenge("/auth/login/passkey/options").await);
    broken["credential"]["response"]["authenticatorData"] = json!("AAAA");
    client.post("/auth/login/passkey", &broken).await.assert_status(403);
    let offer = client.challenge("/auth/login/passkey/options").await;
    let answer = assertion(&mut laptop, &offer);
    let signature = answer["credential"]["response"]["signature"].as_str().unwrap().to_owned();
    let answer = client.post("/auth/login/passkey", &answer).await.assert_status(200);
    let by_passkey = User::new(client.clone(), EMAIL, NEW_PASSWORD, &answer);
    user.logout().await.assert_status(200);
    user.profile().await.assert_status(401);

    let mail_of = async |email: &str, template: &str| loop {
        let mail = mailbox.next(email).await;
        if mail.template == template {
            return mail;
        }
    };
    client.post("/auth/forgot-password", &json!({ "email": EMAIL })).await.assert_status(200);
    let reset = mail_of(EMAIL, "reset_password").await;
    client.get(&reset.path()).await.assert_status(200);
    let form = format!("token={}&new_password={EMAIL}", reset.token());
    client.submit("/reset-password", &form).await.assert_status(422);
    let body = json!({ "token": reset.token(), "new_password": [LAST_PASSWORD] });
    client.post("/auth/reset-password", &body).await.assert_status(422);
    let form = format!("token={}&new_password={}", reset.token(), LAST_PASSWORD.replace(' ', "+"));
    client.submit("/reset-password", &form).await.assert_status(200);
    client.submit("/reset-password", &form).await.assert_status(400);
    let answer = client.login_with_passkey(&mut laptop).await.assert_status(200);
    let recovered = User::new(client.clone(), EMAIL, LAST_PASSWORD, &answer);
    recovered.change_email(NEW_EMAIL).await.assert_status(200);
    let confirm = mail_of(NEW_EMAIL, "confirm_email_change").await;
    client.get(&confirm.path()).await.assert_status(200);
    client.submit("/confirm-email", &format!("token={}", confirm.token())).await.assert_status(200);
    let restore = mail_of(EMAIL, "email_changed").await;
    client.get(&restore.path()).await.assert_status(200);
    client.post("/auth/email-change/revert", &json!({ "token": restore.token() })).await.assert_status(200);
    let restored = mail_of(EMAIL, "email_restored").await;

    let mut secrets = vec![
        ("the last password", LAST_PASSWORD.into()),
        ("the link to a new password", reset.token()),
        ("the link to a new address", confirm.token()),
        ("the way back to the old address", restore.token()),
        ("the link that came with the old address", restored.token()),
        ("the access token after the reset", recovered.access_token.clone()),
        ("the password", PASSWORD.into()),
        ("the new password", NEW_PASSWORD.into()),
        ("a wrong password", WRONG_PASSWORD.into()),
        ("the replaced link", replaced.token()),
        ("the link", mail.token()),
        ("the first access token", first.access_token),
        ("the first refresh token", first.refresh_token),
        ("the access token", user.access_token.clone()),
        ("the refresh token", user.refresh_token.clone()),
        ("the secret of an authenticator", enrolment["secret"].as_str().unwrap().to_owned()),
        ("a recovery code", recovery_code.replace('-', "")),
        ("a recovery code in groups", recovery_code),
        ("a ticket", ticket),
        ("a device token", device_token),
        ("the signature of a passkey", signature),
        ("the access token by passkey", by_passkey.access_token.clone()),
        ("the refresh token by passkey", by_passkey.refresh_token.clone()),
    ];
    secrets.extend(stored);
    secrets
}

on_both_engines! {
    async fn no_secret_is_anywhere_it_could_be_read(engine: Engine) {
        let database = Database::create(engine).await;
        let node = Node::serve(&database, &[
            ("LATCHKEY_LIMITS__ENABLED", "false"),
            ("LATCHKEY_VAULT__PRIVATE_NETWORKS", "127.0.0.0/8"),
            ("LATCHKEY_LOG__LEVEL", "trace"),
            ("LATCHKEY_LOG__FORMAT", "json"),
        ])
        .await;
        let providers = Providers::start().await;
        let mails = database.directory.path().join("mail");
        let mut secrets = journey(&node.anonymous(), &mails, &providers).await;
        let root_key = std::fs::read_to_string(database.directory.path().join("root.key")).unwrap();
        secrets.push(("the root key", root_key.trim().to_owned()));
        let secrets: Vec<(&str, &str)> = secrets.iter().map(|(name, secret)| (*name, secret.as_str())).collect();

        let dump = database.dump().await;
        assert!(dump.contains(EMAIL) && dump.contains("$argon2id$"), "the dump is one");
        assert_absent("the database", dump.as_bytes(), &secrets);

        let log = node.log_file();
        assert_eq!(node.terminate().await, Some(0));
        let log = std::fs::read(log).unwrap();
        let text = String::from_utf8_lossy(&log);
        assert!(text.contains("\"operation\":\"session_create\"") && text.contains("/verify-email"), "the log is one");
        assert_absent("the log", &log, &secrets);
        assert!(!text.contains("\"level\":\"ERROR\""), "a wrong answer of a client is no error of the server");
        assert_absent("the log", &log, &[("the mail address", EMAIL), ("the new mail address", NEW_EMAIL), ("a query", "access_token=")]);

        for entry in std::fs::read_dir(database.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("latchkey.db") {
                assert_absent(&path.display().to_string(), &std::fs::read(&path).unwrap(), &secrets);
            }
        }
    }

    async fn the_audit_trail_holds_no_address_and_no_secret(engine: Engine) {
        let providers = Providers::start().await;
        let app = App::start(engine, |config| providers.configure(config)).await;
        let mails = app.database.directory.path().join("mail");
        let secrets = journey(&app.anonymous(), &mails, &providers).await;
        let trail = format!("{:?}", app.audit().await);
        assert!(trail.contains("account.password_changed") && trail.contains("session.refresh_repeated"), "{trail}");
        let secrets: Vec<(&str, &str)> = secrets.iter().map(|(name, secret)| (*name, secret.as_str())).collect();
        assert_absent("the audit trail", trail.as_bytes(), &secrets);
        assert_absent("the audit trail", trail.as_bytes(), &[("the mail address", EMAIL), ("the new mail address", NEW_EMAIL)]);
    }
}
