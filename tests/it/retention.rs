//! Nothing grows without end: what nobody needs any more is removed after its time, and not before.

use entities::{account, audit_event, email_verification, outbox_message, rate_limit, seen_device, session};
use sea_orm::{EntityTrait, PaginatorTrait};

use crate::support::gate::waiting;
use crate::support::process::Rows;
use crate::support::{App, Engine, PASSWORD};

const DAY: u64 = 86_400;

async fn count<E: EntityTrait>(app: &App, _: E) -> u64
where
    E::Model: Sync,
{
    E::find().count(app.connection().await).await.unwrap()
}

on_both_engines! {
    async fn what_has_ended_goes_after_its_time(engine: Engine) {
        let app = App::start(engine, |config| config.limits.enabled = true).await;
        let ada = app.user("ada@example.com").await;
        app.login("ada@example.com", PASSWORD).await;
        ada.logout().await.assert_status(200);
        let pending = app.sign_up("pending@example.com", PASSWORD).await.json()["user"]["id"].clone();
        app.mails_to("pending@example.com").await;
        let events = count(&app, audit_event::Entity).await;

        app.clock.advance_seconds(6 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count(&app, session::Entity).await, 2, "kept for a week after its end");
        assert_eq!(count(&app, rate_limit::Entity).await, 0, "limits are forgotten after a quiet day");

        app.clock.advance_seconds(3 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count(&app, session::Entity).await, 1, "the one that was signed out is gone");
        assert_eq!(count(&app, email_verification::Entity).await, 0);
        assert_eq!(count(&app, outbox_message::Entity).await, 0, "mails that were sent");
        assert_eq!(count(&app, account::Entity).await, 2);

        app.clock.advance_seconds(31 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count(&app, session::Entity).await, 0, "the one that ran out");
        assert_eq!(count(&app, account::Entity).await, 1, "an address that nobody confirmed");
        assert_eq!(count(&app, audit_event::Entity).await, events + 1, "the trail stays, and tells of that account");
        let gone = App::only_event(app.audit().await, "account.deleted");
        assert_eq!((gone.account_id.unwrap().to_string().as_str(), gone.actor.as_str()), (pending.as_str().unwrap(), "server"));

        app.clock.advance_seconds(401 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count(&app, audit_event::Entity).await, 0, "but not for ever");
        app.login("ada@example.com", PASSWORD).await;
    }
}

/// Another node has to do with it at that moment, and the reaper waits for that.
#[tokio::test]
async fn what_is_used_at_the_last_moment_stays() {
    let app = App::start(Engine::Postgres, |_| {}).await;
    let [node, rows] = [Rows(app.database.connect().await), Rows(app.database.connect().await)];
    app.sign_up("ada@example.com", PASSWORD).await;
    let token = app.mail_to("ada@example.com").await.token();
    rows.execute("UPDATE accounts SET created_at = 0").await;
    // Whoever confirms the address waits for this, and the reaper for them.
    node.execute("BEGIN; SELECT * FROM email_verifications FOR UPDATE").await;
    let (confirmed, reaped, ()) = tokio::join!(
        app.verify(&token),
        async {
            waiting(&rows, 1).await;
            app.services.reap().await
        },
        async {
            waiting(&rows, 2).await;
            node.execute("ROLLBACK").await;
        },
    );
    confirmed.assert_status(200);
    reaped.unwrap();
    app.login("ada@example.com", PASSWORD).await;

    let now = app.now().0;
    rows.execute("UPDATE seen_devices SET last_seen_at = 0").await;
    node.execute(&format!("BEGIN; UPDATE seen_devices SET last_seen_at = {now}")).await;
    let (reaped, ()) = tokio::join!(app.services.reap(), async {
        waiting(&rows, 1).await;
        node.execute("COMMIT").await;
    });
    reaped.unwrap();
    assert_eq!(count(&app, seen_device::Entity).await, 1);
}

/// Tables and what keeps them from growing without end.
pub const KEPT_SMALL: &[(&str, &str)] = &[
    ("accounts", "as many as there are people; unconfirmed ones and those due to be deleted are reaped"),
    ("sessions", "reaped; bounded for each account"),
    ("email_verifications", "reaped"),
    ("password_resets", "reaped"),
    ("email_changes", "reaped"),
    ("server_keys", "reaped; eight at most sign at a time"),
    ("rate_limits", "reaped"),
    ("audit_events", "reaped"),
    ("outbox_messages", "reaped"),
    ("webhook_deliveries", "reaped; those that can't be sent are given up after three days"),
    ("webhook_pauses", "reaped; one for each endpoint"),
    ("totp_authenticators", "ten for each account; unconfirmed ones are reaped"),
    ("api_keys", "a hundred for each account, or as many as the operator allows"),
    ("access_keys", "fifty for each account"),
    ("passkeys", "twenty for each account"),
    ("recovery_codes", "ten for each account"),
    ("mfa_tickets", "reaped"),
    ("webauthn_challenges", "reaped"),
    ("remembered_devices", "reaped; twenty for each account"),
    ("seen_devices", "reaped; a hundred for each account"),
    ("kyc_verifications", "reaped; ten a day for each account, or as the operator allows"),
    ("kyc_changes", "a thousand from its provider for each verification, and gone with it"),
    ("kyc_events", "reaped"),
    ("kyc_person_keys", "one for each account"),
    ("kyc_contacts", "one for each provider"),
    ("seaql_migrations", "one for each change of the schema"),
];

on_both_engines! {
    async fn every_table_is_kept_small(app: App) {
        use sea_orm::{ConnectionTrait, Statement};
        use std::collections::BTreeSet;
        let db = app.connection().await;
        let sql = match app.database.engine {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            Engine::Postgres => "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
        };
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
        let there: BTreeSet<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(there, KEPT_SMALL.iter().map(|(table, _)| (*table).to_owned()).collect());
    }

    async fn what_was_never_finished_goes(app: App) {
        use entities::{mfa_ticket, remembered_device, totp_authenticator};
        let (ada, totp, _) = app.user_with_totp("ada@example.com").await;
        ada.post("/auth/mfa/totp", &serde_json::json!({ "name": "Tablet" })).await.assert_status(200);
        app.ticket("ada@example.com", PASSWORD).await;
        let ticket = app.ticket("ada@example.com", PASSWORD).await;
        let code = totp.code(app.now());
        let body = serde_json::json!({ "ticket": ticket, "method": "totp", "code": code, "remember_device": true });
        app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200);
        assert_eq!((count(&app, mfa_ticket::Entity).await, count(&app, totp_authenticator::Entity).await), (2, 2));

        app.clock.advance_seconds(3601);
        app.services.reap().await.unwrap();
        assert_eq!((count(&app, mfa_ticket::Entity).await, count(&app, totp_authenticator::Entity).await), (0, 1));
        assert_eq!((count(&app, remembered_device::Entity).await, count(&app, seen_device::Entity).await), (1, 1));
        app.clock.advance_seconds(31 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!((count(&app, remembered_device::Entity).await, count(&app, seen_device::Entity).await), (0, 1));
        app.clock.advance_seconds(400 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count(&app, seen_device::Entity).await, 0);
    }
}
