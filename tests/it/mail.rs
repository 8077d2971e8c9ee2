//! Mail through a real SMTP server, on its good and its bad days: nothing is lost, and no request waits for it.

use std::collections::HashSet;
use std::time::Duration;

use entities::outbox_message::{self, State};
use latchkey::secret::Secret;
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::support::process::{Site, credentials};
use crate::support::smtp::SmtpServer;
use crate::support::{App, Engine, PASSWORD, eventually};

async fn app(engine: Engine, mail_url: &str) -> App {
    App::start(engine, |config| {
        config.mail_url = Some(Secret::new(mail_url.to_owned()));
        config.mail_from = "Example <no-reply@example.com>".into();
    })
    .await
}

pub async fn outbox(app: &App) -> Vec<outbox_message::Model> {
    outbox_message::Entity::find().all(app.connection().await).await.unwrap()
}

/// Waits until every message was tried this often and says why it was not taken.
async fn tried(app: &App, attempts: i32) -> Vec<outbox_message::Model> {
    eventually("an attempt", async || {
        // Does not wait for the worker's own rhythm.
        app.services.outbox.wake();
        let messages = outbox(app).await;
        let done = |message: &outbox_message::Model| {
            // A claim is longer than the wait between attempts.
            let stored = message.due_at.since(app.clock.sources().now()) < Duration::from_secs(100);
            message.attempts == attempts && message.last_error.is_some() && stored
        };
        messages.iter().all(done).then_some(messages)
    })
    .await
}

async fn settled(app: &App, state: State) -> Vec<outbox_message::Model> {
    eventually("an end", async || {
        let messages = outbox(app).await;
        messages.iter().all(|message| message.state == state).then_some(messages)
    })
    .await
}

on_both_engines! {
    async fn a_mail_arrives_with_both_parts_and_its_link_works(engine: Engine) {
        let smtp = SmtpServer::start(&[]).await;
        let app = app(engine, &smtp.url()).await;
        app.sign_up("ada@example.com", PASSWORD).await;

        let letter = smtp.received(1).await.remove(0);
        assert_eq!(letter.to, "ada@example.com");
        assert_eq!(letter.mail.template, "verify_email");
        let row = settled(&app, State::Sent).await.remove(0);
        assert_eq!(letter.message_id, format!("<{}@example.com>", row.id));
        assert_eq!((row.attempts, row.sealed), (1, None), "what is sent is forgotten");
        let token = letter.mail.token();
        assert!(letter.mail.text.contains(&letter.mail.link()));
        assert!(letter.mail.html.contains(&token));
        app.verify(&token).await.assert_status(200);
        app.login("ada@example.com", PASSWORD).await;
    }

    async fn a_mail_server_that_is_down_delays_nobody_and_costs_no_mail(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        let app = app(engine, &smtp.url()).await;
        smtp.mode("refuse").await;
        let emails: Vec<String> = (0..5).map(|number| format!("ada{number}@example.com")).collect();
        for email in &emails {
            app.sign_up(email, PASSWORD).await;
        }
        for message in tried(&app, 1).await {
            assert_eq!(message.state, State::Pending);
        }

        smtp.mode("accept").await;
        app.clock.advance_seconds(5);
        app.services.outbox.wake();
        settled(&app, State::Sent).await;
        let letters = smtp.letters();
        let receivers: HashSet<&String> = letters.iter().map(|letter| &letter.to).collect();
        assert_eq!(receivers, emails.iter().collect());
        assert_eq!(letters.len(), 5, "none is there twice");
    }

    /// The answers come while the mail server holds on to the first mail for longer than any test may take.
    async fn a_slow_mail_server_delays_nobody(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        let app = app(engine, &smtp.url()).await;
        smtp.slow(600).await;
        app.sign_up("ada@example.com", PASSWORD).await;
        eventually("the first mail under way", async || (outbox(&app).await[0].attempts == 1).then_some(())).await;
        app.sign_up("grace@example.com", PASSWORD).await;
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "email_not_verified");
        assert!(smtp.letters().is_empty());
    }

    async fn a_mail_refused_for_now_is_tried_again_less_and_less_often(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        let app = app(engine, &smtp.url()).await;
        smtp.mode("temp-fail").await;
        app.sign_up("ada@example.com", PASSWORD).await;
        for (attempt, wait) in [(1, 5), (2, 10), (3, 20), (4, 40)] {
            let message = tried(&app, attempt).await.remove(0);
            assert_eq!(message.state, State::Pending);
            assert!(message.last_error.unwrap().contains("try again later"));
            assert_eq!(message.due_at.since(app.clock.sources().now()), Duration::from_secs(wait));
            app.clock.advance_seconds(wait);
        }
        smtp.mode("accept").await;
        // The fifth attempt may have been before that.
        app.clock.advance_seconds(80);
        app.services.outbox.wake();
        let row = settled(&app, State::Sent).await.remove(0);
        assert_eq!(row.last_error, None);
        assert_eq!(smtp.letters().len(), 1);
    }

    /// A weekend of it: a mail is tried for two days, and one that a server takes within that time arrives.
    async fn a_mail_server_that_is_down_for_long_costs_the_mails_of_before_two_days(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        let app = app(engine, &smtp.url()).await;
        smtp.mode("refuse").await;
        app.sign_up("ada@example.com", PASSWORD).await;
        let began = app.clock.sources().now();
        let until = async |message: &str, attempts: i32| {
            eventually("an attempt", async || {
                app.services.outbox.wake();
                let found = outbox(&app).await.into_iter().find(|row| row.id.to_string() == message).unwrap();
                // Until then it is claimed.
                let wait = Duration::from_secs(3600.min(5 << (attempts - 1).min(20)));
                let stored = found.attempts == attempts && found.due_at == app.clock.sources().now() + wait;
                (found.state != State::Pending || stored).then_some(found)
            })
            .await
        };
        let first = outbox(&app).await.remove(0).id.to_string();
        for attempt in 1..56 {
            let row = until(&first, attempt).await;
            assert_eq!(row.state, State::Pending, "{attempt}");
            app.clock.advance(row.due_at.since(app.clock.sources().now()));
            if attempt == 30 {
                app.sign_up("grace@example.com", PASSWORD).await;
            }
        }
        let row = until(&first, 56).await;
        assert_eq!(row.state, State::Dead);
        let hours = app.clock.sources().now().since(began).as_secs() / 3600;
        assert!((40..=56).contains(&hours), "{hours}");

        smtp.mode("accept").await;
        app.clock.advance_seconds(3600);
        app.services.outbox.wake();
        let letters = smtp.received(1).await;
        assert_eq!(letters[0].to, "grace@example.com");
        // Ada asks for another.
        let ada = serde_json::json!({ "email": "ada@example.com" });
        app.anonymous().post("/auth/resend-verification", &ada).await.assert_status(200);
        app.services.outbox.wake();
        assert_eq!(smtp.received(2).await[1].to, "ada@example.com");
    }

    /// As a node has left it whose clock was a year ahead when it tried to send it.
    async fn a_mail_that_a_wrong_clock_has_put_off_is_sent(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        let app = app(engine, &smtp.url()).await;
        smtp.mode("refuse").await;
        app.sign_up("ada@example.com", PASSWORD).await;
        let tried = tried(&app, 1).await;
        app.services.reap().await.unwrap();
        assert_eq!(outbox(&app).await, tried, "a wait as it should be");
        smtp.mode("accept").await;
        let year = "UPDATE outbox_messages SET due_at = due_at + 31536000000";
        app.connection().await.execute_unprepared(year).await.unwrap();
        app.services.reap().await.unwrap();
        settled(&app, State::Sent).await;
    }

    async fn a_mail_refused_for_good_is_given_up_and_the_operator_told(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        smtp.mode("perm-fail").await;
        let site = Site::new(engine).await.with("MAIL_URL", &smtp.url());
        let server = site.start().await;
        server.anonymous().post("/auth/signup", &credentials("ada@example.com", PASSWORD)).await.assert_status(200);
        let rows = site.rows().await;
        let error = eventually("the end of the mail", async || {
            rows.column::<String>("SELECT last_error FROM outbox_messages WHERE state = 'dead'").await.pop()
        })
        .await;
        assert!(error.contains("no such mailbox"), "{error}");
        assert_eq!(server.metric("latchkey_mail_dead_total").await, 1.0);
        let doctor = site.run(&["doctor"]).await;
        assert_eq!(doctor.code, Some(1));
        assert!(doctor.stdout.contains("mails: 1 were given up"), "{}", doctor.stdout);
        assert!(server.log().contains("mail given up") && !server.log().contains("ada@example.com"));

        // The next one is none the worse for it.
        smtp.mode("accept").await;
        server.anonymous().post("/auth/signup", &credentials("grace@example.com", PASSWORD)).await.assert_status(200);
        assert_eq!(smtp.received(1).await[0].to, "grace@example.com");
    }

    async fn an_address_that_a_mail_server_repeats_stays_out_of_log_and_database(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        let site = Site::new(engine).await.with("MAIL_URL", &smtp.url());
        let server = site.start().await;
        let rows = site.rows().await;
        let refused = [
            ("perm-fail", "Grace.Hopper@example.com", "no such mailbox"),
            ("temp-fail", "Ada.Lovelace@example.com", "try again later"),
        ];
        for (mode, email, words) in refused {
            smtp.mode(mode).await;
            server.anonymous().post("/auth/signup", &credentials(email, PASSWORD)).await.assert_status(200);
            let sql = format!("SELECT last_error FROM outbox_messages WHERE last_error LIKE '%{words}%'");
            let error = eventually("a refusal", async || rows.column::<String>(&sql).await.pop()).await;
            assert!(error.contains("<(recipient)>"), "{error}");
            let log = server.log();
            assert!(log.contains(words), "{log}");
            let name = email.split('@').next().unwrap().to_lowercase();
            for text in [error, log] {
                assert!(!text.to_lowercase().contains(&name), "{text}");
            }
        }
    }

    async fn mail_goes_over_tls_with_a_password_and_waits_while_that_is_wrong(engine: Engine) {
        let smtp = SmtpServer::start(&["--tls", "starttls", "--auth", "latchkey:right-password"]).await;
        let url = |password: &str| {
            let ca = smtp.ca.as_ref().unwrap();
            format!("smtp://latchkey:{password}@127.0.0.1:{}?tls=required&ca={ca}", smtp.port)
        };
        let app = app(engine, &url("wrong-canary-password")).await;
        app.sign_up("ada@example.com", PASSWORD).await;
        let message = tried(&app, 1).await.remove(0);
        assert_eq!(message.state, State::Pending, "ours to mend, and no reason to lose a mail");
        assert!(!message.last_error.unwrap().contains("canary"));

        let app = app.restart(|config| config.mail_url = Some(Secret::new(url("right-password")))).await;
        app.clock.advance_seconds(5);
        app.services.outbox.wake();
        let letter = smtp.received(1).await.remove(0);
        assert!(letter.tls);
        assert_eq!(letter.user.as_deref(), Some("latchkey"));
    }

    /// Handed over, and dead before that could be noted: it is sent once more, and known by its Message-ID.
    async fn a_crash_between_sending_and_noting_it_sends_at_most_one_copy(engine: Engine) {
        let mut smtp = SmtpServer::start(&[]).await;
        // Long enough to get in between.
        smtp.slow(2).await;
        let site = Site::new(engine).await.with("MAIL_URL", &smtp.url());
        let server = site.start().await;
        server.anonymous().post("/auth/signup", &credentials("ada@example.com", PASSWORD)).await.assert_status(200);
        let rows = site.rows().await;
        eventually("the mail under way", async || (rows.count("outbox_messages WHERE attempts = 1").await == 1).then_some(()))
            .await;
        rows.execute(match engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN; SELECT * FROM outbox_messages FOR UPDATE",
        })
        .await;
        let first = smtp.received(1).await.remove(0);
        server.node.kill().await;
        if let Engine::Postgres = engine {
            // It would finish what the dead server had asked for.
            let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
            rows.execute(&format!("SELECT pg_terminate_backend(pid, 10000) {others}")).await;
        }
        rows.execute("ROLLBACK").await;
        assert_eq!(rows.count("outbox_messages WHERE state = 'pending'").await, 1);

        smtp.mode("accept").await;
        // As if the claim of the dead server had run out.
        rows.execute("UPDATE outbox_messages SET due_at = 0").await;
        let _server = site.start().await;
        rows.outbox_empty().await;
        let letters = smtp.letters();
        assert_eq!(letters.len(), 2);
        assert_eq!(letters[1].message_id, first.message_id);
        assert_eq!(letters[1].mail.raw, first.mail.raw);
    }

    /// Two servers share an outbox; each mail is sent by one of them.
    async fn two_servers_send_each_mail_once(engine: Engine) {
        let smtp = SmtpServer::start(&[]).await;
        let site = Site::new(engine).await.with("MAIL_URL", &smtp.url());
        let (one, two) = (site.start().await, site.start().await);
        let emails: Vec<String> = (0..40).map(|number| format!("ada{number}@example.com")).collect();
        futures_util::future::join_all(emails.iter().enumerate().map(|(number, email)| {
            let client = if number % 2 == 0 { one.anonymous() } else { two.anonymous() };
            async move { client.post("/auth/signup", &credentials(email, PASSWORD)).await.assert_status(200) }
        }))
        .await;
        site.rows().await.outbox_empty().await;
        let letters = smtp.letters();
        assert_eq!(letters.len(), 40);
        assert_eq!(letters.iter().map(|letter| &letter.to).collect::<HashSet<_>>().len(), 40);
    }
}
