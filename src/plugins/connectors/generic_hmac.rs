//! Any service that takes requests signed with an HMAC (RFC 2104). A template says what is signed.
//! <https://www.rfc-editor.org/rfc/rfc2104>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entities::Timestamp;
use futures_util::future::BoxFuture;
use reqwest::Method;
use sha2::{Digest as _, Sha256, Sha512};
use time::OffsetDateTime;
use time::macros::format_description;
use url::Url;
use zeroize::Zeroizing;

use super::fields::{API_KEY, PASSPHRASE, SECRET, base64_bytes};
use super::generic::{self, BASE_URL, ENVIRONMENTS, TEST_PATH};
use super::signing::{base64, hmac_sha1, hmac_sha256, hmac_sha512, percent_encoded};
use super::template::{Placeholder, Template};
use super::{
    About, Connector, Credential, Field, Kind, Link, Mistake, Report, Request, Stamp, Tells, Unsignable,
};

pub struct GenericHmac;

static ABOUT: About = About {
    name: "generic_hmac",
    title: "Another service, with signed requests",
    documentation: "https://www.rfc-editor.org/rfc/rfc2104",
    environments: ENVIRONMENTS,
    fields: &[
        API_KEY,
        SECRET,
        Field { required: false, help: "If the service has one.", ..PASSPHRASE },
        BASE_URL,
        TEST_PATH,
        choice(METHOD, "Method of the test", METHODS, "GET unless you say otherwise."),
        choice(ALGORITHM, "Algorithm", ALGORITHMS, "sha256 unless you say otherwise."),
        choice(
            SECRET_ENCODING,
            "Encoding of the secret",
            ENCODINGS,
            "utf8: the secret is used as it is written.",
        ),
        Field {
            required: true,
            ..setting(
                TEMPLATE,
                "What is signed",
                "Such as {ts}{method}{path_query}{body}; \\n is a line break.",
            )
        },
        choice(TS_UNIT, "Time", UNITS, "How {ts} is written; ms unless you say otherwise."),
        choice(BODY_HASH, "Hash of the body", HASHES, "What {body_hash} is; none unless you say otherwise."),
        choice(OUTPUT, "Encoding of the signature", OUTPUTS, "hex unless you say otherwise."),
        Field {
            kind: Kind::Texts,
            ..setting(
                HEADERS,
                "Headers",
                "With placeholders, such as X-Key: {api_key} and X-Sign: {signature}.",
            )
        },
        setting(
            PARAMETER,
            "Parameter for the signature",
            "If the signature is sent at the end of the query.",
        ),
        setting(RECV_WINDOW, "Window", "What {recv_window} is, such as 5000."),
    ],
    tells: Tells { permissions: false, ip_restriction: false, expiry: false },
    clock: None,
};

const METHOD: &str = "settings.method";
const ALGORITHM: &str = "settings.algorithm";
const SECRET_ENCODING: &str = "settings.secret_encoding";
const TEMPLATE: &str = "settings.template";
const TS_UNIT: &str = "settings.ts_unit";
const BODY_HASH: &str = "settings.body_hash";
const OUTPUT: &str = "settings.output";
const HEADERS: &str = "settings.headers";
const PARAMETER: &str = "settings.query_signature_param";
const RECV_WINDOW: &str = "settings.recv_window";

// The first of each is the default.
const METHODS: &[&str] = &["GET", "POST"];
const ALGORITHMS: &[&str] = &["sha256", "sha512", "sha1"];
const ENCODINGS: &[&str] = &["utf8", "base64", "hex"];
const UNITS: &[&str] = &["ms", "s", "us", "iso8601ms"];
const HASHES: &[&str] = &["none", "sha256hex", "sha512hex"];
const OUTPUTS: &[&str] = &["hex", "base64", "base64url"];

const fn setting(name: &'static str, title: &'static str, help: &'static str) -> Field {
    Field { name, title, required: false, kind: Kind::Text, help }
}

const fn choice(
    name: &'static str,
    title: &'static str,
    choices: &'static [&'static str],
    help: &'static str,
) -> Field {
    Field { name, title, required: false, kind: Kind::Choice(choices), help }
}

impl Connector for GenericHmac {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        let mut mistakes = credential.strange_letters();
        mistakes.extend(generic::target_mistakes(credential));
        mistakes.extend(Recipe::read(credential).err().unwrap_or_default());
        mistakes
    }

    fn sign(
        &self,
        mut request: Request,
        credential: &Credential,
        stamp: &Stamp,
    ) -> Result<Request, Unsignable> {
        const UNREADABLE: Unsignable = Unsignable(
            "The settings don't say how to sign. Correct them; the check of the credential says which.",
        );
        let recipe = Recipe::read(credential).map_err(|_| UNREADABLE)?;
        let (ts, nonce) = (recipe.time(stamp.now), stamp.nonce.to_string());
        let (method, target) = (request.method.to_string(), request.target());
        let body_hash = match recipe.body_hash {
            "sha256hex" => hex::encode(Sha256::digest(&request.body)),
            "sha512hex" => hex::encode(Sha512::digest(&request.body)),
            _ => String::new(),
        };
        let fill = |template: &Template, signature: &str| {
            template.fill(|placeholder| match placeholder {
                Placeholder::Ts => &ts,
                Placeholder::Nonce => &nonce,
                Placeholder::Method => &method,
                Placeholder::Path => &request.path,
                Placeholder::Query => &request.query,
                Placeholder::PathQuery => &target,
                Placeholder::Body => &request.body,
                Placeholder::BodyHash => &body_hash,
                Placeholder::ApiKey => credential.api_key.expose(),
                Placeholder::Passphrase => credential.passphrase(),
                Placeholder::RecvWindow => recipe.recv_window,
                Placeholder::Signature => signature,
            })
        };
        let signature = recipe.signature(fill(&recipe.template, "").as_bytes());
        let headers: Vec<_> =
            recipe.headers.iter().map(|(name, value)| (*name, fill(value, &signature))).collect();
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(parameter) = recipe.parameter {
            if request.has_parameter(parameter) {
                return Err(Unsignable(
                    "The query must not have the parameter that the signature is sent in.",
                ));
            }
            let separator = if request.query.is_empty() { "" } else { "&" };
            let value = percent_encoded(&signature);
            request.query = format!("{}{separator}{parameter}={value}", request.query);
        }
        Ok(request)
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        const REFUSED: &str = "The service does not take this request. Key, secret or passphrase may be \
            copied wrongly, expired or deleted; the template or another setting here may not be what the \
            service signs; this server's clock may be wrong, or its address not allowed. Compare the \
            settings with the service's documentation first.";
        Box::pin(async move {
            let (path, query) = generic::test_target(credential);
            let method =
                if credential.setting("method") == Some("POST") { Method::POST } else { Method::GET };
            let request = Request::new(method, path).query(query);
            let request = self.sign(request, credential, &link.stamp())?;
            generic::judge(&link.send(request).await?, REFUSED)
        })
    }

    fn base_url(&self, credential: &Credential) -> Option<Url> {
        generic::base_url(credential)
    }
}

/// The settings, understood.
struct Recipe<'a> {
    algorithm: &'static str,
    key: Zeroizing<Vec<u8>>,
    template: Template,
    unit: &'static str,
    body_hash: &'static str,
    output: &'static str,
    headers: Vec<(&'a str, Template)>,
    parameter: Option<&'a str>,
    recv_window: &'a str,
}

impl<'a> Recipe<'a> {
    fn read(credential: &'a Credential) -> Result<Self, Vec<Mistake>> {
        const KEY: &str = "The secret is not in the encoding that the settings name. Copy it again, or \
            correct the encoding";
        const SELF: &str = "The signature can't be a part of what is signed";
        const UNSENT: &str =
            "The signature is not sent: put {signature} into a header, or name a parameter for it";
        const NAME: &str =
            "The name of the parameter must be of letters, digits, dots, dashes and underscores";
        const WINDOW: &str = "The window must be a number of up to 9 digits";
        const NO_WINDOW: &str = "{recv_window} is used, so the window must be set";
        const NO_HASH: &str = "{body_hash} is used, so the hash of the body must be chosen";
        const NO_PASSPHRASE: &str = "{passphrase} is used, so the passphrase must be there";
        let mut mistakes = vec![];
        let mut choose = |name: &'static str, choices: &[&'static str]| {
            const CHOICE: &str = "This must be one of the choices";
            match credential.settings.get(short(name)).filter(|value| !value.is_null()) {
                None => choices[0],
                Some(value) => choices.iter().copied().find(|choice| value == choice).unwrap_or_else(|| {
                    mistakes.push(Mistake { field: name, message: CHOICE });
                    choices[0]
                }),
            }
        };
        choose(METHOD, METHODS);
        let algorithm = choose(ALGORITHM, ALGORITHMS);
        let encoding = choose(SECRET_ENCODING, ENCODINGS);
        let unit = choose(TS_UNIT, UNITS);
        let body_hash = choose(BODY_HASH, HASHES);
        let output = choose(OUTPUT, OUTPUTS);

        let key = match encoding {
            "base64" => base64_bytes(credential.secret()),
            "hex" => hex::decode(credential.secret()).ok().map(Zeroizing::new),
            _ => Some(Zeroizing::new(credential.secret().as_bytes().to_vec())),
        };
        let key = key.filter(|key| !key.is_empty());
        mistakes.extend(Mistake::unless(key.is_some(), "secret", KEY));

        let template = Template::parse(credential.setting("template").unwrap_or_default());
        let template = template.and_then(|t| if t.has(Placeholder::Signature) { Err(SELF) } else { Ok(t) });
        let headers = generic::headers(credential, "headers").and_then(templates);
        let template = template.map_err(|message| mistakes.push(Mistake { field: TEMPLATE, message })).ok();
        let headers = headers.map_err(|message| mistakes.push(Mistake { field: HEADERS, message })).ok();

        let parameter = credential.setting("query_signature_param").filter(|name| !name.is_empty());
        let plain = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        };
        mistakes.extend(Mistake::unless(parameter.is_none_or(plain), PARAMETER, NAME));
        let recv_window = credential.setting("recv_window").unwrap_or_default();
        let digits = recv_window.len() <= 9 && recv_window.bytes().all(|byte| byte.is_ascii_digit());
        mistakes.extend(Mistake::unless(digits, RECV_WINDOW, WINDOW));

        let (Some(key), Some(template), Some(headers)) = (key, template, headers) else {
            return Err(mistakes);
        };
        let uses = |placeholder| {
            template.has(placeholder) || headers.iter().any(|(_, header)| header.has(placeholder))
        };
        let sent = parameter.is_some() || uses(Placeholder::Signature);
        let has_window = !recv_window.is_empty() || !uses(Placeholder::RecvWindow);
        let has_hash = body_hash != "none" || !uses(Placeholder::BodyHash);
        let has_passphrase = !credential.passphrase().is_empty() || !uses(Placeholder::Passphrase);
        mistakes.extend(Mistake::unless(sent, HEADERS, UNSENT));
        mistakes.extend(Mistake::unless(has_window, RECV_WINDOW, NO_WINDOW));
        mistakes.extend(Mistake::unless(has_hash, BODY_HASH, NO_HASH));
        mistakes.extend(Mistake::unless(has_passphrase, "passphrase", NO_PASSPHRASE));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self { algorithm, key, template, unit, body_hash, output, headers, parameter, recv_window })
    }

    fn time(&self, now: Timestamp) -> String {
        match self.unit {
            "s" => now.seconds().to_string(),
            "us" => now.0.saturating_mul(1000).to_string(),
            "iso8601ms" => iso8601(now),
            _ => now.0.to_string(),
        }
    }

    fn signature(&self, message: &[u8]) -> String {
        let mac = match self.algorithm {
            "sha1" => hmac_sha1(&self.key, message),
            "sha512" => hmac_sha512(&self.key, message),
            _ => hmac_sha256(&self.key, message),
        };
        match self.output {
            "base64" => base64(&mac),
            "base64url" => URL_SAFE_NO_PAD.encode(mac),
            _ => hex::encode(mac),
        }
    }
}

/// The name of a setting in the object of settings.
fn short(field: &'static str) -> &'static str {
    field.strip_prefix("settings.").unwrap_or(field)
}

/// Values of headers as templates. A body has no place in a header.
fn templates<'a>(headers: Vec<(&'a str, &'a str)>) -> Result<Vec<(&'a str, Template)>, &'static str> {
    const BODY: &str = "The body can't be put into a header, nor a line break";
    let header = |(name, value): (&'a str, &'a str)| {
        let template = Template::parse(value)?;
        let fits = !template.has(Placeholder::Body) && !template.has_line_break();
        if fits { Ok((name, template)) } else { Err(BODY) }
    };
    headers.into_iter().map(header).collect()
}

/// `2020-12-08T09:08:57.715Z`
fn iso8601(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000);
    at.ok().and_then(|at| at.format(format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{self, header, input, mistakes, stamp};
    use super::super::vectors::vector;
    use super::*;
    use crate::secret::Secret;

    fn credential(key: &str, secret: &str, settings: &Value) -> Credential {
        let mut all = json!({
            "base_url": "https://api.example.com",
            "test_path": "/v1/me",
            "template": "{ts}{method}{path_query}{body}",
            "headers": { "X-Sign": "{signature}" },
        });
        let all = all.as_object_mut().expect("an object");
        all.extend(settings.as_object().expect("an object").clone());
        Credential { settings: all.clone(), ..samples::credential(key, secret) }
    }

    /// The signature that a vector expects, from settings only.
    fn assert_expressed(id: &str, settings: &Value, request: Request, millisecond: i64) {
        let vector = vector(id);
        let key = vector["input"]["api_key"].as_str().unwrap_or("key");
        let credential = credential(key, input(&vector, "secret"), settings);
        assert!(mistakes(&GenericHmac, &credential).is_empty(), "{id}");
        let signed = GenericHmac.sign(request, &credential, &stamp(millisecond)).expect("signed");
        assert_eq!(header(&signed, "X-Sign"), vector["expected"], "{id}");
    }

    #[test]
    fn settings_express_what_services_sign() {
        assert_expressed(
            "okx_account_config",
            &json!({ "ts_unit": "iso8601ms", "output": "base64" }),
            Request::get("/api/v5/account/config"),
            1_607_418_537_715,
        );
        assert_expressed(
            "bybit_query_api",
            &json!({ "template": "{ts}{api_key}{recv_window}{query}{body}", "recv_window": "5000" }),
            Request::get("/v5/user/query-api"),
            1_700_000_000_000,
        );
        assert_expressed(
            "gate_get",
            &json!({
                "template": r"{method}\n{path}\n{query}\n{body_hash}\n{ts}",
                "ts_unit": "s",
                "algorithm": "sha512",
                "body_hash": "sha512hex",
            }),
            Request::get("/api/v4/futures/orders").query("contract=BTC_USD&status=finished&limit=50"),
            1_541_993_715_000,
        );
        assert_expressed(
            "bitget_v3_info",
            &json!({ "output": "base64" }),
            Request::get("/api/v3/account/info"),
            1_700_000_000_000,
        );
    }

    #[test]
    fn headers_are_filled_and_the_query_signed() {
        let settings = json!({
            "template": "{query}",
            "query_signature_param": "signature",
            "output": "base64",
            "ts_unit": "us",
            "headers": { "X-Key": "{api_key}", "X-Ts": "{ts}", "X-Nonce": "n{nonce}", "X-Pass": "{passphrase}" },
        });
        let credential = Credential {
            passphrase: Some(Secret::new("open".into())),
            ..credential("a-key", "secret", &settings)
        };
        assert!(mistakes(&GenericHmac, &credential).is_empty());
        let sign = |query| GenericHmac.sign(Request::get("/").query(query), &credential, &stamp(7));
        let signed = sign("a=b").expect("signed");
        for (name, value) in [("X-Key", "a-key"), ("X-Ts", "7000"), ("X-Nonce", "n7"), ("X-Pass", "open")] {
            assert_eq!(header(&signed, name), value);
        }
        let signature = base64(&hmac_sha256(b"secret", b"a=b"));
        let sent = signed.query.strip_prefix("a=b&signature=").expect("a signature");
        let decoded = percent_encoding::percent_decode_str(sent).decode_utf8().expect("a text");
        assert_eq!(decoded, signature);
        assert!(sign("").expect("signed").query.starts_with("signature="));
        assert!(sign("signature=x").is_err());
    }

    #[test]
    fn secrets_and_signatures_have_their_encodings() {
        let signature = |secret: &str, settings: Value| {
            let signed = GenericHmac.sign(Request::get("/"), &credential("k", secret, &settings), &stamp(0));
            header(&signed.expect("signed"), "X-Sign").to_owned()
        };
        let plain = signature("key!", json!({}));
        assert_eq!(signature("a2V5IQ==", json!({ "secret_encoding": "base64" })), plain);
        assert_eq!(signature("6b657921", json!({ "secret_encoding": "hex" })), plain);
        assert_eq!(signature("key!", json!({ "algorithm": "sha1" })).len(), 40);
        assert_eq!(signature("key!", json!({ "output": "base64url" })).len(), 43);
        assert_eq!(iso8601(Timestamp(1_607_418_537_700)), "2020-12-08T09:08:57.700Z");
    }

    #[test]
    fn settings_are_looked_at() {
        for (settings, field) in [
            (json!({ "base_url": "example.com" }), "settings.base_url"),
            (json!({ "test_path": "x" }), "settings.test_path"),
            (json!({ "method": "DELETE" }), METHOD),
            (json!({ "algorithm": "md5" }), ALGORITHM),
            (json!({ "algorithm": 1 }), ALGORITHM),
            (json!({ "secret_encoding": "hex" }), "secret"),
            (json!({ "secret_encoding": "rot13" }), SECRET_ENCODING),
            (json!({ "ts_unit": "days" }), TS_UNIT),
            (json!({ "output": "binary" }), OUTPUT),
            (json!({ "body_hash": "md5" }), BODY_HASH),
            (json!({ "template": "{body_hash}" }), BODY_HASH),
            (json!({ "template": "{recv_window}" }), RECV_WINDOW),
            (json!({ "recv_window": "5 s" }), RECV_WINDOW),
            (json!({ "template": "{passphrase}" }), "passphrase"),
            (json!({ "template": "{secret}" }), TEMPLATE),
            (json!({ "template": "{signature}" }), TEMPLATE),
            (json!({ "template": "a\tb" }), TEMPLATE),
            (json!({ "headers": { "X-Key": "{api_key}" } }), HEADERS),
            (json!({ "headers": null }), HEADERS),
            (json!({ "headers": { "X-Sign": "{signatur}" } }), HEADERS),
            (json!({ "headers": { "X-Sign": "{signature}{body}" } }), HEADERS),
            (json!({ "headers": { "X-Sign": r"{signature}\nX: y" } }), HEADERS),
            (json!({ "headers": { "Host": "{signature}" } }), HEADERS),
            (json!({ "headers": { "Transfer-Encoding": "{signature}" } }), HEADERS),
            (json!({ "headers": { "X Sign": "{signature}" } }), HEADERS),
            (json!({ "query_signature_param": "a=b" }), PARAMETER),
        ] {
            assert_eq!(
                mistakes(&GenericHmac, &credential("key", "secret", &settings)),
                [field],
                "{settings}"
            );
        }
    }
}
