//! Breached passwords, as an outside service knows them.

use crate::support::process::{Process, Site, credentials};
use crate::support::ranges::{Answer, RangeServer, digits};
use crate::support::{App, Engine, PASSWORD, PATIENCE};

const BREACHED: &str = "nobody guesses this one";
const REASON: &str = "has appeared in a data breach";

async fn asking(engine: Engine, service: &RangeServer) -> App {
    let url = service.url.parse().unwrap();
    App::start(engine, |config| {
        config.passwords.breach_url = Some(url);
        // However busy the machine is.
        config.passwords.breach_timeout_ms = 10_000;
    })
    .await
}

/// A server process that tells its metrics and all that it can log.
async fn process(site: Site, url: &str) -> (Site, Process) {
    let site = site.with("PASSWORDS__BREACH_URL", url).with("LOG__LEVEL", "trace");
    let server = site.start().await;
    (site, server)
}

async fn sign_up(server: &Process, email: &str) {
    server.anonymous().post("/auth/signup", &credentials(email, BREACHED)).await.assert_status(200);
}

async fn checks(server: &Process, outcome: &str) -> f64 {
    server.metric(&format!("latchkey_breach_checks_total{{outcome=\"{outcome}\"}}")).await
}

on_both_engines! {
    async fn a_breached_password_is_refused_wherever_one_is_set(engine: Engine) {
        let service = RangeServer::start().await;
        let app = asking(engine, &service).await;
        let ada = app.user("ada@example.com").await;
        service.list(BREACHED, 7);
        for email in ["ada@example.com", "new@example.com"] {
            let answer = app.anonymous().post("/auth/signup", &credentials(email, BREACHED)).await;
            let detail = answer.assert_violation("value_error", &["body", "password"]).json()["detail"][0].clone();
            assert!(detail["msg"].as_str().unwrap().contains(REASON) && detail["input"].is_null(), "{detail}");
        }
        let change = ada.change_password(PASSWORD, BREACHED).await;
        let change = change.assert_violation("value_error", &["body", "new_password"]);
        assert!(change.text().contains(REASON));
        let token = app.reset_token("ada@example.com").await;
        let reset = app.reset(&token, BREACHED).await.assert_violation("value_error", &["body", "new_password"]);
        assert!(reset.text().contains(REASON));
        app.login("ada@example.com", PASSWORD).await;
        // Others are admitted, and so is this one while the list has it as padding only.
        ada.change_password(PASSWORD, "eight dark green kettles").await.assert_status(200);
        service.list(BREACHED, 0);
        app.sign_up("new@example.com", BREACHED).await;
    }

    async fn five_digits_are_all_that_the_service_learns(engine: Engine) {
        let service = RangeServer::start().await;
        let app = asking(engine, &service).await;
        let (prefix, rest) = digits(BREACHED);
        app.verified("ada@example.com", BREACHED).await;
        let ada = app.login("ada@example.com", BREACHED).await;
        // Also about an address that has an account; never before the rules inside have admitted the password.
        app.sign_up("ada@example.com", BREACHED).await;
        ada.change_password(BREACHED, "password1").await.assert_status(422);
        ada.change_password(BREACHED, BREACHED).await.assert_status(200);
        let requests = service.requests();
        assert_eq!(requests.len(), 3, "{requests:#?}");
        for request in requests {
            let lines: Vec<&str> = request.trim_end().split("\r\n").collect();
            assert_eq!(lines[0], format!("GET /range/{prefix} HTTP/1.1"));
            let mut names: Vec<String> =
                lines[1..].iter().map(|line| line.split(':').next().unwrap().to_lowercase()).collect();
            names.sort();
            assert_eq!(names, ["accept", "add-padding", "host", "user-agent"], "{request}");
            assert!(lines.iter().any(|line| line.eq_ignore_ascii_case("add-padding: true")), "{request}");
            let lower = request.to_lowercase();
            for secret in [&rest.to_lowercase(), &rest[..8].to_lowercase(), BREACHED, "ada", "example.com"] {
                assert!(!lower.contains(secret), "{secret}: {request}");
            }
        }
    }

    async fn a_service_that_fails_keeps_nobody_out(site: Site) {
        let service = RangeServer::start().await;
        let (site, server) = process(site.with("PASSWORDS__BREACH_TIMEOUT_MS", "10000"), &format!("{}/", service.url)).await;
        sign_up(&server, "listed0@example.com").await;
        assert_eq!(checks(&server, "not_listed").await, 1.0);
        service.requests();

        let (_, rest) = digits(BREACHED);
        let ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
        let elsewhere = RangeServer::start().await;
        elsewhere.list(BREACHED, 7);
        for (number, (outcome, answer)) in [
            ("status", Answer::Raw("HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into())),
            ("status", Answer::Raw(format!("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n{rest}:7"))),
            ("status", Answer::Raw(format!("HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {}/00000\r\nContent-Length: 0\r\n\r\n", elsewhere.url))),
            ("too_large", Answer::Endless),
            ("too_large", Answer::Raw(format!("{ok}\r\n{rest}:7\r\n{}", "0".repeat(10 << 20)))),
            ("malformed", Answer::Raw(format!("{ok}Content-Length: 35\r\n\r\n<html>Sign in to the network</html>"))),
            ("malformed", Answer::Raw(format!("{ok}Content-Length: 0\r\n\r\n"))),
            ("unreachable", Answer::Raw("nonsense\r\n\r\n".into())),
            ("unreachable", Answer::Raw(format!("{ok}Content-Length: 100\r\n\r\n{rest}:7"))),
        ].into_iter().enumerate() {
            let before = checks(&server, outcome).await;
            service.answer(answer.clone());
            sign_up(&server, &format!("guest{number}@example.com")).await;
            assert_eq!(checks(&server, outcome).await, before + 1.0, "{outcome}: {number}");
            assert_eq!(service.requests().len(), 1, "{outcome}: {number}");
        }
        assert!(elsewhere.requests().is_empty(), "a redirect was followed");
        drop(service);
        sign_up(&server, "down@example.com").await;
        assert_eq!(checks(&server, "listed").await, 0.0);
        assert!(checks(&server, "unreachable").await >= 3.0);

        let log = server.log();
        let (prefix, rest) = digits(BREACHED);
        assert!(log.contains("a password was admitted without a look at the breached ones"), "{log}");
        for secret in [BREACHED, &prefix, &rest, &prefix.to_lowercase(), &rest.to_lowercase()] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
        let dump = site.database.dump().await;
        assert!(!dump.to_uppercase().contains(&rest), "in the database");
    }

    async fn a_silent_service_is_waited_for_as_long_as_configured(site: Site) {
        let service = RangeServer::start().await;
        let (_site, server) = process(site.with("PASSWORDS__BREACH_TIMEOUT_MS", "100"), &service.url).await;
        let begun = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0";
        for (number, said) in ["", begun].into_iter().enumerate() {
            service.answer(Answer::Stall(said));
            let waiting = sign_up(&server, "ada@example.com");
            tokio::time::timeout(PATIENCE, waiting).await.expect("an answer");
            assert_eq!(checks(&server, "timeout").await, 1.0 + number as f64);
        }
    }
}
