//! The whole way of a person, from sign-up to sign-out.

use serde_json::{Value, json};

use crate::support::{App, PASSWORD};

on_both_engines! {
    async fn a_person_signs_up_confirms_signs_in_and_out(app: App) {
        let anonymous = app.anonymous();
        let signed_up = app.sign_up("Ada@example.com", PASSWORD).await.json();
        assert_eq!(signed_up["success"], true);
        assert_eq!(signed_up["user"]["email"], "Ada@example.com");
        assert_eq!(signed_up["user"]["email_confirmed_at"], Value::Null);
        assert_eq!((&signed_up["session"], &signed_up["error"]), (&Value::Null, &Value::Null));
        assert_eq!(signed_up["next_step"], "verify_email");
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "email_not_verified");

        // Programs that follow links confirm nothing, however often.
        let mail = app.mail_to("Ada@example.com").await;
        for _ in 0..2 {
            let page = anonymous.get(&mail.path()).await.assert_status(200);
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            assert!(page.text().contains(&format!("name=\"token\" value=\"{}\"", mail.token())));
        }
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "email_not_verified");

        // The button does.
        let page = anonymous.submit("/verify-email", &format!("token={}", mail.token())).await.assert_status(200);
        assert!(page.text().contains("is confirmed"), "{}", page.text());

        let mut ada = app.login("ada@example.com", PASSWORD).await;
        assert_eq!(ada.id, signed_up["user"]["id"]);
        let profile = ada.profile().await.assert_status(200).json();
        assert_eq!((&profile["id"], &profile["email"]), (&json!(ada.id), &json!("Ada@example.com")));
        assert_eq!(
            (&profile["full_name"], &profile["avatar_url"], &profile["phone"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );

        let change = json!({ "full_name": "Ada Lovelace", "phone": "+442079460958" });
        let changed = ada.patch("/auth/profile", &change).await.assert_status(200).json();
        assert_eq!(changed, ada.profile().await.json());
        assert_eq!((&changed["full_name"], &changed["phone"]), (&json!("Ada Lovelace"), &json!("+442079460958")));

        let before = ada.clone();
        app.clock.advance_seconds(60);
        ada.refresh().await;
        assert_ne!((&before.access_token, &before.refresh_token), (&ada.access_token, &ada.refresh_token));
        ada.profile().await.assert_status(200);

        let elsewhere = app.login("ADA@EXAMPLE.COM", PASSWORD).await;
        elsewhere.profile().await.assert_status(200);
        ada.change_password(PASSWORD, "eight dark green kettles").await.assert_status(200);
        elsewhere.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&elsewhere.refresh_token).await.assert_error(401, "invalid_refresh_token");
        ada.profile().await.assert_status(200);
        let mail = app.mail_to("Ada@example.com").await;
        assert_eq!(mail.template, "password_changed");
        assert!(mail.text.contains("127.0.0.1") && mail.html.contains("127.0.0.1"), "{}", mail.text);
        app.try_login("ada@example.com", PASSWORD).await.assert_error(401, "invalid_credentials");

        let left = ada.logout().await.assert_status(200).json();
        assert!(left.as_object().unwrap().values().all(Value::is_string), "{left}");
        ada.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        app.login("ada@example.com", "eight dark green kettles").await.profile().await.assert_status(200);
    }
}
