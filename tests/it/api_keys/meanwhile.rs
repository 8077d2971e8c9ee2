//! What happens to a request while it waits: for the server of the root key, or for the account.

use std::sync::{Arc, Mutex};

use latchkey::secret::Secret;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::Url;

use super::{ADA, API_KEYS, KEY, SECRET, delete, store};
use crate::access_keys::ACCESS_KEYS;
use crate::support::gate::Gate;
use crate::support::process::Site;
use crate::support::transit::{TOKEN, Transit};
use crate::support::{Answer, App, Engine, PASSWORD, PATIENCE, eventually};

const NEW_PASSWORD: &str = "eight dark green kettles";

/// Says that somebody is held up, and waits to be told to go on.
type Hold = (oneshot::Sender<()>, oneshot::Receiver<()>);

/// The way to Transit, on which the next to come can be held up.
struct Way {
    url: Url,
    next: Arc<Mutex<Option<Hold>>>,
    _transit: Transit,
}

impl Way {
    async fn start() -> Self {
        let transit = Transit::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url: Url = transit.url.parse().unwrap();
        let end = url.port().unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let next = Arc::<Mutex<Option<Hold>>>::default();
        let holds = Arc::clone(&next);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let hold = holds.lock().unwrap().take();
                tokio::spawn(async move {
                    if let Some((held, go_on)) = hold {
                        let _ = held.send(());
                        let _ = go_on.await;
                    }
                    let mut transit = TcpStream::connect(("127.0.0.1", end)).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut transit).await;
                });
            }
        });
        Self { url, next, _transit: transit }
    }

    /// A server whose keys of credentials Transit wraps. It signs without asking Binance for the time.
    async fn app(&self, engine: Engine) -> App {
        App::start(engine, |config| {
            config.vault.transit_url = Some(self.url.clone());
            config.vault.transit_token = Some(Secret::new(TOKEN.to_owned()));
            let nobody = "http://127.0.0.1:1".parse().unwrap();
            config.vault.base_urls.insert("binance.live".to_owned(), nobody);
        })
        .await
    }

    /// What becomes of `request` if all of `meanwhile` is done before Transit answers it for the first time.
    async fn during(
        &self,
        request: impl Future<Output = Answer>,
        meanwhile: impl Future<Output = ()>,
    ) -> Answer {
        let (held, is_held) = oneshot::channel();
        let (go_on, told) = oneshot::channel();
        *self.next.lock().unwrap() = Some((held, told));
        let meanwhile = async {
            timeout(PATIENCE, is_held).await.expect("Transit is asked").unwrap();
            meanwhile.await;
            go_on.send(()).unwrap();
        };
        tokio::join!(request, meanwhile).0
    }

    /// What becomes of `request` if the owner takes the account back meanwhile.
    async fn during_recovery(&self, app: &App, email: &str, request: impl Future<Output = Answer>) -> Answer {
        let token = app.reset_token(email).await;
        let reset = async {
            app.reset(&token, NEW_PASSWORD).await.assert_status(200);
        };
        self.during(request, reset).await
    }
}

/// What can be signed with the credentials here.
fn signable() -> Value {
    json!({ "method": "GET", "path": "/api/v3/account" })
}

on_both_engines! {
    async fn what_an_intruder_asked_for_before_a_recovery_is_not_done_after_it(engine: Engine) {
        let way = Way::start().await;
        let app = way.app(engine).await;
        let rules = json!({ "sign_rules": [{ "method": "GET", "path": "/*" }] });
        let other = json!({ "provider": "binance", "name": "Eve", "api_key": KEY, "secret": SECRET, "test": false });
        let requests = [
            ("POST", Some("/decrypt"), json!({})),
            ("POST", Some("/sign"), signable()),
            ("PATCH", Some(""), json!({ "api_key": KEY, "secret": SECRET })),
            ("POST", None, other),
        ];
        for (number, (method, operation, body)) in requests.iter().enumerate() {
            let email = format!("user-{number}@example.com");
            let intruder = app.user(&email).await;
            let path = store(&intruder, "Savings").await;
            intruder.patch(&path, &rules).await.assert_status(200);
            let path = operation.map_or(API_KEYS.to_owned(), |operation| format!("{path}{operation}"));
            let answer = way.during_recovery(&app, &email, intruder.json(method, &path, body)).await;
            assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_token")), "{method} {path}");
        }
        let trail = app.audit().await;
        let count = |action: &str| trail.iter().filter(|event| event.action == action).count();
        assert_eq!(["api_key.revealed", "api_key.signed", "api_key.replaced"].map(count), [0, 0, 0]);
        assert_eq!(count("api_key.added"), requests.len());
    }

    async fn a_server_gets_no_secret_of_an_account_that_is_recovered_meanwhile(engine: Engine) {
        let way = Way::start().await;
        let app = way.app(engine).await;
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let path = store(&ada, "Savings").await;
        let body = json!({ "name": "Bot", "scopes": ["decrypt"] });
        let key = ada.post(ACCESS_KEYS, &body).await.assert_status(200).json();
        let server = app.anonymous().bearer(key["token"].as_str().unwrap());
        let (path, body) = (format!("{path}/decrypt"), json!({}));
        let refused = way.during_recovery(&app, ADA, server.post(&path, &body)).await;
        refused.assert_error(403, "secrets_sealed");
        assert!(app.audit().await.iter().all(|event| event.action != "api_key.revealed"));
    }

    async fn a_use_is_refused_if_what_it_needs_is_taken_away_meanwhile(engine: Engine) {
        let way = Way::start().await;
        let app = way.app(engine).await;
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let (path, another) = (store(&ada, "Savings").await, store(&ada, "Another").await);
        let (reveal, reveal_another) = (format!("{path}/decrypt"), format!("{another}/decrypt"));
        let body = json!({ "name": "Bot", "scopes": ["decrypt"] });
        let key = ada.post(ACCESS_KEYS, &body).await.assert_status(200).json();
        let server = app.anonymous().bearer(key["token"].as_str().unwrap());
        let body = json!({});

        let key = format!("{ACCESS_KEYS}/{}", key["access_key"]["id"].as_str().unwrap());
        let revoke = async {
            delete(&ada, &key).await.assert_status(200);
        };
        way.during(server.post(&reveal, &body), revoke).await.assert_error(401, "invalid_token");
        let remove = async {
            delete(&ada, &path).await.assert_status(200);
        };
        way.during(ada.post(&reveal, &body), remove).await.assert_error(404, "not_found");
        let disable = async {
            assert!(app.services.set_disabled(ada.id.parse().unwrap(), true).await.unwrap());
        };
        way.during(ada.post(&reveal_another, &body), disable).await.assert_error(401, "invalid_token");
        assert!(app.audit().await.iter().all(|event| event.action != "api_key.revealed"));
    }

    async fn a_use_goes_on_with_the_credential_that_is_there_by_then(engine: Engine) {
        let way = Way::start().await;
        let app = way.app(engine).await;
        let ada = app.user(ADA).await;
        let other = KEY.replace("kQ3m", "zZ9y");
        let replacement = json!({ "api_key": other, "secret": SECRET });
        for (operation, body) in [("decrypt", json!({})), ("sign", signable())] {
            let path = store(&ada, operation).await;
            let rules = json!({ "sign_rules": [{ "method": "GET", "path": "/*" }] });
            ada.patch(&path, &rules).await.assert_status(200);
            let replace = async {
                ada.patch(&path, &replacement).await.assert_status(200);
            };
            let used = format!("{path}/{operation}");
            let answer = way.during(ada.post(&used, &body), replace).await.assert_status(200).text();
            assert!(answer.contains(&other) && !answer.contains(KEY), "{answer}");
        }
        let trail = app.audit().await;
        let uses = trail.iter().filter(|event| ["api_key.revealed", "api_key.signed"].contains(&event.action.as_str()));
        assert_eq!(uses.count(), 2);
    }
}

/// What waits for nothing but the account, which the owner's new password has.
#[tokio::test]
async fn what_an_intruder_changes_during_a_recovery_stays_as_it_was() {
    let site = Site::new(Engine::Postgres).await;
    let server = site.start().await;
    site.verified(&server, ADA, PASSWORD).await;
    let intruder = server.anonymous().bearer(&server.login(ADA, PASSWORD).await.access);
    let path = store(&intruder, "Savings").await;
    server.anonymous().post("/auth/forgot-password", &json!({ "email": ADA })).await.assert_status(200);
    let mail = async || site.mails_to(ADA).into_iter().find(|mail| mail.template == "reset_password");
    let token = eventually("the mail", mail).await.token();

    let gate = Gate::close(&site, "UPDATE", "password_resets").await;
    let owner = server.anonymous();
    let body = json!({ "token": token, "new_password": NEW_PASSWORD });
    let reset = tokio::spawn(async move { owner.post("/auth/reset-password", &body).await });
    gate.waiting(1).await;
    let changes = [("PATCH", json!({ "name": "Eve" })), ("DELETE", Value::Null)];
    let changes = changes.map(|(method, body)| {
        let (intruder, path) = (intruder.clone(), path.clone());
        tokio::spawn(async move { intruder.json(method, &path, &body).await })
    });
    gate.waiting(3).await;
    gate.open().await;
    reset.await.unwrap().assert_status(200);
    for change in changes {
        change.await.unwrap().assert_error(401, "invalid_token");
    }
    assert_eq!(site.rows().await.count("api_keys WHERE name = 'Savings'").await, 1);
}
