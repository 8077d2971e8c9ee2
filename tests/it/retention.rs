//! Nothing grows without end: what nobody needs any more is removed after its time, and not before.

use entities::{account, audit_event, email_verification, outbox_message, rate_limit, session};
use sea_orm::{EntityTrait, PaginatorTrait};

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
        app.sign_up("pending@example.com", PASSWORD).await;
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
        assert_eq!(count(&app, audit_event::Entity).await, events, "the trail stays");

        app.clock.advance_seconds(400 * DAY);
        app.services.reap().await.unwrap();
        assert_eq!(count(&app, audit_event::Entity).await, 0, "but not for ever");
        app.login("ada@example.com", PASSWORD).await;
    }
}
