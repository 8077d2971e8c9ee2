//! Where somebody is signed in: the list, ending from it, how many there may be, how long they last, and new devices.

use serde_json::{Value, json};

use crate::races::servers;
use crate::support::process::{Site, credentials};
use crate::support::{App, Client, Engine, PASSWORD, User};

const ADA: &str = "ada@example.com";
const DAY: u64 = 86_400;
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const NEWER_FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.0 Mobile/15E148 Safari/604.1";

async fn login_on(app: &App, agent: &'static str) -> User {
    let client = app.anonymous().with("user-agent", agent);
    let answer = client.post("/auth/login", &credentials(ADA, PASSWORD)).await.assert_status(200);
    User::new(app.anonymous(), ADA, PASSWORD, &answer)
}

async fn list(client: &Client) -> Vec<Value> {
    client.get("/auth/sessions").await.assert_status(200).json()["sessions"].as_array().unwrap().clone()
}

async fn delete(client: &Client, path: &str) -> crate::support::Answer {
    client.json("DELETE", path, &Value::Null).await
}

on_both_engines! {
    async fn the_list_says_where_since_when_and_how(app: App) {
        app.verified(ADA, PASSWORD).await;
        let mut phone = login_on(&app, SAFARI).await;
        app.clock.advance_seconds(10);
        let mut laptop = login_on(&app, FIREFOX).await;
        let (_, _) = laptop.add_totp("Phone", app.now()).await;
        app.clock.advance_seconds(10);
        phone.refresh().await;

        let sessions = list(&laptop).await;
        assert_eq!(sessions.len(), 2);
        // The latest activity first.
        let (first, second) = (&sessions[0], &sessions[1]);
        assert_eq!((&first["device"], &second["device"]), (&json!("Safari on iOS"), &json!("Firefox on Linux")));
        assert_eq!((&first["current"], &second["current"]), (&json!(false), &json!(true)));
        assert_eq!((&first["aal"], &second["aal"]), (&json!(1), &json!(2)));
        assert_eq!((&first["methods"], &second["methods"]), (&json!(["pwd"]), &json!(["pwd", "otp", "mfa"])));
        assert_eq!((&first["id"], &second["id"]), (&phone.claims()["sid"], &laptop.claims()["sid"]));
        assert_eq!(first["ip"], "127.0.0.1");
        assert_ne!(first["created_at"], first["last_seen_at"]);
        for session in &sessions {
            let text = session.to_string();
            assert!(!text.contains(&phone.refresh_token) && !text.contains(&laptop.refresh_token), "{text}");
        }
        // What has ended is not there.
        phone.logout().await.assert_status(200);
        assert_eq!(list(&laptop).await.len(), 1);
    }

    async fn one_is_ended_from_the_list_at_the_next_request(app: App) {
        app.verified(ADA, PASSWORD).await;
        let (mine, other) = (login_on(&app, FIREFOX).await, login_on(&app, SAFARI).await);
        let path = format!("/auth/sessions/{}", other.claims()["sid"].as_str().unwrap());
        delete(&mine, &path).await.assert_status(200);
        other.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&other.refresh_token).await.assert_error(401, "invalid_refresh_token");
        delete(&mine, &path).await.assert_error(404, "not_found");
        mine.profile().await.assert_status(200);
        delete(&mine, "/auth/sessions/nonsense").await.assert_violation("uuid_parsing", &["path", "id"]);
        let path = format!("/auth/sessions/{}", mine.claims()["sid"].as_str().unwrap());
        delete(&mine, &path).await.assert_status(200);
        mine.profile().await.assert_error(401, "invalid_token");
    }

    async fn all_others_or_all_are_ended(app: App) {
        app.verified(ADA, PASSWORD).await;
        let mine = login_on(&app, FIREFOX).await;
        let others = [login_on(&app, SAFARI).await, login_on(&app, SAFARI).await];
        let answer = delete(&mine, "/auth/sessions?keep_current=true").await.assert_status(200).json();
        assert_eq!(answer["ended"], 2);
        for other in &others {
            other.profile().await.assert_error(401, "invalid_token");
        }
        mine.profile().await.assert_status(200);
        let other = login_on(&app, SAFARI).await;
        assert_eq!(delete(&mine, "/auth/sessions").await.assert_status(200).json()["ended"], 2);
        for user in [&mine, &other] {
            user.profile().await.assert_error(401, "invalid_token");
        }
    }

    async fn a_long_list_is_read_in_pages(engine: Engine) {
        let app = App::start(engine, |config| config.tokens.sessions_per_account = 1000).await;
        let ada = app.user(ADA).await;
        let copy = String::from(
            "INSERT INTO sessions (id, account_id, counter, rotated_at, refresh_tat, created_at, expires_at, idle_expires_at, aal, amr, auth_time)
             SELECT $1, account_id, counter, rotated_at, refresh_tat, created_at, expires_at, idle_expires_at, aal, amr, auth_time
             FROM sessions LIMIT 1"
        );
        use sea_orm::{ConnectionTrait, Statement};
        let db = app.connection().await;
        for number in 0..150_u128 {
            let id = entities::SessionId(uuid::Uuid::from_u128(number + 1));
            db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), &copy, [id.into()])).await.unwrap();
        }
        let mut seen = std::collections::HashSet::new();
        let mut path = "/auth/sessions".to_owned();
        let mut pages = 0;
        loop {
            let page = ada.get(&path).await.assert_status(200).json();
            let sessions = page["sessions"].as_array().unwrap();
            assert!(sessions.len() <= 100);
            seen.extend(sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(before) = page["before"].as_str() else { break };
            path = format!("/auth/sessions?before={before}");
        }
        assert_eq!((seen.len(), pages), (151, 2));
        // A full page that is the last one leads nowhere.
        let fewer = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions ORDER BY id LIMIT 51)";
        db.execute_unprepared(fewer).await.unwrap();
        let page = ada.get("/auth/sessions").await.assert_status(200).json();
        assert_eq!((page["sessions"].as_array().unwrap().len(), &page["before"]), (100, &Value::Null));
        ada.get("/auth/sessions?before=nonsense").await.assert_violation("string_pattern_mismatch", &["query", "before"]);
    }

    async fn without_a_refresh_a_session_ends_to_the_second(engine: Engine) {
        let app = App::start(engine, |config| config.tokens.session_idle_seconds = 300).await;
        let ada = app.user(ADA).await;
        app.clock.advance_seconds(299);
        ada.profile().await.assert_status(200);
        app.clock.advance_seconds(1);
        ada.profile().await.assert_error(401, "invalid_token");
    }

    async fn a_session_too_many_ends_the_one_refreshed_longest_ago(engine: Engine) {
        let app = App::start(engine, |config| config.tokens.sessions_per_account = 3).await;
        app.verified(ADA, PASSWORD).await;
        let mut sessions = vec![];
        for _ in 0..3 {
            sessions.push(app.login(ADA, PASSWORD).await);
            app.clock.advance_seconds(1);
        }
        sessions[0].refresh().await;
        app.clock.advance_seconds(1);
        let fourth = app.login(ADA, PASSWORD).await;
        sessions[1].profile().await.assert_error(401, "invalid_token");
        for alive in [&sessions[0], &sessions[2], &fourth] {
            alive.profile().await.assert_status(200);
        }
        let ended = App::only_event(app.audit().await, "session.ended");
        assert_eq!((ended.actor.as_str(), ended.account_id.unwrap().to_string()), ("server", fourth.id.clone()));
        let detail: Value = serde_json::from_str(&ended.detail.unwrap()).unwrap();
        assert_eq!(detail, json!({ "session": sessions[1].claims()["sid"], "reason": "too_many_sessions" }));
    }

    async fn many_sign_ins_at_once_leave_no_more_than_there_may_be(site: Site) {
        let site = site.with("TOKENS__SESSIONS_PER_ACCOUNT", "5");
        let servers = servers(&site).await;
        site.verified(&servers[0], ADA, PASSWORD).await;
        let bodies = vec![credentials(ADA, PASSWORD); 40];
        for answer in crate::races::at_once(&servers, "/auth/login", bodies).await {
            answer.assert_status(200);
        }
        assert_eq!(site.rows().await.count("sessions WHERE revoked_at IS NULL").await, 5);
    }

    async fn the_owner_hears_of_a_device_that_was_not_seen_before(engine: Engine) {
        let app = App::start(engine, |config| config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
        app.verified(ADA, PASSWORD).await;
        let login = async |agent: &str, ip: &str| {
            let client = app.anonymous().with("user-agent", agent).with("x-forwarded-for", ip);
            client.post("/auth/login", &credentials(ADA, PASSWORD)).await.assert_status(200);
            app.mails_to(ADA).await.iter().filter(|mail| mail.template == "new_device").count()
        };
        // Nothing is known yet, so nothing is new.
        assert_eq!(login(FIREFOX, "192.0.2.7").await, 0);
        assert_eq!(login(NEWER_FIREFOX, "192.0.2.99").await, 0);
        assert_eq!(login(SAFARI, "192.0.2.7").await, 1);
        assert_eq!(login(SAFARI, "192.0.2.8").await, 1);
        assert_eq!(login(FIREFOX, "198.51.100.1").await, 2);
        assert_eq!(login(FIREFOX, "2001:db8::1").await, 3);
        assert_eq!(login(FIREFOX, "2001:db8:0:ffff::1").await, 3);
        let mails = app.mails_to(ADA).await;
        let says = |words: &str| mails.iter().any(|mail| mail.template == "new_device" && mail.raw.contains(words));
        assert!(says("Safari on iOS") && says("192.0.2.7") && says("198.51.100.1"));
    }

    async fn the_owner_hears_of_a_stolen_refresh_token(app: App) {
        let mut ada = app.user(ADA).await;
        let stolen = ada.refresh_token.clone();
        ada.refresh().await;
        app.clock.advance_seconds(11);
        app.try_refresh(&stolen).await.assert_error(401, "refresh_token_reused");
        assert_eq!(app.mails_to(ADA).await.iter().filter(|mail| mail.template == "session_stolen").count(), 1);
    }

    /// NIST SP 800-63B-4, 2.2.3.
    async fn sessions_with_two_factors_are_shorter_where_the_operator_wants_it(engine: Engine) {
        let app = App::start(engine, |config| config.tokens.nist_lifetimes = true).await;
        let (mut raised, totp, _) = app.user_with_totp(ADA).await;
        app.verified("bob@example.com", PASSWORD).await;
        let mut bob = app.login("bob@example.com", PASSWORD).await;
        let mut idle = app.login_with_totp(ADA, PASSWORD, &totp).await;
        raised.refresh().await;
        for _ in 0..23 {
            app.clock.advance_seconds(3599);
            raised.refresh().await;
        }
        app.try_refresh(&idle.refresh_token).await.assert_error(401, "invalid_refresh_token");
        app.clock.advance_seconds(3599);
        app.try_refresh(&raised.refresh_token).await.assert_error(401, "invalid_refresh_token");
        // One factor lasts as ever.
        app.clock.advance_seconds(6 * DAY - 3600);
        bob.refresh().await;
        idle = app.login_with_totp(ADA, PASSWORD, &totp).await;
        app.clock.advance_seconds(3600);
        app.try_refresh(&idle.refresh_token).await.assert_error(401, "invalid_refresh_token");
    }
}
