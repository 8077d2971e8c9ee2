//! Access tokens: what is accepted, and the many things that are not.

mod claims;
mod forge;
mod signatures;

use hyper::header::HeaderValue;
use latchkey::clock::Clock;
use serde_json::json;

use crate::support::App;
use forge::{assert_refused, but, header, sign, stolen_key};

on_both_engines! {
    async fn a_token_says_what_the_profile_for_access_tokens_asks(app: App) {
        let ada = app.user("ada@example.com").await;
        let (header, claims, now) = (header(&ada), ada.claims(), app.clock.now().seconds());
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("http://id.example.com"), &json!("http://id.example.com")));
        assert_eq!(claims["sub"], json!(ada.id));
        assert_eq!((&claims["iat"], &claims["nbf"], &claims["exp"]), (&json!(now), &json!(now), &json!(now + 900)));
        assert_eq!((&claims["aal"], &claims["ial"], &claims["amr"]), (&json!(1), &json!(0), &json!(["pwd"])));
        assert_eq!(claims["auth_time"], now);
        for name in ["jti", "sid", "scope"] {
            assert!(!claims[name].as_str().unwrap().is_empty(), "{name}");
        }
        assert!(!format!("{claims}").contains("example.com\",\"email"), "{claims}");
    }

    async fn a_token_may_not_be_longer_than_4096_bytes(app: App) {
        let ada = app.user("ada@example.com").await;
        let (head, claims, key) = (header(&ada), ada.claims(), stolen_key(&app).await);
        let padded = |length: usize| sign(&key, &head, &but(&claims, "padding", json!("x".repeat(length))));
        let fits = padded(2000);
        assert!(fits.len() < 4096, "{}", fits.len());
        app.anonymous().bearer(&fits).get("/auth/profile").await.assert_status(200);
        let long = padded(3000);
        assert!(long.len() > 4096, "{}", long.len());
        assert_refused(&app, "too long", &long).await;
    }

    async fn only_one_bearer_header_is_credentials(app: App) {
        let ada = app.user("ada@example.com").await;
        let token = &ada.access_token;
        for scheme in ["bearer", "BEARER", "Bearer"] {
            let client = app.anonymous().with("authorization", &format!("{scheme} {token}"));
            client.get("/auth/profile").await.assert_status(200);
        }
        for garbage in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            token.clone(),
            format!("Bearer  {token}"),
            format!("Bearer {token} {token}"),
            format!("Bearer {token},"),
            format!("Bearer \"{token}\""),
            format!("Bearer\t{token}"),
            format!("Basic {token}"),
            format!("Token {token}"),
            "Basic YWRhOnBhc3N3b3Jk".into(),
            "Bearer null".into(),
            "Bearer ..".into(),
            "Bearer e30.e30.e30".into(),
            format!("Bearer {}", "a".repeat(8000)),
            format!("Bearer {}.{}.{}", "A".repeat(2000), "B".repeat(1000), "C".repeat(86)),
        ] {
            let answer = app.anonymous().with("authorization", &garbage).get("/auth/profile").await;
            answer.assert_error(401, "invalid_token");
        }
        let client = app.anonymous();
        for bytes in [b"Bearer \xff\xfe".as_slice(), b"\xc3\xa9", b"Bearer \xc3\xa9.\xc3\xa9.\xc3\xa9"] {
            let request = client.request("GET", "/auth/profile");
            let request = request.header("authorization", HeaderValue::from_bytes(bytes).unwrap());
            let answer = client.send(request, http_body_util::Empty::<hyper::body::Bytes>::new()).await;
            answer.assert_error(401, "invalid_token");
        }
        // Of two headers a proxy may have checked the other one.
        for second in [format!("Bearer {token}"), "Basic YWRhOnBhc3N3b3Jk".into()] {
            ada.with("authorization", &second).get("/auth/profile").await.assert_error(401, "invalid_token");
        }
    }

    async fn a_token_anywhere_else_is_not_looked_at(app: App) {
        let ada = app.user("ada@example.com").await;
        for path in [format!("/auth/profile?access_token={}", ada.access_token), format!("/auth/profile?token={}", ada.access_token)] {
            app.anonymous().get(&path).await.assert_error(401, "unauthenticated");
        }
        let cookie = app.anonymous().with("cookie", &format!("access_token={}", ada.access_token));
        cookie.get("/auth/profile").await.assert_error(401, "unauthenticated");
        app.anonymous().bearer(&ada.refresh_token).get("/auth/profile").await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.access_token).await.assert_error(401, "invalid_refresh_token");
    }
}
