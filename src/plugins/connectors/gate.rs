//! Gate, API v4.
//! <https://www.gate.com/docs/developers/apiv4/en/>

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha512};

use super::answers::{number, some_text, text, texts};
use super::fields::{API_KEY, SECRET};
use super::signing::hmac_sha512;
use super::{
    About, Answer, Clock, Connector, Credential, Environment, IpRestriction, Link, Mistake, Outcome,
    Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Gate;

static ABOUT: About = About {
    name: "gate",
    title: "Gate",
    documentation: "https://www.gate.com/docs/developers/apiv4/en/",
    environments: &[
        Environment { name: "live", title: "Live", base_url: "https://api.gateio.ws" },
        Environment { name: "testnet", title: "Testnet", base_url: "https://api-testnet.gateapi.io" },
    ],
    fields: &[API_KEY, SECRET],
    tells: Tells { permissions: true, ip_restriction: true, expiry: false },
    clock: Some(Clock { path: "/api/v4/spot/time", read: |answer| number(&answer["server_time"]) }),
};

const ACCOUNT: &str = "/api/v4/account/detail";
const KEYS: &str = "/api/v4/account/main_keys";

impl Connector for Gate {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        credential.strange_letters()
    }

    fn sign(&self, request: Request, credential: &Credential, stamp: &Stamp) -> Result<Request, Unsignable> {
        let timestamp = stamp.now.seconds().to_string();
        let body = hex::encode(Sha512::digest(&request.body));
        let message = format!("{}\n{}\n{}\n{body}\n{timestamp}", request.method, request.path, request.query);
        let signature = hex::encode(hmac_sha512(credential.secret().as_bytes(), message.as_bytes()));
        Ok(request
            .content_type("application/json")
            .header("KEY", credential.api_key.expose())
            .header("Timestamp", timestamp)
            .header("SIGN", signature))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let ask = async |path| link.send(self.sign(Request::get(path), credential, &link.stamp())?).await;
            let report = judge(&ask(ACCOUNT).await?)?;
            if report.provider_code.is_some() {
                return Ok(report);
            }
            // The key works, whatever comes of asking for more about it.
            Ok(match ask(KEYS).await {
                Ok(answer) => with_permissions(report, &answer, credential.api_key.expose()),
                Err(_) => report,
            })
        })
    }
}

fn judge(answer: &Answer) -> Result<Report, Report> {
    const UNREAD: &str = "The key works, but may not read the account, so Gate does not tell what else it \
        may do. Give it the permission to read the account if you want to see that here.";
    const KEY: &str = "Gate does not know this key. It may be copied wrongly or deleted, or belong to the \
        other of live and testnet; a new or changed key takes up to 5 minutes to work. Copy it again, \
        choose the other environment, or make a new key.";
    const ADDRESS: &str = "The key may not be used from this server's address. Add the address to the \
        key's list at Gate; this takes up to 5 minutes to work.";
    let json = answer.json();
    let (label, message) = (text(&json["label"]), text(&json["message"]));
    let report = match label.as_str() {
        "" if answer.is_success() && json.is_object() => {
            return Ok(Report {
                account: some_text(&json["user_id"]),
                permissions: Permissions { read: Tri::Yes, ..Permissions::default() },
                ip_restriction: IpRestriction::to(texts(&json["ip_whitelist"])),
                ..Report::new(Outcome::Ok)
            });
        }
        // Looked at after the signature has been found right.
        "FORBIDDEN" => return Ok(Report::new(Outcome::Ok).advising(UNREAD).saying(label, message)),
        "INVALID_KEY" | "INVALID_CREDENTIALS" => Report::new(Outcome::InvalidKey).advising(KEY),
        "INVALID_SIGNATURE" => Report::new(Outcome::BadSignature),
        "REQUEST_EXPIRED" => Report::new(Outcome::ClockSkew),
        "IP_FORBIDDEN" => Report::new(Outcome::IpNotAllowed).advising(ADDRESS),
        "READ_ONLY" => Report::new(Outcome::MissingPermission),
        "ACCOUNT_LOCKED" => Report::new(Outcome::AccountRestricted),
        "TOO_MANY_REQUESTS" | "TOO_FAST" => Report::new(Outcome::RateLimited),
        _ => return Err(answer.by_status(label, message)),
    };
    Err(report.saying(label, message).retry_after(answer.retry_after()))
}

/// With what the list of the account's keys says of this one.
fn with_permissions(report: Report, answer: &Answer, key: &str) -> Report {
    const LOCKED: &str = "Gate has locked or frozen the key. Sign in there to learn why, or make a new \
        key.";
    let json = answer.json();
    // Some versions answer a single key without a list around it.
    let keys = json.as_array().map_or(std::slice::from_ref(&json), Vec::as_slice);
    let mut ours = keys.iter().filter(|entry| entry["key"].as_str().is_some_and(|masked| fits(masked, key)));
    let (Some(entry), None) = (ours.next(), ours.next()) else { return report };
    let Some(perms) = entry["perms"].as_array() else { return report };
    let writes = |names: &[&str]| {
        let of_these = perms.iter().filter(|perm| perm["name"].as_str().is_some_and(|n| names.contains(&n)));
        Tri::any(of_these.map(|perm| Tri::from(perm["read_only"].as_bool().map(|read_only| !read_only))))
    };
    let wallet = writes(&["wallet"]);
    let raw = perms.iter().filter_map(|perm| {
        let name = perm["name"].as_str()?;
        Some(if perm["read_only"] == true { format!("{name} (read only)") } else { name.to_owned() })
    });
    let permissions = Permissions {
        read: report.permissions.read,
        trade: writes(&["spot", "futures", "margin", "unified", "options", "delivery"]),
        // Whether a wallet that may be written to can be emptied as well is not documented.
        withdraw: match writes(&["withdrawal"]) {
            Tri::No if wallet != Tri::No => Tri::Unknown,
            told => told,
        },
        transfer: if wallet == Tri::No { Tri::No } else { Tri::Unknown },
        raw: raw.collect(),
    };
    let locked = matches!(entry["state"].as_i64(), Some(2 | 3));
    let (outcome, advice) =
        if locked { (Outcome::AccountRestricted, LOCKED) } else { (report.outcome, report.advice) };
    Report { outcome, advice, permissions, ..report }
}

/// Whether a key looks like this one in which letters are hidden by stars.
fn fits(masked: &str, key: &str) -> bool {
    let (start, rest) = masked.split_once('*').unwrap_or((masked, ""));
    let end = rest.trim_start_matches('*');
    if masked.contains('*') {
        !(start.is_empty() && end.is_empty()) && key.starts_with(start) && key.ends_with(end)
    } else {
        masked == key
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, answer, assert_outcomes, credential, header, input, mistakes, stamp};
    use super::super::vectors::vector;
    use super::*;

    #[test]
    fn requests_are_signed_as_in_the_vectors() {
        let get = vector("gate_get");
        let account = vector("gate_account_detail");
        let request = Request::get(input(&get, "path")).query(input(&get, "query"));
        for (vector, request) in [(get, request), (account, Request::get(ACCOUNT))] {
            let seconds: i64 = input(&vector, "timestamp").parse().expect("seconds");
            let credential = credential(input(&vector, "key"), input(&vector, "secret"));
            let signed = Gate.sign(request, &credential, &stamp(seconds * 1000 + 999)).expect("signed");
            assert_eq!(header(&signed, "SIGN"), vector["expected"]);
            assert_eq!(header(&signed, "Timestamp"), input(&vector, "timestamp"));
            assert_eq!(header(&signed, "KEY"), "key");
        }
    }

    #[test]
    fn a_body_is_signed_by_its_hash() {
        let signed = |body| {
            Gate.sign(Request::post("/api/v4/x").body(body), &credential("k", "s"), &stamp(0))
                .expect("signed")
        };
        let (one, other) = (signed("{}"), signed("{ }"));
        assert_ne!(header(&one, "SIGN"), header(&other, "SIGN"));
        assert_eq!(header(&one, "Content-Type"), "application/json");
    }

    #[test]
    fn each_label_has_its_outcome() {
        assert_outcomes(
            |answer| judge(answer).unwrap_or_else(|report| report),
            &[
                (401, r#"{"label":"INVALID_KEY","message":"m"}"#, Outcome::InvalidKey, "INVALID_KEY"),
                (401, r#"{"label":"INVALID_CREDENTIALS"}"#, Outcome::InvalidKey, "INVALID_CREDENTIALS"),
                (401, r#"{"label":"INVALID_SIGNATURE"}"#, Outcome::BadSignature, "INVALID_SIGNATURE"),
                (403, r#"{"label":"REQUEST_EXPIRED"}"#, Outcome::ClockSkew, "REQUEST_EXPIRED"),
                (403, r#"{"label":"IP_FORBIDDEN"}"#, Outcome::IpNotAllowed, "IP_FORBIDDEN"),
                (403, r#"{"label":"READ_ONLY"}"#, Outcome::MissingPermission, "READ_ONLY"),
                (403, r#"{"label":"FORBIDDEN"}"#, Outcome::Ok, "FORBIDDEN"),
                (403, r#"{"label":"ACCOUNT_LOCKED"}"#, Outcome::AccountRestricted, "ACCOUNT_LOCKED"),
                (
                    400,
                    r#"{"label":"MISSING_REQUIRED_HEADER"}"#,
                    Outcome::Unexpected,
                    "MISSING_REQUIRED_HEADER",
                ),
                (429, r#"{"label":"TOO_MANY_REQUESTS"}"#, Outcome::RateLimited, "TOO_MANY_REQUESTS"),
                (400, r#"{"label":"TOO_FAST"}"#, Outcome::RateLimited, "TOO_FAST"),
                (200, "[]", Outcome::Unexpected, "HTTP 200"),
                (500, "", Outcome::ProviderDown, "HTTP 500"),
            ],
        );
    }

    #[test]
    fn the_account_is_read() {
        let body = r#"{"user_id":1667201533,"ip_whitelist":["127.0.0.1"],"tier":0,"key":{"mode":1}}"#;
        let report = judge(&answer(200, body)).expect("a report");
        assert_eq!(report.account.as_deref(), Some("1667201533"));
        assert_eq!(report.ip_restriction, IpRestriction::Restricted(vec!["127.0.0.1".into()]));
        assert_eq!(report.permissions.trade, Tri::Unknown);
    }

    #[test]
    fn permissions_are_those_of_this_key() {
        let keys = r#"[
            {"state":1,"key":"ffff*****","perms":[{"name":"withdrawal","read_only":false}]},
            {"state":1,"key":"c5dcfbf1f3a7*****","perms":[
                {"name":"spot","read_only":false},{"name":"account","read_only":true}]},
            {"state":2,"key":"10cced*****","perms":[{"name":"wallet","read_only":false}]}]"#;
        let report = |key| {
            let account = judge(&answer(200, r#"{"user_id":1}"#)).expect("a report");
            with_permissions(account, &answer(200, keys), key)
        };
        let ours = report("c5dcfbf1f3a7aaaaaaaaa");
        assert_eq!(ours.outcome, Outcome::Ok);
        assert_eq!(ours.permissions.raw, ["spot", "account (read only)"]);
        let Permissions { read, trade, withdraw, transfer, .. } = ours.permissions;
        assert_eq!([read, trade, withdraw, transfer], [Tri::Yes, Tri::Yes, Tri::No, Tri::No]);
        assert_eq!(report("ffffabc").permissions.withdraw, Tri::Yes);
        let locked = report("10ccedabc");
        assert_eq!(locked.outcome, Outcome::AccountRestricted);
        assert_eq!(locked.permissions.withdraw, Tri::Unknown);
        assert_eq!(report("unknown").permissions.trade, Tri::Unknown);
        let single = r#"{"state":1,"key":"k*****","perms":[{"name":"spot","read_only":true}]}"#;
        let account = Report::new(Outcome::Ok);
        assert_eq!(with_permissions(account, &answer(200, single), "key").permissions.trade, Tri::No);
    }

    #[test]
    fn strange_letters_are_mistakes() {
        assert!(mistakes(&Gate, &credential("key", "secret")).is_empty());
        assert_eq!(mistakes(&Gate, &credential("k ey", "s\u{fc}")), ["api_key", "secret"]);
    }

    #[tokio::test]
    async fn the_key_works_whatever_comes_of_asking_for_more() {
        const CLOCK: &str = r#"{"server_time":1700000000000}"#;
        const ACCOUNT: &str = r#"{"user_id":1}"#;
        const FORBIDDEN: &str = r#"{"label":"FORBIDDEN","message":"m"}"#;
        let key = credential("key", "secret");
        let (report, asked) = samples::tested(&Gate, &key, &[CLOCK, ACCOUNT, FORBIDDEN]).await;
        assert_eq!((report.outcome, report.permissions.trade), (Outcome::Ok, Tri::Unknown));
        assert!(asked[2].starts_with("GET /api/v4/account/main_keys HTTP"));
        let (report, _) = samples::tested(&Gate, &key, &[CLOCK, r#"{"label":"INVALID_KEY"}"#]).await;
        assert_eq!(report.outcome, Outcome::InvalidKey);
    }
}
