//! What holds for every request and every answer: bodies, methods, headers.

use std::convert::Infallible;

use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{App, Engine, PASSWORD};

const JSON: Option<&str> = Some("application/json");

/// A body of unknown length, so many bytes.
fn chunked(bytes: &[u8]) -> impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static {
    let chunks: Vec<_> = bytes.chunks(4096).map(Bytes::copy_from_slice).map(Frame::data).map(Ok).collect();
    StreamBody::new(stream::iter(chunks))
}

on_both_engines! {
    async fn a_body_has_at_most_64_kib(app: App) {
        let padded = |length: usize| {
            let body = json!({ "email": "nobody@example.com", "password": PASSWORD, "padding": "" }).to_string();
            body.replace("\"padding\":\"\"", &format!("\"padding\":\"{}\"", "x".repeat(length - body.len())))
        };
        let client = app.anonymous();
        for (length, status) in [(65_536, 401), (65_537, 413)] {
            let body = padded(length);
            assert_eq!(body.len(), length);
            client.send_text("POST", "/auth/login", JSON, body.clone()).await.assert_status(status);
            let request = client.request("POST", "/auth/login").header("content-type", "application/json");
            client.send(request, chunked(body.as_bytes())).await.assert_status(status);
        }
        // Refused by what it says, before it is read.
        let request = client.request("POST", "/auth/login").header("content-type", "application/json");
        let never = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let answer = client.send(request.header("content-length", "1000000000"), StreamBody::new(never)).await;
        answer.assert_error(413, "payload_too_large");
    }

    async fn a_form_has_at_most_64_kib_too(app: App) {
        let client = app.anonymous();
        let form = format!("token={}", "x".repeat(70_000));
        client.submit("/verify-email", &form).await.assert_error(413, "payload_too_large");
        let request = client.request("POST", "/verify-email").header("content-type", "application/x-www-form-urlencoded");
        client.send(request, chunked(form.as_bytes())).await.assert_error(413, "payload_too_large");
    }

    async fn a_body_is_json(app: App) {
        let body = json!({ "email": "nobody@example.com", "password": PASSWORD }).to_string();
        for good in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"] {
            app.anonymous().send_text("POST", "/auth/login", Some(good), body.clone()).await.assert_status(401);
        }
        for bad in [Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("text/json"), Some("application/xml"), Some("nonsense")] {
            let answer = app.anonymous().send_text("POST", "/auth/login", bad, body.clone()).await;
            answer.assert_error(415, "unsupported_media_type");
        }
        for trailing in ["x", "{}", "]", ",", "\u{0}"] {
            let answer = app.anonymous().send_text("POST", "/auth/login", JSON, format!("{body}{trailing}")).await;
            answer.assert_status(422);
        }
        app.anonymous().send_text("POST", "/auth/login", JSON, format!(" {body}\n")).await.assert_status(401);
    }

    async fn deep_and_strange_json_is_refused_in_words(app: App) {
        for body in [
            "[".repeat(30_000),
            "{\"a\":".repeat(10_000),
            format!("{{\"email\":{}1{}}}", "[".repeat(5000), "]".repeat(5000)),
            "{\"email\":\"a@example.com\",\"password\":1e999999}".to_owned(),
            "{\"email\":\"\\ud800\",\"password\":\"x\"}".to_owned(),
            "\u{feff}{}".to_owned(),
        ] {
            let answer = app.anonymous().send_text("POST", "/auth/login", JSON, body).await;
            answer.assert_status(422);
        }
        let answer = app.anonymous().send_text("POST", "/auth/login", JSON, b"{\"email\":\"\xff\"}".to_vec()).await;
        answer.assert_status(422);
        app.anonymous().get("/livez").await.assert_status(200);
    }

    async fn a_member_given_twice_counts_once_and_a_nul_harms_nobody(app: App) {
        app.verified("ada@example.com", PASSWORD).await;
        let body = format!("{{\"email\":\"nobody@example.com\",\"email\":\"ada@example.com\",\"password\":\"{PASSWORD}\"}}");
        app.anonymous().send_text("POST", "/auth/login", JSON, body).await.assert_status(200);
        let ada = app.login("ada@example.com", PASSWORD).await;
        let answer = ada.patch("/auth/profile", &json!({ "full_name": "Ada\u{0}Lovelace" })).await;
        assert!([200, 422].contains(&answer.status), "{answer:?}");
        app.try_login("ada@example.com", "nul \u{0} nul").await.assert_error(401, "invalid_credentials");
    }

    async fn a_path_takes_its_methods_and_no_other(app: App) {
        for (method, path, allow) in [
            ("GET", "/auth/signup", "POST"),
            ("DELETE", "/auth/profile", "GET, PATCH"),
            ("PUT", "/auth/password", "POST"),
            ("POST", "/auth/verification-status", "GET"),
            ("POST", "/.well-known/jwks.json", "GET"),
            ("DELETE", "/verify-email", "GET, POST"),
            ("POST", "/openapi.yaml", "GET"),
            ("OPTIONS", "/auth/login", "POST"),
            ("TRACE", "/auth/login", "POST"),
            ("PROPFIND", "/auth/login", "POST"),
        ] {
            let answer = app.anonymous().send_text(method, path, None, "").await;
            let answer = answer.assert_error(405, "method_not_allowed");
            let given: Vec<&str> = answer.header("allow").unwrap().split(", ").filter(|it| *it != "HEAD").collect();
            assert_eq!(given.join(", "), allow, "{method} {path}");
        }
    }

    async fn head_is_get_without_a_body(app: App) {
        for path in ["/livez", "/.well-known/jwks.json", "/openapi.yaml"] {
            let (get, head) = (app.anonymous().get(path).await, app.anonymous().send_text("HEAD", path, None, "").await);
            assert!([200, 405].contains(&head.status), "{path}: {head:?}");
            assert!(head.body.is_empty(), "{path}");
            if head.status == 200 {
                assert_eq!(head.header("content-type"), get.header("content-type"));
            }
        }
    }

    async fn what_is_not_there_is_a_problem(app: App) {
        for path in ["/nothing", "/auth", "/auth/", "/auth/login/", "/auth//login", "/AUTH/LOGIN", "/auth/profile/1", "/%00", "/..%2f..%2fetc/passwd"] {
            app.anonymous().get(path).await.assert_error(404, "not_found");
        }
    }

    async fn every_answer_has_the_headers_that_keep_browsers_safe(app: App) {
        let ada = app.user("ada@example.com").await;
        for path in ["/auth/profile", "/auth/nothing", "/auth/login", "/livez", "/verify-email?token=x", "/docs/", "/openapi.json"] {
            let answer = ada.get(path).await;
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path} {policy}");
            assert!(answer.header("strict-transport-security").is_none(), "{path} is not served over TLS");
            assert!(answer.header("server").is_none() && answer.header("x-powered-by").is_none(), "{path}");
        }
        let page = app.anonymous().get("/verify-email?token=x").await;
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("form-action 'self'") && policy.contains("style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(ada.profile().await.header("cache-control"), Some("no-store"));
    }

    async fn over_tls_browsers_are_told_to_stay_there(engine: Engine) {
        let app = App::start(engine, |config| config.public_url = Some("https://id.example.com".parse().unwrap())).await;
        for path in ["/livez", "/nothing", "/verify-email?token=x"] {
            let told = app.anonymous().get(path).await.header("strict-transport-security").unwrap().to_owned();
            assert!(told.starts_with("max-age=") && told.contains("includeSubDomains"), "{told}");
        }
    }

    async fn a_request_id_comes_back_unless_it_could_do_harm(app: App) {
        let given = app.anonymous().with("x-request-id", "client-01938f6e_2b7a.7").get("/auth/profile").await;
        assert_eq!(given.header("x-request-id"), Some("client-01938f6e_2b7a.7"));
        assert_eq!(given.json()["request_id"], "client-01938f6e_2b7a.7");
        let mut made = vec![];
        for bad in ["", "a b", "a\"b", "<script>", "a=b", "a\tb", &"x".repeat(65)] {
            let answer = app.anonymous().with("x-request-id", bad).get("/auth/profile").await;
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert!(uuid::Uuid::parse_str(&id).is_ok(), "{bad} became {id}");
            assert_eq!(answer.json()["request_id"], id);
            made.push(id);
        }
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 7, "each its own");
    }

    async fn browsers_may_call_from_configured_origins_only(engine: Engine) {
        let app = App::start(engine, |config| config.cors_origins = vec!["https://app.example.com".into()]).await;
        let from = |origin: &str| app.anonymous().with("origin", origin);
        let ours = from("https://app.example.com");
        for path in ["/livez", "/auth/profile", "/nothing"] {
            let answer = ours.get(path).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"), "{path}");
            assert!(answer.header("access-control-expose-headers").unwrap().contains("x-request-id"), "{path}");
            assert_eq!(answer.header("vary"), Some("Origin"), "{path}");
            assert!(answer.header("access-control-allow-credentials").is_none());
        }
        let asks = |client: crate::support::Client| {
            client.with("access-control-request-method", "PATCH").with("access-control-request-headers", "authorization")
        };
        let allowed = asks(ours).send_text("OPTIONS", "/auth/profile", None, "").await.assert_status(204);
        assert!(allowed.header("access-control-allow-methods").unwrap().contains("PATCH"));
        assert!(allowed.header("access-control-allow-headers").unwrap().contains("authorization"));
        assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example.com"));
        assert_eq!(allowed.header("vary"), Some("Origin"));

        for other in ["https://evil.example.com", "https://app.example.com.evil.example", "http://app.example.com", "null", "https://APP.example.com", "https://app.example.com:8443"] {
            let answer = from(other).get("/livez").await.assert_status(200);
            assert!(answer.header("access-control-allow-origin").is_none(), "{other}");
            assert_eq!(answer.header("vary"), Some("Origin"));
            let refused = asks(from(other)).send_text("OPTIONS", "/auth/profile", None, "").await;
            assert_eq!(refused.status, 405, "{other}");
            assert!(refused.header("access-control-allow-origin").is_none(), "{other}");
            assert!(refused.header("access-control-allow-methods").is_none(), "{other}");
        }
        assert!(app.anonymous().get("/livez").await.header("access-control-allow-origin").is_none());
    }

    async fn without_configured_origins_no_browser_may_call(app: App) {
        let answer = app.anonymous().with("origin", "http://id.example.com").get("/livez").await.assert_status(200);
        assert!(!format!("{:?}", answer.headers).contains("access-control"), "{:?}", answer.headers);
    }

    async fn the_audit_trail_knows_the_client_behind_a_trusted_proxy_only(engine: Engine) {
        let ip = async |trusted: &[&str]| {
            let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
            let app = App::start(engine, |config| config.trusted_proxies = trusted).await;
            let client = app.anonymous().with("x-forwarded-for", "6.6.6.6, 2001:db8::7");
            client.post("/auth/signup", &json!({ "email": "ada@example.com", "password": PASSWORD })).await.assert_status(200);
            App::only_event(app.audit().await, "account.created").ip.unwrap()
        };
        assert_eq!(ip(&["127.0.0.1/32"]).await, "2001:db8::7");
        assert_eq!(ip(&[]).await, "127.0.0.1");
        assert_eq!(ip(&["10.0.0.0/8"]).await, "127.0.0.1");
    }

    async fn bytes_that_are_no_request_are_answered_or_cut(app: App) {
        for (bytes, status) in [
            ("GET /livez HTTP/1.1\r\nhost: x\r\nx: \u{1}\r\n\r\n", "400"),
            ("GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
            ("POST /auth/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nnonsense\r\n", "400"),
            ("nonsense\r\n\r\n", "400"),
        ] {
            let mut socket = TcpStream::connect(app.address).await.unwrap();
            socket.write_all(bytes.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            let mut answer = String::new();
            let _ = socket.read_to_string(&mut answer).await;
            assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{bytes:?}: {answer}");
        }
        app.anonymous().get("/livez").await.assert_status(200);
    }
}
