//! Limits: so many are answered, the next is told how long to wait, and waiting helps.

use latchkey::config::{Config, Rate};
use serde_json::json;

use crate::support::{Answer, App, Client, Engine, PASSWORD};

/// Three at once, given back over a minute.
const RATE: Rate = Rate { count: 3, seconds: 60 };

async fn app(engine: Engine, change: impl FnOnce(&mut Config)) -> App {
    App::start(engine, |config| {
        config.limits.enabled = true;
        change(config);
    })
    .await
}

/// Demands that three attempts are answered with `status`, that the next is refused, and that it works again after the
/// time it was told, and not before.
async fn assert_three(app: &App, status: u16, mut attempt: impl AsyncFnMut() -> Answer) {
    for _ in 0..3 {
        attempt().await.assert_status(status);
    }
    let wait = attempt().await.assert_error(429, "rate_limited").retry_after();
    assert_eq!(wait, 20);
    app.clock.advance_seconds(wait - 1);
    assert_eq!(attempt().await.assert_error(429, "rate_limited").retry_after(), 1);
    app.clock.advance_seconds(1);
    attempt().await.assert_status(status);
    attempt().await.assert_error(429, "rate_limited");
}

async fn login(client: &Client, email: &str) -> Answer {
    client.post("/auth/login", &json!({ "email": email, "password": PASSWORD })).await
}

async fn resend(client: &Client, email: &str) -> Answer {
    client.post("/auth/resend-verification", &json!({ "email": email })).await
}

/// Comes back when it is told to, until it is answered; answers how many seconds that took.
async fn waited(app: &App, mut attempt: impl AsyncFnMut() -> Answer) -> u64 {
    let mut waited = 0;
    loop {
        let answer = attempt().await;
        if answer.status == 200 {
            return waited;
        }
        let wait = answer.assert_error(429, "rate_limited").retry_after();
        app.clock.advance_seconds(wait);
        waited += wait;
    }
}

/// Every attempt with an address of its own.
fn counter() -> impl FnMut() -> String {
    let mut count = 0;
    move || {
        count += 1;
        format!("user-{count}@example.com")
    }
}

on_both_engines! {
    async fn sign_ups_per_client(engine: Engine) {
        let app = app(engine, |config| config.limits.signup_per_address = RATE).await;
        let mut email = counter();
        assert_three(&app, 200, async || {
            app.anonymous().post("/auth/signup", &json!({ "email": email(), "password": PASSWORD })).await
        }).await;
    }

    async fn sign_ups_per_address(engine: Engine) {
        let app = app(engine, |config| config.limits.signup_per_account = RATE).await;
        let mut spellings = ["ada@example.com", "ADA@example.com", "Ada@EXAMPLE.com"].into_iter().cycle();
        assert_three(&app, 200, async || {
            let body = json!({ "email": spellings.next().unwrap(), "password": PASSWORD });
            app.anonymous().post("/auth/signup", &body).await
        }).await;
        app.sign_up("bob@example.com", PASSWORD).await;
    }

    async fn sign_ins_per_client(engine: Engine) {
        let app = app(engine, |config| config.limits.login_per_address = RATE).await;
        let mut email = counter();
        assert_three(&app, 401, async || login(&app.anonymous(), &email()).await).await;
    }

    async fn sign_ins_per_account_hold_for_the_right_password_too(engine: Engine) {
        let app = app(engine, |config| config.limits.login_per_account = RATE).await;
        app.verified("ada@example.com", PASSWORD).await;
        let mut spellings = ["ada@example.com", "ADA@example.com"].into_iter().cycle();
        assert_three(&app, 200, async || login(&app.anonymous(), spellings.next().unwrap()).await).await;
        // Others are not kept waiting, and an address without an account is refused alike.
        assert_three(&app, 401, async || login(&app.anonymous(), "nobody@example.com").await).await;
    }

    async fn refreshes_per_session(engine: Engine) {
        let app = app(engine, |config| config.limits.refresh_per_session = RATE).await;
        let mut ada = app.user("ada@example.com").await;
        let mut elsewhere = app.login("ada@example.com", PASSWORD).await;
        for _ in 0..3 {
            ada.refresh().await;
        }
        let wait = app.try_refresh(&ada.refresh_token).await.assert_error(429, "rate_limited").retry_after();
        assert_eq!(wait, 20);
        elsewhere.refresh().await;
        app.clock.advance_seconds(wait - 1);
        app.try_refresh(&ada.refresh_token).await.assert_error(429, "rate_limited");
        app.clock.advance_seconds(1);
        ada.refresh().await;
        app.try_refresh(&ada.refresh_token).await.assert_error(429, "rate_limited");
    }

    async fn other_mails_per_client(engine: Engine) {
        let app = app(engine, |config| config.limits.resend_per_address = RATE).await;
        let mut email = counter();
        assert_three(&app, 200, async || {
            app.anonymous().post("/auth/resend-verification", &json!({ "email": email() })).await
        }).await;
    }

    async fn confirmations_per_client(engine: Engine) {
        let app = app(engine, |config| config.limits.verify_per_address = RATE).await;
        assert_three(&app, 400, async || app.verify("nonsense").await).await;
        // The page counts with the operation.
        app.anonymous().submit("/verify-email", "token=nonsense").await.assert_status(429);
    }

    async fn questions_about_the_status_per_client(engine: Engine) {
        let app = app(engine, |config| config.limits.status_per_address = RATE).await;
        let mut email = counter();
        assert_three(&app, 200, async || {
            app.anonymous().get(&format!("/auth/verification-status?email={}", email())).await
        }).await;
    }

    async fn password_changes_per_account(engine: Engine) {
        let app = app(engine, |config| config.limits.password_per_account = RATE).await;
        let ada = app.user("ada@example.com").await;
        let elsewhere = app.login("ada@example.com", PASSWORD).await;
        let mut sessions = [&ada, &elsewhere].into_iter().cycle();
        assert_three(&app, 403, async || {
            sessions.next().unwrap().change_password("not this one", "eight dark green kettles").await
        }).await;
        app.user("bob@example.com").await.change_password(PASSWORD, "eight dark green kettles").await.assert_status(200);
    }

    async fn what_was_used_comes_back_over_time_and_no_more_than_that(engine: Engine) {
        let app = app(engine, |config| config.limits.verify_per_address = RATE).await;
        app.clock.advance_seconds(3600);
        for _ in 0..3 {
            app.verify("nonsense").await.assert_status(400);
        }
        app.verify("nonsense").await.assert_status(429);
        app.clock.advance_seconds(3600);
        for _ in 0..3 {
            app.verify("nonsense").await.assert_status(400);
        }
        app.verify("nonsense").await.assert_status(429);
    }

    async fn limits_survive_a_restart(engine: Engine) {
        let limited = |config: &mut Config| {
            config.limits.enabled = true;
            config.limits.login_per_account = RATE;
        };
        let app = App::start(engine, limited).await;
        for _ in 0..3 {
            login(&app.anonymous(), "ada@example.com").await.assert_status(401);
        }
        let app = app.restart(limited).await;
        login(&app.anonymous(), "ada@example.com").await.assert_error(429, "rate_limited");
    }

    async fn a_node_whose_clock_was_ahead_leaves_ordinary_waits_behind(engine: Engine) {
        let limited = |config: &mut Config| {
            config.limits.enabled = true;
            config.limits.login_per_account = RATE;
            config.limits.refresh_per_session = RATE;
            config.limits.resend_per_address = RATE;
        };
        let app = App::start(engine, limited).await;
        for (hours, email) in [(2, "ada@example.com"), (365 * 24, "bob@example.com")] {
            app.verified(email, PASSWORD).await;
            let ahead = app.sibling_with(app.clock.off_by(hours * 3600), limited).await;
            let mut user = ahead.login(email, PASSWORD).await;
            user.refresh().await;
            resend(&ahead.anonymous(), email).await.assert_status(200);
            ahead.stop().await;

            let refreshed = app.try_refresh(&user.refresh_token).await.assert_status(200);
            user.take(&refreshed);
            assert_eq!(waited(&app, async || app.try_refresh(&user.refresh_token).await).await, 20);
            assert_eq!(waited(&app, async || login(&app.anonymous(), email).await).await, 20);
            // As long for the client, and then a minute for the address.
            assert_eq!(waited(&app, async || resend(&app.anonymous(), email).await).await, 80);
        }
    }

    async fn clocks_that_differ_a_little_lift_no_limit(engine: Engine) {
        let limited = |config: &mut Config| {
            config.limits.enabled = true;
            config.limits.login_per_account = RATE;
            config.limits.refresh_per_session = RATE;
        };
        let app = App::start(engine, limited).await;
        app.verified("ada@example.com", PASSWORD).await;
        let ahead = app.sibling_with(app.clock.off_by(30), limited).await;
        let mut ada = ahead.login("ada@example.com", PASSWORD).await;
        for _ in 0..2 {
            login(&ahead.anonymous(), "ada@example.com").await.assert_status(200);
        }
        for _ in 0..3 {
            ada.refresh().await;
        }
        for node in [&app, &ahead, &app, &ahead] {
            login(&node.anonymous(), "ada@example.com").await.assert_error(429, "rate_limited");
            node.try_refresh(&ada.refresh_token).await.assert_error(429, "rate_limited");
        }
    }

    async fn parallel_attempts_do_not_slip_through(engine: Engine) {
        let app = app(engine, |config| config.limits.login_per_account = RATE).await;
        let client = app.anonymous();
        let attempts = (0..12).map(|_| login(&client, "ada@example.com"));
        let answers = futures_util::future::join_all(attempts).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 3);
        assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 9);
    }

    async fn a_client_is_who_a_trusted_proxy_says(engine: Engine) {
        let app = app(engine, |config| {
            config.limits.verify_per_address = Rate { count: 1, seconds: 60 };
            config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
        let attempt = async |forwarded: &str| {
            let client = app.anonymous().with("x-forwarded-for", forwarded);
            client.post("/auth/verify-email", &json!({ "token": "nonsense" })).await.status
        };
        assert_eq!(attempt("203.0.113.7").await, 400);
        assert_eq!(attempt("203.0.113.7").await, 429);
        assert_eq!(attempt("203.0.113.8").await, 400);
        // What a client claims in front of the proxy's own word does not count.
        assert_eq!(attempt("198.51.100.1, 203.0.113.7").await, 429);
        // A household has a /64.
        assert_eq!(attempt("2001:db8:1:2::1").await, 400);
        assert_eq!(attempt("2001:db8:1:2:ffff:ffff:ffff:ffff").await, 429);
        assert_eq!(attempt("2001:db8:1:3::1").await, 400);
        // The same client over a mapped address.
        assert_eq!(attempt("::ffff:203.0.113.7").await, 429);
    }

    async fn a_client_can_not_choose_who_it_is(engine: Engine) {
        let app = app(engine, |config| config.limits.verify_per_address = Rate { count: 1, seconds: 60 }).await;
        for (forwarded, status) in [("203.0.113.7", 400), ("203.0.113.8", 429), ("2001:db8::1", 429)] {
            let client = app.anonymous().with("x-forwarded-for", forwarded).with("x-real-ip", forwarded)
                .with("forwarded", &format!("for={forwarded}"));
            client.post("/auth/verify-email", &json!({ "token": "nonsense" })).await.assert_status(status);
        }
    }
}

#[tokio::test]
async fn nodes_count_together() {
    let limited = |config: &mut Config| {
        config.limits.enabled = true;
        config.limits.login_per_account = RATE;
        config.limits.refresh_per_session = RATE;
    };
    let one = App::start(Engine::Postgres, limited).await;
    let other = one.sibling(limited).await;
    let mut ada = one.user("ada@example.com").await;
    login(&other.anonymous(), "ada@example.com").await.assert_status(200);
    login(&one.anonymous(), "ada@example.com").await.assert_status(200);
    login(&other.anonymous(), "ada@example.com").await.assert_error(429, "rate_limited");
    login(&one.anonymous(), "ada@example.com").await.assert_error(429, "rate_limited");
    for _ in 0..3 {
        ada.refresh().await;
    }
    other.try_refresh(&ada.refresh_token).await.assert_error(429, "rate_limited");
}
