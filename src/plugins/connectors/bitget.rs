//! Bitget: unified and classic accounts, keys with a secret or with an RSA key.
//! <https://www.bitget.com/api-doc/common/signature>

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::answers::{any_of, number, some_text, split, text, texts};
use super::fields::{API_KEY, PASSPHRASE, SECRET};
use super::signing::{PrivateKey, base64, hmac_sha256};
use super::{
    About, Answer, Clock, Connector, Credential, Environment, Field, IpRestriction, Kind, Link, Mistake,
    Outcome, Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Bitget;

static ABOUT: About = About {
    name: "bitget",
    title: "Bitget",
    documentation: "https://www.bitget.com/api-doc/common/quick-start",
    environments: &[
        Environment { name: "live", title: "Live", base_url: "https://api.bitget.com" },
        Environment { name: DEMO, title: "Demo trading", base_url: "https://api.bitget.com" },
    ],
    fields: &[
        API_KEY,
        Field {
            title: "Secret or private key",
            kind: Kind::Pem,
            help: "The secret that Bitget showed, or your own RSA key in PEM.",
            ..SECRET
        },
        PASSPHRASE,
    ],
    tells: Tells { permissions: true, ip_restriction: true, expiry: false },
    clock: Some(Clock { path: "/api/v2/public/time", read: |answer| number(&answer["data"]["serverTime"]) }),
};

const DEMO: &str = "demo";
const UNIFIED: &str = "/api/v3/account/info";
const CLASSIC: &str = "/api/v2/spot/account/info";
const ACCOUNT_IS_UNIFIED: &str = "40085";

impl Connector for Bitget {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const PEM: &str = "The private key must be an RSA key in PEM without a password";
        let secret = credential.secret();
        let usable = !PrivateKey::is_pem(secret) || private_key(secret).is_ok();
        let mistake = Mistake::unless(usable, "secret", PEM);
        credential.strange_letters().into_iter().chain(mistake).collect()
    }

    /// The query is signed sorted and decoded. It is sent sorted as well, so that there is one order only.
    fn sign(
        &self,
        mut request: Request,
        credential: &Credential,
        stamp: &Stamp,
    ) -> Result<Request, Unsignable> {
        let mut pairs: Vec<&str> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
        pairs.sort_by_key(|pair| pair.split('=').next());
        request.query = pairs.join("&");
        let timestamp = stamp.now.0.to_string();
        let target = if request.query.is_empty() {
            request.path.clone()
        } else {
            format!("{}?{}", request.path, decoded(&request.query)?)
        };
        let message = format!("{timestamp}{}{target}{}", request.method, request.body);
        let secret = credential.secret();
        let signature = if PrivateKey::is_pem(secret) {
            private_key(secret)?.sign(message.as_bytes())?
        } else {
            hmac_sha256(secret.as_bytes(), message.as_bytes())
        };
        if credential.environment == DEMO {
            request = request.header("PAPTRADING", "1");
        }
        Ok(request
            .header("ACCESS-KEY", credential.api_key.expose())
            .header("ACCESS-SIGN", base64(&signature))
            .header("ACCESS-TIMESTAMP", timestamp)
            .header("ACCESS-PASSPHRASE", credential.passphrase())
            .header("locale", "en-US")
            .header("Content-Type", "application/json"))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let ask = async |path| link.send(self.sign(Request::get(path), credential, &link.stamp())?).await;
            let report = match judge_unified(&ask(UNIFIED).await?) {
                // What may be because the account is a classic one.
                Err(report) if matches!(report.outcome, Outcome::Unexpected | Outcome::MissingPermission) => {
                    report
                }
                judged => return judged,
            };
            let judged = judge_classic(&ask(CLASSIC).await?);
            let unified =
                matches!(&judged, Err(other) if other.provider_code.as_deref() == Some(ACCOUNT_IS_UNIFIED));
            if unified { Err(report) } else { judged }
        })
    }
}

fn private_key(pem: &str) -> Result<PrivateKey, Unsignable> {
    match PrivateKey::from_pem(pem)? {
        key @ PrivateKey::Rsa(_) => Ok(key),
        _ => Err(Unsignable("Bitget takes RSA keys only. Make a new key there with an RSA key.")),
    }
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Unsignable> {
    const UNREADABLE: Unsignable = Unsignable("The query must be percent-encoded UTF-8.");
    percent_decode_str(text).decode_utf8().map_err(|_| UNREADABLE)
}

/// The data of an answer, whichever kind of account it is about.
fn data(answer: &Answer) -> Result<Value, Report> {
    const KEY: &str = "Bitget does not know this key. It may be copied wrongly or deleted, or be a demo \
        key where a live one is needed, or the other way round. Copy it again, choose the other \
        environment, or make a new key.";
    const PASSPHRASE: &str = "The key and the passphrase don't belong together. The passphrase is the one \
        chosen when the key was made, not the password of the account. Enter it again, or make a new key.";
    let json = answer.json();
    let (code, message) = (text(&json["code"]), text(&json["msg"]));
    let report = match code.as_str() {
        "00000" => return Ok(json["data"].clone()),
        "40006" | "40037" => Report::new(Outcome::InvalidKey).advising(KEY),
        "40009" | "40010" => Report::new(Outcome::BadSignature),
        "40011" | "40012" => Report::new(Outcome::BadPassphrase).advising(PASSPHRASE),
        "40014" => Report::new(Outcome::MissingPermission),
        "40018" => Report::new(Outcome::IpNotAllowed),
        "40004" | "40005" | "40008" => Report::new(Outcome::ClockSkew),
        "1001" => Report::new(Outcome::RateLimited),
        _ => return Err(answer.by_status(code, message)),
    };
    Err(report.saying(code, message).retry_after(answer.retry_after()))
}

fn judge_unified(answer: &Answer) -> Result<Report, Report> {
    const TRADE: &[&str] = &["uta_trade", "copy_futures_order", "copy_futures_position"];
    const OTHER: &[&str] = &["uta_mgt", "withdraw"];
    let data = data(answer)?;
    let list = texts(&data["permissions"]);
    let writes = match data["permType"].as_str() {
        Some("read-only") => Tri::No,
        Some("read-and-write") => Tri::Yes,
        _ => Tri::Unknown,
    };
    // Names come up that are not known here; such a one may be for trade.
    let all_known = |list: &[String]| {
        list.iter().all(|name| TRADE.contains(&name.as_str()) || OTHER.contains(&name.as_str()))
    };
    let trade = match &list {
        Some(list) if any_of(list, TRADE) => writes,
        Some(list) if all_known(list) => Tri::No,
        _ if writes == Tri::No => Tri::No,
        _ => Tri::Unknown,
    };
    Ok(Report {
        account: some_text(&data["uid"]),
        permissions: Permissions {
            read: if writes == Tri::Unknown { Tri::Unknown } else { Tri::Yes },
            trade,
            withdraw: list.as_deref().map(|list| any_of(list, &["withdraw"])).into(),
            transfer: if writes == Tri::No { Tri::No } else { Tri::Unknown },
            raw: [data["permType"].as_str().map(str::to_owned)]
                .into_iter()
                .flatten()
                .chain(list.into_iter().flatten())
                .collect(),
        },
        ip_restriction: IpRestriction::to(split(&data["ips"])),
        ..Report::new(Outcome::Ok)
    })
}

fn judge_classic(answer: &Answer) -> Result<Report, Report> {
    const READ: &[&str] =
        &["coor", "cpor", "stor", "smor", "ttor", "wtor", "taxr", "chor", "p2pr", "pllr", "readonly"];
    const TRADE: &[&str] = &["coow", "cpow", "stow", "smow", "ttow", "trade"];
    let data = data(answer)?;
    let list = texts(&data["authorities"]);
    let may = |names: &[&str]| Tri::from(list.as_deref().map(|list| any_of(list, names)));
    Ok(Report {
        account: some_text(&data["userId"]),
        permissions: Permissions {
            read: may(READ),
            trade: may(TRADE),
            withdraw: may(&["wwow"]),
            transfer: may(&["wtow"]),
            raw: list.clone().unwrap_or_default(),
        },
        ip_restriction: IpRestriction::to(split(&data["ips"])),
        ..Report::new(Outcome::Ok)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fields::base64_bytes;
    use super::super::samples::{self, answer, assert_outcomes, header, input, mistakes, stamp};
    use super::super::vectors::vector;
    use super::*;
    use crate::secret::Secret;

    fn credential(secret: &str) -> Credential {
        Credential {
            passphrase: Some(Secret::new("a passphrase".into())),
            ..samples::credential("bg_key", secret)
        }
    }

    #[test]
    fn the_test_is_signed_as_in_the_vector() {
        let vector = vector("bitget_v3_info");
        let signed = Bitget
            .sign(Request::get(UNIFIED), &credential(input(&vector, "secret")), &stamp(1_700_000_000_000))
            .expect("signed");
        assert_eq!(header(&signed, "ACCESS-SIGN"), vector["expected"]);
        assert_eq!(header(&signed, "ACCESS-TIMESTAMP"), input(&vector, "timestamp"));
        assert_eq!(header(&signed, "ACCESS-PASSPHRASE"), "a passphrase");
        assert!(signed.headers.iter().all(|(name, _)| name != "PAPTRADING"));
        let demo = Credential { environment: DEMO.into(), ..credential("s") };
        let signed = Bitget.sign(Request::get(UNIFIED), &demo, &stamp(0)).expect("signed");
        assert_eq!(header(&signed, "PAPTRADING"), "1");
    }

    #[test]
    fn the_query_is_signed_sorted_and_decoded() {
        let request = Request::post("/api/v2/x").query("symbol=B%2FC&limit=1").body("{}");
        let signed = Bitget.sign(request, &credential("secret"), &stamp(7)).expect("signed");
        assert_eq!(signed.query, "limit=1&symbol=B%2FC");
        let expected = base64(&hmac_sha256(b"secret", b"7POST/api/v2/x?limit=1&symbol=B/C{}"));
        assert_eq!(header(&signed, "ACCESS-SIGN"), expected);
        assert!(Bitget.sign(Request::get("/").query("a=%ff"), &credential("s"), &stamp(0)).is_err());
    }

    #[test]
    fn each_code_has_its_outcome() {
        assert_outcomes(
            |answer| data(answer).expect_err("an error"),
            &[
                (400, r#"{"code":"40006","msg":"m"}"#, Outcome::InvalidKey, "40006"),
                (400, r#"{"code":"40037"}"#, Outcome::InvalidKey, "40037"),
                (400, r#"{"code":"40009"}"#, Outcome::BadSignature, "40009"),
                (400, r#"{"code":"40010"}"#, Outcome::BadSignature, "40010"),
                (400, r#"{"code":"40011"}"#, Outcome::BadPassphrase, "40011"),
                (400, r#"{"code":"40012"}"#, Outcome::BadPassphrase, "40012"),
                (400, r#"{"code":"40014"}"#, Outcome::MissingPermission, "40014"),
                (400, r#"{"code":"40018"}"#, Outcome::IpNotAllowed, "40018"),
                (400, r#"{"code":"40004"}"#, Outcome::ClockSkew, "40004"),
                (400, r#"{"code":"40005"}"#, Outcome::ClockSkew, "40005"),
                (400, r#"{"code":"40008"}"#, Outcome::ClockSkew, "40008"),
                (400, r#"{"code":"40085"}"#, Outcome::Unexpected, "40085"),
                (200, r#"{"code":"1001"}"#, Outcome::RateLimited, "1001"),
                (429, r#"{"code":"429"}"#, Outcome::RateLimited, "429"),
                (200, "hello", Outcome::Unexpected, "HTTP 200"),
                (502, "<html>", Outcome::ProviderDown, "HTTP 502"),
            ],
        );
    }

    #[test]
    fn permissions_of_unified_accounts_are_read() {
        let judged = |kind: &str, list: &str| {
            let body = format!(
                r#"{{"code":"00000","data":{{"uid":"89","ips":"192.0.2.1,192.0.2.2",
                    "permType":"{kind}","permissions":{list}}}}}"#
            );
            judge_unified(&answer(200, &body)).expect("a report")
        };
        let report = judged("read-and-write", r#"["uta_mgt","uta_trade","withdraw"]"#);
        assert_eq!(report.account.as_deref(), Some("89"));
        let may = |report: &Report| {
            let Permissions { read, trade, withdraw, transfer, .. } = report.permissions;
            [read, trade, withdraw, transfer]
        };
        assert_eq!(may(&report), [Tri::Yes, Tri::Yes, Tri::Yes, Tri::Unknown]);
        assert_eq!(report.permissions.raw, ["read-and-write", "uta_mgt", "uta_trade", "withdraw"]);
        assert_eq!(
            report.ip_restriction,
            IpRestriction::Restricted(vec!["192.0.2.1".into(), "192.0.2.2".into()])
        );
        assert_eq!(may(&judged("read-only", r#"["uta_trade"]"#)), [Tri::Yes, Tri::No, Tri::No, Tri::No]);
        let new = judged("read-and-write", r#"["something_new"]"#);
        assert_eq!(may(&new), [Tri::Yes, Tri::Unknown, Tri::No, Tri::Unknown]);
        let silent = judge_unified(&answer(200, r#"{"code":"00000","data":{}}"#)).expect("a report");
        assert_eq!(may(&silent), [Tri::Unknown; 4]);
        assert_eq!(silent.ip_restriction, IpRestriction::Unknown);
    }

    #[test]
    fn permissions_of_classic_accounts_are_read() {
        let body =
            r#"{"code":"00000","data":{"userId":"89","ips":"","authorities":["coor","stow","wtow","wwow"]}}"#;
        let report = judge_classic(&answer(200, body)).expect("a report");
        let Permissions { read, trade, withdraw, transfer, .. } = report.permissions;
        assert_eq!([read, trade, withdraw, transfer], [Tri::Yes; 4]);
        assert_eq!(report.ip_restriction, IpRestriction::Unrestricted);
        let body = r#"{"code":"00000","data":{"userId":"89","authorities":["readonly"]}}"#;
        let report = judge_classic(&answer(200, body)).expect("a report");
        let Permissions { read, trade, withdraw, transfer, .. } = report.permissions;
        assert_eq!([read, trade, withdraw, transfer], [Tri::Yes, Tri::No, Tri::No, Tri::No]);
    }

    #[test]
    fn a_private_key_must_be_rsa() {
        assert!(mistakes(&Bitget, &credential("secret")).is_empty());
        let ed25519 = vector("binance_ed25519");
        assert_eq!(mistakes(&Bitget, &credential(input(&ed25519, "private_key_pkcs8_pem"))), ["secret"]);
        assert_eq!(mistakes(&Bitget, &credential("-----BEGIN PRIVATE KEY-----")), ["secret"]);
    }

    #[test]
    fn an_rsa_key_signs_too() {
        let (pem, verifier) = samples::rsa();
        assert!(mistakes(&Bitget, &credential(&pem)).is_empty());
        let signed = Bitget.sign(Request::get(UNIFIED), &credential(&pem), &stamp(7)).expect("signed");
        let signature = base64_bytes(header(&signed, "ACCESS-SIGN")).expect("base64");
        verifier.verify(b"7GET/api/v3/account/info", &signature).expect("a signature of the key");
    }

    #[tokio::test]
    async fn classic_accounts_are_asked_second() {
        const CLOCK: &str = r#"{"code":"00000","data":{"serverTime":"1700000000000"}}"#;
        const NO_PERMISSION: &str = r#"{"code":"40014","msg":"m"}"#;
        const ACCOUNT: &str = r#"{"code":"00000","data":{"userId":"89","authorities":["coor"]}}"#;
        const IS_UNIFIED: &str = r#"{"code":"40085","msg":"m"}"#;
        let key = credential("secret");
        let (report, asked) = samples::tested(&Bitget, &key, &[CLOCK, NO_PERMISSION, ACCOUNT]).await;
        assert_eq!((report.outcome, report.account.as_deref()), (Outcome::Ok, Some("89")));
        assert!(asked[1].starts_with("GET /api/v3/account/info HTTP"));
        assert!(asked[2].starts_with("GET /api/v2/spot/account/info HTTP"));
        let (report, _) = samples::tested(&Bitget, &key, &[CLOCK, NO_PERMISSION, IS_UNIFIED]).await;
        assert_eq!(report.outcome, Outcome::MissingPermission);
        let (report, _) = samples::tested(&Bitget, &key, &[CLOCK, r#"{"code":"40009"}"#]).await;
        assert_eq!(report.outcome, Outcome::BadSignature);
    }
}
