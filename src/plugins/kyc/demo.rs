//! A provider inside the server, to try everything with nothing else: on its page one approves or declines oneself. It is
//! off unless the operator wants it (`kyc.demo`), and nobody can send webhooks in its name.

use entities::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use url::Url;

use super::{
    About, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Unreadable, Webhook,
};
use crate::secret::Secret;

pub struct Demo;

static ABOUT: About = About {
    name: "demo",
    title: "Demo",
    documentation: "",
    needs: &[],
    signature: &[],
    fetches: false,
    signs_time: true,
    starts: true,
};

impl Provider for Demo {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn base_url(&self, _: &Settings) -> String {
        String::new()
    }

    fn verify(&self, _: &Webhook<'_>, _: &Secret, _: &Settings, _: Timestamp) -> bool {
        false
    }

    fn read(&self, _: &Webhook<'_>, _: &Settings) -> Result<Event, Unreadable> {
        Err(Unreadable("nobody sends these"))
    }

    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        let page = format!("{}/kyc/demo/{}", link.base().as_str().trim_end_matches('/'), order.id);
        let session = Session { reference: order.id.clone(), handle: None, external_id: order.id.clone() };
        let started = Started { session, url: Url::parse(&page).ok(), token: None };
        async move { Ok(started) }.boxed()
    }

    fn fetch<'a>(&'a self, _: &'a Link<'a>, _: &'a Session) -> BoxFuture<'a, Result<Finding, Failure>> {
        async { Err(Failure::Malformed("an answer")) }.boxed()
    }
}
