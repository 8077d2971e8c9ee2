//! Acme Exchange.
//! <https://docs.acme.example/authentication>

use futures_util::future::BoxFuture;

use super::answers::{any_of, number, some_text, text, texts};
use super::fields::{API_KEY, SECRET};
use super::signing::{base64, hmac_sha256};
use super::{
    About, Answer, Clock, Connector, Credential, Environment, IpRestriction, Link, Mistake, Outcome,
    Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Acme;

static ABOUT: About = About {
    name: "acme",
    title: "Acme",
    documentation: "https://docs.acme.example/keys",
    // The first is the default.
    environments: &[
        Environment { name: "live", title: "Live", base_url: "https://api.acme.example" },
        Environment { name: "sandbox", title: "Sandbox", base_url: "https://sandbox.acme.example" },
    ],
    fields: &[API_KEY, SECRET],
    tells: Tells { permissions: true, ip_restriction: true, expiry: false },
    clock: Some(Clock { path: "/v1/time", read: |answer| number(&answer["milliseconds"]) }),
};

impl Connector for Acme {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    /// What can be told without asking. Leave out what is not documented: a rule too many locks people out.
    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        credential.strange_letters()
    }

    /// Works for every request to the service, since clients have theirs signed here as well.
    fn sign(&self, request: Request, credential: &Credential, stamp: &Stamp) -> Result<Request, Unsignable> {
        let time = stamp.now.0.to_string();
        let message = format!("{time}{}{}{}", request.method, request.target(), request.body);
        let signature = base64(&hmac_sha256(credential.secret().as_bytes(), message.as_bytes()));
        Ok(request
            .content_type("application/json")
            .header("Acme-Key", credential.api_key.expose())
            .header("Acme-Time", time)
            .header("Acme-Signature", signature))
    }

    /// Sends, and leaves the rest to a function that can be tested without a network.
    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = self.sign(Request::get("/v1/key"), credential, &link.stamp())?;
            judge(&link.send(request).await?)
        })
    }
}

/// By the code in the body first, then by the status.
fn judge(answer: &Answer) -> Result<Report, Report> {
    // Where a code has several causes, all of them and what to do.
    const KEY: &str = "Acme does not know this key. It may be copied wrongly or deleted, or belong to the other \
        environment. Copy it again, choose the other environment, or make a new key.";
    let json = answer.json();
    let (code, message) = (text(&json["code"]), text(&json["message"]));
    let report = match code.as_str() {
        "ok" => {
            let scopes = texts(&json["scopes"]);
            // Unknown where the service does not say.
            let may = |names: &[&str]| Tri::from(scopes.as_deref().map(|scopes| any_of(scopes, names)));
            return Ok(Report {
                account: some_text(&json["user"]),
                permissions: Permissions {
                    read: may(&["read"]),
                    trade: may(&["spot", "futures"]),
                    withdraw: may(&["withdraw"]),
                    transfer: Tri::Unknown,
                    raw: scopes.clone().unwrap_or_default(),
                },
                ip_restriction: IpRestriction::to(texts(&json["addresses"])),
                ..Report::new(Outcome::Ok)
            });
        }
        "unknown_key" => Report::new(Outcome::InvalidKey).advising(KEY),
        "bad_signature" => Report::new(Outcome::BadSignature),
        "bad_time" => Report::new(Outcome::ClockSkew),
        "bad_address" => Report::new(Outcome::IpNotAllowed),
        "too_many" => Report::new(Outcome::RateLimited),
        // 429, 5xx and what nobody expected.
        _ => return Err(answer.by_status(code, message)),
    };
    Err(report.saying(code, message).retry_after(answer.retry_after()))
}
