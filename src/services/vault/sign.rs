//! Using a credential without showing it: the server signs one request, of those that the owner allows.

use entities::{ApiKeyId, api_key};
use reqwest::Method;

use super::super::access_keys::Scope;
use super::super::audit::Action;
use super::super::limits::Limit;
use super::super::{Error, Origin, Services};
use super::{Mistake, Rule, TRIES, Visitor, connector};
use crate::plugins::connectors::{Request, Stamp};

/// A request that somebody is about to send to the service.
#[derive(Debug, Clone)]
pub struct SignRequest {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: String,
}

impl SignRequest {
    /// Whether the path means the same to everybody who reads it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        is_plain(&self.path)
    }

    /// Whether one of these rules allows it, if it is plain.
    #[must_use]
    pub fn is_allowed_by(&self, rules: &[Rule]) -> bool {
        rules.iter().any(|rule| allows(rule, &self.method, &self.path))
    }
}

/// What to send.
#[derive(Debug)]
pub struct Signed {
    /// Where it goes: scheme and host.
    pub base_url: String,
    pub request: Request,
}

impl Services {
    /// Signs a request with a stored credential. Which ones may be, its owner has said.
    pub async fn sign_with_api_key(
        &self,
        visitor: &Visitor,
        id: ApiKeyId,
        request: SignRequest,
        origin: &Origin,
    ) -> Result<Signed, Error> {
        visitor.demand(Scope::Sign)?;
        self.demand_unsealed(visitor.recovering_until())?;
        let mut row = self.api_key_of(self.db.reader(), visitor.account(), id).await?;
        for _ in 0..TRIES {
            if let Some(signed) = self.try_sign(visitor, &row, &request, origin).await? {
                return Ok(signed);
            }
            row = self.api_key_again(visitor, id).await?;
        }
        Err(Error::Overloaded)
    }

    /// Nothing if the use could not be marked.
    async fn try_sign(
        &self,
        visitor: &Visitor,
        row: &api_key::Model,
        request: &SignRequest,
        origin: &Origin,
    ) -> Result<Option<Signed>, Error> {
        if row.expires_at.is_some_and(|end| end <= self.sources.now()) {
            return Err(Error::CredentialExpired);
        }
        let connector = connector(row)?;
        if !connector.keeps_secret() {
            return Err(Error::SigningUnsupported);
        }
        let rules: Vec<Rule> = serde_json::from_str(&row.rules).unwrap_or_default();
        if !request.is_plain() {
            let message = "Expected a path from the root, percent-encoded, without `..` and `//`";
            return Err(Error::InvalidFields(vec![Mistake::new("path", message)]));
        }
        if !request.is_allowed_by(&rules) {
            return Err(Error::SigningNotAllowed);
        }
        let rate = self.config.limits.sign_per_key;
        self.admit(vec![Limit::subject("sign", &row.id.to_string(), rate)]).await?;
        let credential = self.credential(row).await?;
        let base_url = self.vault.network.base_url(connector, &credential);
        let base_url = base_url.map_err(|report| Error::Unavailable(report.advice.to_owned()))?;
        // Without its nonce, which comes with the mark: between that and the answer nothing is waited for.
        let stamp = self.vault.network.stamp(connector, &credential, 0).await;
        let stamp = stamp.map_err(|report| Error::Unavailable(report.advice.to_owned()))?;

        let now = self.sources.now();
        let detail = serde_json::json!({
            "api_key": row.id.to_string(), "method": request.method, "path": request.path,
        });
        let record = self.audit(visitor.event(Action::ApiKeySigned, origin).detail(visitor.detail(detail)));
        let (visitor, id, version) = (visitor.clone(), row.id, row.version);
        let nonce = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let set = "last_used_at = $1, nonce = CASE WHEN nonce < $1 THEN $1 ELSE nonce + 1 END";
                    let nonce = visitor.mark_use(transaction, id, version, now, set).await?;
                    if nonce.is_some() {
                        record.write(transaction).await?;
                    }
                    Ok(nonce)
                })
            })
            .await?;
        let Some(nonce) = nonce else { return Ok(None) };
        let stamp = Stamp { nonce: u64::try_from(nonce).unwrap_or(0), ..stamp };
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Error::Internal("a method that is in a rule is none".into()))?;
        let plain = Request::new(method, &request.path).query(&request.query).body(&request.body);
        let signed = connector.sign(plain, &credential, &stamp);
        let signed = signed.map_err(|error| Error::InvalidFields(vec![Mistake::new("body", error.0)]))?;
        Ok(Some(Signed { base_url: base_url.origin().ascii_serialization(), request: signed }))
    }
}

fn is_plain(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte);
    let lower = path.to_ascii_lowercase();
    path.starts_with('/')
        && path.bytes().all(allowed)
        // `%%32e` is `%2e` to whoever decodes once, and a dot to whoever does it twice.
        && path.split('%').skip(1).all(|coded| coded.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
        && !path.contains("//")
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        // Dots, slashes and percent signs in disguise.
        && !["%2e", "%2f", "%5c", "%25", "%00"].iter().any(|coded| lower.contains(coded))
}

fn allows(rule: &Rule, method: &str, path: &str) -> bool {
    rule.method == method
        && match rule.path.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => path == rule.path,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_allows_what_it_names() {
        let rule = |path: &str| Rule { method: "GET".to_owned(), path: path.to_owned() };
        assert!(allows(&rule("/api/v3/account"), "GET", "/api/v3/account"));
        assert!(allows(&rule("/api/v3/*"), "GET", "/api/v3/account"));
        for (rule, method, path) in [
            (rule("/api/v3/account"), "POST", "/api/v3/account"),
            (rule("/api/v3/account"), "get", "/api/v3/account"),
            (rule("/api/v3/account"), "GET", "/api/v3/account/"),
            (rule("/api/v3/account"), "GET", "/api/v3/accounts"),
            (rule("/api/v3/*"), "GET", "/api/v3"),
            (rule("/api/v3/*"), "GET", "/sapi/v1/capital/withdraw/apply"),
        ] {
            assert!(!allows(&rule, method, path), "{rule:?} {method} {path}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_none() {
        for path in ["/api/v3/account", "/v5/user/query-api", "/0/private/Balance", "/a%20b"] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "",
            "api",
            "//host/path",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/..",
            "/a/%2e%2e/b",
            "/a/%2E/b",
            "/a%2Fb",
            "/a%5cb",
            "/a%252e",
            "/a/%%32e%%32e/b",
            "/a%2",
            "/a%zz",
            "/a%",
            "/a?b",
            "/a#b",
            "/a b",
            "/a\nb",
            "/ä",
            "/a\\b",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
