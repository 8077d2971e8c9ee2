//! Header and claims under a good signature: they count, whoever signed.

use latchkey::clock::Clock;
use serde_json::{Value, json};

use super::forge::{assert_not_let_in, assert_refused, but, header, sign, sign_text, stolen_key};
use crate::support::{App, PASSWORD};

on_both_engines! {
    async fn every_claim_counts_whoever_signed(app: App) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let (head, claims, key) = (header(&ada), ada.claims(), stolen_key(&app).await);
        let now = app.clock.now().seconds();
        // The forgery itself is perfect: what follows is refused for what it says.
        app.anonymous().bearer(&sign(&key, &head, &claims)).get("/auth/profile").await.assert_status(200);

        for name in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "aal", "amr", "auth_time", "scope"] {
            assert_refused(&app, &format!("no {name}"), &sign(&key, &head, &but(&claims, name, Value::Null))).await;
        }
        for (name, value) in [
            ("iss", json!("https://evil.example.com")),
            ("iss", json!("http://id.example.com/")),
            ("iss", json!(["http://id.example.com"])),
            ("aud", json!("https://other.example.com")),
            ("iss", json!("HTTP://ID.EXAMPLE.COM")),
            ("iss", json!("")),
            ("aud", json!([])),
            ("aud", json!("")),
            ("aud", json!(["http://id.example.com", "https://other.example.com"])),
            ("aud", json!({ "http://id.example.com": true })),
            ("nbf", json!(now + 120)),
            ("iat", json!(now + 120)),
            ("sub", json!(bob.id)),
            ("sub", json!("ada@example.com")),
            ("sid", json!("01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4")),
            ("sid", bob.claims()["sid"].clone()),
            ("sid", json!("../../etc/passwd")),
        ] {
            let token = sign(&key, &head, &but(&claims, name, value.clone()));
            assert_not_let_in(&app, &format!("{name} {value}"), &token).await;
        }
        let text = claims.to_string();
        for name in ["exp", "nbf", "iat"] {
            let member = format!("\"{name}\":{}", claims[name]);
            let at = claims[name].as_i64().unwrap();
            for other in [
                format!("\"{at}\""),
                format!("{at}.0"),
                format!("{at}.5"),
                format!("{at}e0"),
                format!("[{at}]"),
                format!("0{at}"),
                format!("+{at}"),
                format!("{at}000000"),
                "-9223372036854775808".into(),
                "9223372036854775807".into(),
                "9223372036854775808".into(),
                "18446744073709551615".into(),
                "18446744073709551616".into(),
                "1e18".into(),
                "1e300".into(),
                "1e999".into(),
                "-1".into(),
                "\"\"".into(),
                "\"never\"".into(),
                "null".into(),
                "true".into(),
                "{}".into(),
                "Infinity".into(),
                "NaN".into(),
                // Of two, libraries take the one or the other.
                format!("{at},\"{name}\":{at}"),
            ] {
                // What began long ago has begun.
                if name == "nbf" && other.starts_with('-') {
                    continue;
                }
                let forged = text.replacen(&member, &format!("\"{name}\":{other}"), 1);
                assert_ne!(forged, text);
                assert_refused(&app, &forged, &sign_text(&key, &head.to_string(), &forged)).await;
            }
        }
        for claims in ["", "null", "[]", "7", "\"text\"", "{}", "{", &format!("{text}{text}"), &format!("[{text}]"), &format!("\u{feff}{text}")] {
            assert_refused(&app, claims, &sign_text(&key, &head.to_string(), claims)).await;
        }
        // An hour is the most that a setting allows.
        let lives = |seconds: i64| sign(&key, &head, &but(&claims, "exp", json!(now + seconds)));
        app.anonymous().bearer(&lives(3600)).get("/auth/profile").await.assert_status(200);
        assert_refused(&app, "too long a life", &lives(3601)).await;
        for exp in [now, now - 1, 0] {
            assert_refused(&app, "expired", &sign(&key, &head, &but(&claims, "exp", json!(exp)))).await;
            // "Expired" may end a session: here is another.
            app.try_login("ada@example.com", PASSWORD).await.assert_status(200);
        }
    }

    async fn the_header_counts_whoever_signed(app: App) {
        let ada = app.user("ada@example.com").await;
        let (head, claims, key) = (header(&ada), ada.claims(), stolen_key(&app).await);
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", Value::Null),
            ("typ", json!("refresh+jwt")),
            ("typ", json!("id+jwt")),
            ("typ", json!("logout+jwt")),
            ("typ", json!("dpop+jwt")),
            ("typ", json!("at+jwt;v=1")),
            ("typ", json!(" at+jwt")),
            ("typ", json!("")),
            ("typ", json!(["at+jwt"])),
            ("typ", json!(7)),
            ("kid", Value::Null),
            ("kid", json!("")),
            ("kid", json!("unknown")),
            ("kid", json!("refresh-1")),
            ("kid", json!("../../../dev/null")),
            ("kid", json!("' OR 1=1 --")),
            ("kid", json!({ "a": 1 })),
            ("alg", Value::Null),
            ("crit", json!(["exp", "b64"])),
        ] {
            assert_refused(&app, &format!("{name} {value}"), &sign(&key, &but(&head, name, value.clone()), &claims)).await;
        }
        let text = head.to_string();
        for (what, header) in [
            ("two algorithms", text.replacen("\"alg\":", "\"alg\":\"none\",\"alg\":", 1)),
            ("two kids", text.replacen("\"kid\":", "\"kid\":\"other\",\"kid\":", 1)),
            ("two headers", format!("{text}{text}")),
            ("a header in a list", format!("[{text}]")),
            ("an empty header", String::new()),
            ("a header of null", "null".into()),
        ] {
            assert_refused(&app, what, &sign_text(&key, &header, &claims.to_string())).await;
        }
    }
}
