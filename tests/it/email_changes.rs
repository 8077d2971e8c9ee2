//! Another address for an account, and the way back.

use latchkey::services::accounts::Import;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::password_resets::due_now;
use crate::races::{at_once, servers};
use crate::support::process::{Site, credentials};
use crate::support::{App, Engine, PASSWORD, User, eventually};

const OLD: &str = "ada@example.com";
const NEW: &str = "ada@example.org";
const THIRD: &str = "ada@example.net";
const KETTLES: &str = "eight dark green kettles";
const DAY: u64 = 86_400;

async fn address(user: &User) -> String {
    user.profile().await.assert_status(200).json()["email"].as_str().unwrap().to_owned()
}

on_both_engines! {
    async fn an_address_is_changed_once_the_new_one_confirms(app: App) {
        let ada = app.user(OLD).await;
        ada.change_email(NEW).await.assert_status(200);
        let mail = app.mail_of(NEW, "confirm_email_change").await;
        assert!(mail.link().starts_with("http://id.example.com/confirm-email?token="), "{}", mail.link());
        assert_eq!(address(&ada).await, OLD);
        app.try_login(NEW, PASSWORD).await.assert_error(401, "invalid_credentials");

        app.confirm_email(&mail.token()).await.assert_status(200);
        // Whoever is signed in stays so.
        assert_eq!(address(&ada).await, NEW);
        app.try_login(OLD, PASSWORD).await.assert_error(401, "invalid_credentials");
        let answer = app.try_login(NEW, PASSWORD).await.assert_status(200).json();
        assert!(answer["user"]["email_confirmed_at"].is_string(), "{answer}");

        let told = app.mail_of(OLD, "email_changed").await;
        assert!(told.link().starts_with("http://id.example.com/restore-email?token="), "{}", told.link());
        assert!(told.text.contains("a•••@example.org") && !told.text.contains(NEW), "{}", told.text);
        assert!(told.text.contains("3 days") || told.text.contains("72 hours"), "{}", told.text);
    }

    async fn the_old_address_takes_the_change_back(app: App) {
        let thief = app.user(OLD).await;
        let token = app.restore_token(&thief, OLD, NEW).await;
        app.restore_email(&token).await.assert_status(200);

        // Neither the sessions nor the password of before are good any more.
        thief.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&thief.refresh_token).await.assert_error(401, "invalid_refresh_token");
        for email in [OLD, NEW] {
            app.try_login(email, PASSWORD).await.assert_error(401, "invalid_credentials");
        }
        let reset = app.mail_of(OLD, "email_restored").await;
        app.reset(&reset.token(), KETTLES).await.assert_status(200);
        let ada = app.login(OLD, KETTLES).await;
        assert_eq!(address(&ada).await, OLD);
        app.restore_email(&token).await.assert_error(400, "link_used");
        // The new address is free again.
        app.verified(NEW, PASSWORD).await;
    }

    async fn the_pages_have_buttons_and_opening_them_changes_nothing(app: App) {
        let ada = app.user(OLD).await;
        ada.change_email(NEW).await.assert_status(200);
        let mail = app.mail_of(NEW, "confirm_email_change").await;
        let open = async |path: &str| {
            app.anonymous().send_text("HEAD", path, None, "").await.assert_status(200);
            app.anonymous().get(path).await.assert_status(200).text()
        };
        let page = open(&mail.path()).await;
        assert!(page.contains("<button") && page.contains(&mail.token()), "{page}");
        assert_eq!(address(&ada).await, OLD);
        let press = async |path: &str, token: &str| app.anonymous().submit(path, &format!("token={token}")).await;
        assert!(press("/confirm-email", &mail.token()).await.assert_status(200).text().contains("is changed"));
        assert!(press("/confirm-email", &mail.token()).await.assert_status(400).text().contains("used already"));

        let told = app.mail_of(OLD, "email_changed").await;
        let page = open(&told.path()).await;
        assert!(page.contains("<button") && page.contains(&told.token()), "{page}");
        assert_eq!(address(&ada).await, NEW);
        assert!(press("/restore-email", &told.token()).await.assert_status(200).text().contains("taken back"));
        assert!(press("/restore-email", &told.token()).await.assert_status(400).text().contains("used already"));
        for path in ["/confirm-email", "/restore-email"] {
            for query in ["", "?token=abc"] {
                let page = app.anonymous().get(&format!("{path}{query}")).await.assert_status(400).text();
                assert!(page.contains("This link is not valid") && !page.contains("<button"), "{page}");
            }
            assert!(press(path, "nonsense").await.assert_status(400).text().contains("not valid"));
        }
    }

    async fn a_confirmation_works_once_for_a_day_until_a_newer_one(app: App) {
        let ada = app.user(OLD).await;
        let old = app.confirm_token(&ada, NEW).await;
        let new = app.confirm_token(&ada, THIRD).await;
        app.confirm_email(&old).await.assert_error(400, "invalid_link");
        app.clock.advance_seconds(DAY);
        app.confirm_email(&new).await.assert_error(400, "link_expired");
        let ada = app.login(OLD, PASSWORD).await;
        let last = app.confirm_token(&ada, NEW).await;
        app.clock.advance_seconds(DAY - 1);
        app.confirm_email(&last).await.assert_status(200);
        app.confirm_email(&last).await.assert_error(400, "link_used");
    }

    async fn a_change_or_reset_of_the_password_stops_a_change_under_way(app: App) {
        let ada = app.user(OLD).await;
        let token = app.confirm_token(&ada, NEW).await;
        ada.change_password(PASSWORD, KETTLES).await.assert_status(200);
        app.confirm_email(&token).await.assert_error(400, "invalid_link");
        let token = app.confirm_token(&ada, NEW).await;
        let reset = app.reset_token(OLD).await;
        app.reset(&reset, PASSWORD).await.assert_status(200);
        app.confirm_email(&token).await.assert_error(400, "invalid_link");
    }

    async fn links_mailed_to_the_old_address_stop_with_the_change(app: App) {
        let ada = app.user(OLD).await;
        let reset = app.reset_token(OLD).await;
        let token = app.confirm_token(&ada, NEW).await;
        app.confirm_email(&token).await.assert_status(200);
        app.reset(&reset, KETTLES).await.assert_error(400, "invalid_link");
        app.login(NEW, PASSWORD).await;
    }

    async fn the_way_back_is_open_for_three_days(app: App) {
        let ada = app.user(OLD).await;
        let token = app.restore_token(&ada, OLD, NEW).await;
        app.clock.advance_seconds(3 * DAY - 1);
        // Until then the old address is nobody else's.
        app.sign_up(OLD, PASSWORD).await;
        assert_eq!(app.mails_to(OLD).await.iter().filter(|mail| mail.template == "verify_email").count(), 1);
        app.restore_email(&token).await.assert_status(200);

        let bob = app.user("bob@example.com").await;
        let token = app.restore_token(&bob, "bob@example.com", "bob@example.org").await;
        app.clock.advance_seconds(3 * DAY);
        app.restore_email(&token).await.assert_error(400, "link_expired");
        app.sign_up("bob@example.com", PASSWORD).await;
        let mail = app.mail_of("bob@example.com", "verify_email").await;
        app.verify(&mail.token()).await.assert_status(200);
        app.login("bob@example.com", PASSWORD).await;
        app.login("bob@example.org", PASSWORD).await;
    }

    async fn a_chain_of_changes_is_undone_by_its_first_address(app: App) {
        let thief = app.user(OLD).await;
        let first = app.restore_token(&thief, OLD, NEW).await;
        app.clock.advance_seconds(60);
        let second = app.restore_token(&thief, NEW, THIRD).await;
        let pending = app.confirm_token(&thief, "more@example.net").await;
        app.restore_email(&first).await.assert_status(200);
        // Nobody who came later has a claim.
        app.restore_email(&second).await.assert_error(400, "invalid_link");
        app.confirm_email(&pending).await.assert_error(400, "invalid_link");
        let reset = app.mail_of(OLD, "email_restored").await;
        app.reset(&reset.token(), KETTLES).await.assert_status(200);
        assert_eq!(address(&app.login(OLD, KETTLES).await).await, OLD);
        app.verified(NEW, PASSWORD).await;
        app.verified(THIRD, PASSWORD).await;
    }

    async fn the_first_address_has_the_last_word(app: App) {
        let thief = app.user(OLD).await;
        let first = app.restore_token(&thief, OLD, NEW).await;
        app.clock.advance_seconds(60);
        let second = app.restore_token(&thief, NEW, THIRD).await;
        app.restore_email(&second).await.assert_status(200);
        let between = app.mail_of(NEW, "email_restored").await.token();
        app.clock.advance_seconds(60);
        app.restore_email(&first).await.assert_status(200);
        app.reset(&between, KETTLES).await.assert_error(400, "invalid_link");
        let reset = app.mail_of(OLD, "email_restored").await;
        app.reset(&reset.token(), KETTLES).await.assert_status(200);
        app.login(OLD, KETTLES).await;
    }

    async fn a_taken_address_is_answered_alike_and_told(app: App) {
        app.user("bob@example.com").await;
        let ada = app.user(OLD).await;
        let free = ada.change_email(NEW).await.assert_status(200);
        let token = app.mail_of(NEW, "confirm_email_change").await.token();
        let taken = ada.change_email("BOB@example.com").await.assert_status(200);
        assert_eq!(free.body, taken.body);
        let mail = app.mail_of("bob@example.com", "email_change_taken").await;
        assert!(!mail.raw.contains("token") && !mail.raw.contains(OLD), "{}", mail.raw);
        // The older link tells nothing either: it has stopped.
        app.confirm_email(&token).await.assert_error(400, "invalid_link");
        // So does the address that another account may take back.
        let bob = app.login("bob@example.com", PASSWORD).await;
        app.restore_token(&bob, "bob@example.com", "bob@example.org").await;
        ada.change_email("bob@example.com").await.assert_status(200);
        app.mail_of("bob@example.com", "email_change_taken").await;
    }

    async fn whoever_takes_the_address_first_has_it(app: App) {
        let ada = app.user(OLD).await;
        let bob = app.user("bob@example.com").await;
        let adas = app.confirm_token(&ada, NEW).await;
        let bobs = app.confirm_token(&bob, NEW).await;
        app.confirm_email(&bobs).await.assert_status(200);
        app.confirm_email(&adas).await.assert_error(400, "invalid_link");
        assert_eq!((address(&ada).await.as_str(), address(&bob).await.as_str()), (OLD, NEW));
        // A sign-up that nobody confirmed is in nobody's way.
        app.sign_up(THIRD, PASSWORD).await;
        let adas = app.confirm_token(&ada, THIRD).await;
        app.confirm_email(&adas).await.assert_status(200);
        assert_eq!(address(&ada).await, THIRD);
    }

    async fn one_may_go_back_to_ones_own_address(app: App) {
        let ada = app.user(OLD).await;
        app.restore_token(&ada, OLD, NEW).await;
        app.clock.advance_seconds(60);
        app.restore_token(&ada, NEW, OLD).await;
        assert_eq!(address(&ada).await, OLD);
        // And spell it another way.
        let token = app.confirm_token(&ada, "Ada@example.com").await;
        app.confirm_email(&token).await.assert_status(200);
        assert_eq!(address(&ada).await, "Ada@example.com");
    }

    async fn a_recent_sign_in_at_the_best_level_is_demanded(app: App) {
        let (mut ada, totp, _) = app.user_with_totp(OLD).await;
        app.clock.advance_seconds(601);
        ada.change_email(NEW).await.assert_error(401, "insufficient_user_authentication");
        ada.step_up(&totp, app.now()).await;
        ada.change_email(NEW).await.assert_status(200);
    }

    async fn after_the_way_back_both_factors_count_as_one_for_a_day(app: App) {
        let (ada, totp, _) = app.user_with_totp(OLD).await;
        let token = app.restore_token(&ada, OLD, NEW).await;
        app.restore_email(&token).await.assert_status(200);
        let reset = app.mail_of(OLD, "email_restored").await;
        app.reset(&reset.token(), KETTLES).await.assert_status(200);
        app.next_code();
        assert_eq!(app.login_with_totp(OLD, KETTLES, &totp).await.claims()["aal"], 1);
        app.clock.advance_seconds(DAY);
        assert_eq!(app.login_with_totp(OLD, KETTLES, &totp).await.claims()["aal"], 2);
    }

    async fn a_disabled_account_and_one_that_is_due_stay_as_they_are(app: App) {
        let ada = app.user(OLD).await;
        let back = app.restore_token(&ada, OLD, NEW).await;
        let on = app.confirm_token(&ada, THIRD).await;
        let id = ada.id.parse().unwrap();
        let refused = async || {
            app.confirm_email(&on).await.assert_error(400, "invalid_link");
            app.restore_email(&back).await.assert_error(400, "invalid_link");
        };
        app.services.set_disabled(id, true).await.unwrap();
        refused().await;
        app.services.set_disabled(id, false).await.unwrap();
        due_now(&app).await;
        refused().await;
        assert_eq!(app.services.find_account(&latchkey::services::accounts::Selector::Id(id)).await.unwrap().unwrap().email, NEW);
    }

    /// It may be a stranger's: a slip of the finger at sign-up.
    async fn an_address_that_was_never_confirmed_gets_no_way_back(engine: Engine) {
        let app = App::start(engine, |config| config.require_verified_email = false).await;
        let body = json!({ "email": OLD, "password": PASSWORD });
        let answer = app.anonymous().post("/auth/signup", &body).await.assert_status(200);
        let ada = User::new(app.anonymous(), OLD, PASSWORD, &answer);
        let verify = app.mail_of(OLD, "verify_email").await.token();
        let token = app.confirm_token(&ada, NEW).await;
        app.confirm_email(&token).await.assert_status(200);
        assert!(app.mails_to(OLD).await.iter().all(|mail| mail.template != "email_changed"));
        app.verify(&verify).await.assert_error(400, "invalid_verification_token");
        app.sign_up(OLD, PASSWORD).await;
    }

    async fn an_import_leaves_the_way_back_open(app: App) {
        let ada = app.user(OLD).await;
        let token = app.restore_token(&ada, OLD, NEW).await;
        let import = || Import {
            email: OLD.into(),
            email_key: OLD.into(),
            password_hash: "$2b$04$abcdefghijklmnopqrstuuRzjSSjGFbEAGUbCTHPqIuHXKRgKfdlO".into(),
            email_verified: true,
            full_name: None,
            phone: None,
            avatar_url: None,
            created_at: None,
        };
        assert_eq!(app.services.import_accounts(vec![import()]).await.unwrap(), 0);
        app.restore_email(&token).await.assert_status(200);
        assert_eq!(app.services.import_accounts(vec![import()]).await.unwrap(), 0);
    }

    async fn requests_are_counted(engine: Engine) {
        let app = App::start(engine, |config| config.limits.enabled = true).await;
        let ada = app.user(OLD).await;
        for number in 0..5 {
            ada.change_email(&format!("ada{number}@example.org")).await.assert_status(200);
        }
        ada.change_email(NEW).await.assert_error(429, "rate_limited");
    }

    async fn links_come_from_the_configuration_whatever_the_request_says(app: App) {
        let ada = app.user(OLD).await;
        let liar = ada.with("host", "evil.example.com").with("x-forwarded-host", "evil.example.com");
        liar.post("/auth/email-change", &json!({ "email": NEW })).await.assert_status(200);
        let mail = app.mail_of(NEW, "confirm_email_change").await;
        let body = json!({ "token": mail.token() });
        liar.post("/auth/email-change/confirm", &body).await.assert_status(200);
        let told = app.mail_of(OLD, "email_changed").await;
        let body = json!({ "token": told.token() });
        liar.post("/auth/email-change/revert", &body).await.assert_status(200);
        let restored = app.mail_of(OLD, "email_restored").await;
        for mail in [mail, told, restored] {
            assert!(mail.link().starts_with("http://id.example.com/") && !mail.raw.contains("evil"), "{}", mail.raw);
        }
    }

    async fn what_is_over_goes_after_its_time(app: App) {
        let ada = app.user(OLD).await;
        app.reset_token(OLD).await;
        let token = app.confirm_token(&ada, NEW).await;
        app.confirm_email(&token).await.assert_status(200);
        let count = async || {
            let sql = "SELECT (SELECT COUNT(*) FROM email_changes) + (SELECT COUNT(*) FROM password_resets)";
            let statement = sea_orm::Statement::from_string(app.services.db.engine(), sql);
            let row = app.connection().await.query_one_raw(statement).await.unwrap().unwrap();
            row.try_get_by_index::<i64>(0).unwrap()
        };
        app.clock.advance_seconds(7 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count().await, 2);
        app.clock.advance_seconds(2 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count().await, 1, "the way back is kept for a week after its end");
        app.clock.advance_seconds(2 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count().await, 0);
    }

    async fn a_hundred_uses_of_one_link_have_one_success(site: Site) {
        let servers = servers(&site).await;
        site.verified(&servers[0], OLD, PASSWORD).await;
        let token = async |email: &str, template: &str| {
            let mail = eventually(template, async || {
                site.mails_to(email).into_iter().find(|mail| mail.template == template)
            });
            mail.await.token()
        };
        let client = servers[0].anonymous().bearer(&servers[0].login(OLD, PASSWORD).await.access);
        client.post("/auth/email-change", &json!({ "email": NEW })).await.assert_status(200);
        for (path, email, template) in [
            ("/auth/email-change/confirm", NEW, "confirm_email_change"),
            ("/auth/email-change/revert", OLD, "email_changed"),
        ] {
            let body = json!({ "token": token(email, template).await });
            let answers = at_once(&servers, path, vec![body; 100]).await;
            let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
            assert_eq!(good.len(), 1, "{path}");
            for answer in bad {
                answer.assert_error(400, "link_used");
            }
        }
        let rows = site.rows().await;
        for action in ["account.email_changed", "account.email_restored"] {
            assert_eq!(rows.count(&format!("audit_events WHERE action = '{action}'")).await, 1);
        }
    }

    /// Two accounts want one address, and somebody signs up with it, all at the same moment.
    async fn one_address_has_one_account_however_many_want_it(site: Site) {
        let servers = servers(&site).await;
        let mut tokens = vec![];
        for number in 0..10 {
            let email = format!("user{number}@example.com");
            site.verified(&servers[0], &email, PASSWORD).await;
            let client = servers[0].anonymous().bearer(&servers[0].login(&email, PASSWORD).await.access);
            client.post("/auth/email-change", &json!({ "email": NEW })).await.assert_status(200);
            let mail = eventually("the mail", async || {
                let mails = site.mails_to(NEW);
                let new = mails.into_iter().find(|mail| !tokens.contains(&mail.token()));
                new.map(|mail| mail.token())
            });
            tokens.push(mail.await);
        }
        let bodies = tokens.iter().map(|token| json!({ "token": token })).collect();
        let client = servers[0].anonymous();
        let signup = credentials(NEW, PASSWORD);
        let (answers, _) = tokio::join!(
            at_once(&servers, "/auth/email-change/confirm", bodies),
            client.post("/auth/signup", &signup),
        );
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for answer in answers.into_iter().filter(|answer| answer.status != 200) {
            answer.assert_error(400, "invalid_link");
        }
        assert_eq!(site.rows().await.count(&format!("accounts WHERE email_key = '{NEW}'")).await, 1);
    }
}
