//! What a setting may be. Values below a security floor refuse to start; there is no switch for that.

use url::{Host, Url};

use super::{Config, Tokens, within};
use crate::plugins::{connectors, kyc};

pub(super) fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

impl Config {
    /// Every mistake, one line each; none when the settings can be used.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut errors = vec![];
        let mut demand = |holds: bool, line: &str| {
            if !holds {
                errors.push(line.to_owned());
            }
        };
        demand(
            self.listen.parse::<std::net::SocketAddr>().is_ok(),
            "listen: expected an address such as 127.0.0.1:8080",
        );
        if let Some(address) = &self.metrics_listen {
            demand(
                address.parse::<std::net::SocketAddr>().is_ok(),
                "metrics_listen: expected an address such as 127.0.0.1:9090",
            );
        }
        if let Some(url) = &self.database_url {
            let url = url.expose();
            demand(
                ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)),
                "database_url: expected sqlite://… or postgres://…",
            );
            demand(
                !url.starts_with("sqlite:") || !url.contains('%') && !url.contains(":memory:"),
                "database_url: SQLite needs the path of a file, without percent signs",
            );
        }
        demand(
            self.root_key.is_some() || self.previous_root_keys.is_empty(),
            "previous_root_keys: useless without root_key; further keys of root.key are lines of that file",
        );
        demand((2..=1000).contains(&self.database_connections), "database_connections: expected 2 to 1000");
        for (name, url) in
            [("public_url", &self.public_url), ("verified_redirect_url", &self.verified_redirect_url)]
        {
            if let Some(url) = url {
                demand(
                    matches!(url.scheme(), "http" | "https") && url.has_host(),
                    &format!("{name}: expected an http or https URL"),
                );
                demand(
                    name != "public_url" || (url.query().is_none() && url.fragment().is_none()),
                    "public_url: takes no query and no fragment",
                );
            }
        }
        demand(
            self.mail_from.parse::<lettre::message::Mailbox>().is_ok(),
            "mail_from: expected an address such as Example <no-reply@example.com>",
        );
        demand(
            !self.product_name.trim().is_empty() && !self.product_name.contains(char::is_control),
            "product_name: expected a name",
        );
        for origin in &self.cors_origins {
            let plain = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            demand(
                plain,
                "cors_origins: expected origins such as https://app.example.com, without a path or *",
            );
        }
        demand(
            self.log.level.parse::<tracing_subscriber::filter::Targets>().is_ok(),
            "log.level: expected error, warn, info, debug, trace or directives such as latchkey=debug",
        );

        if let Some(url) = &self.traces.otlp_url {
            let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
            demand(
                matches!(url.scheme(), "http" | "https") && url.has_host() && plain,
                "traces.otlp_url: expected an http or https URL without credentials",
            );
        }
        demand((0.0..=1.0).contains(&self.traces.ratio), "traces.ratio: expected 0 to 1");

        demand(self.hashing.memory_kib >= 19_456, "hashing.memory_kib: below the floor of 19456 (19 MiB)");
        demand(self.hashing.memory_kib <= 4_194_304, "hashing.memory_kib: above 4194304 (4 GiB)");
        demand(self.hashing.iterations >= 2, "hashing.iterations: below the floor of 2");
        demand(self.hashing.iterations <= 100, "hashing.iterations: above 100");
        demand((1..=16).contains(&self.hashing.parallelism), "hashing.parallelism: expected 1 to 16");
        demand(self.hashing.threads <= 1024, "hashing.threads: expected 0 to 1024");
        demand((1..=100_000).contains(&self.hashing.queue), "hashing.queue: expected 1 to 100000");

        if let Some(url) = &self.passwords.breach_url {
            let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            demand(
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && plain
                    && url.password().is_none(),
                "passwords.breach_url: expected an http or https URL without credentials, query and fragment",
            );
        }
        demand(
            (100..=10_000).contains(&self.passwords.breach_timeout_ms),
            "passwords.breach_timeout_ms: expected 100 to 10000",
        );

        demand(
            (1..=100_000).contains(&self.vault.keys_per_account),
            "vault.keys_per_account: expected 1 to 100000",
        );
        if let Some(url) = &self.vault.transit_url {
            let local = match url.host() {
                Some(Host::Domain(name)) => name == "localhost",
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            };
            let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
            demand(
                (url.scheme() == "https" || url.scheme() == "http" && local) && url.has_host() && plain,
                "vault.transit_url: expected an https URL (or http on this machine) without credentials and query",
            );
        }
        demand(
            self.vault.transit_url.is_some() == self.vault.transit_token.is_some(),
            "vault.transit_url: goes with vault.transit_token, and neither without the other",
        );
        let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        demand(
            !self.vault.transit_key.is_empty() && self.vault.transit_key.chars().all(letter),
            "vault.transit_key: expected letters, digits, - and _",
        );
        for (name, url) in &self.vault.base_urls {
            let known = name.split_once('.').is_some_and(|(connector, environment)| {
                connectors::find(connector)
                    .is_some_and(|found| found.about().environment(environment).is_some())
            });
            demand(
                known,
                &format!("vault.base_urls: {name} is no connector and environment, such as binance.live"),
            );
            demand(
                matches!(url.scheme(), "http" | "https") && url.has_host() && matches!(url.path(), "" | "/"),
                &format!("vault.base_urls: {name}: expected an http or https URL without a path"),
            );
        }

        let tokens = &self.tokens;
        demand(
            (60..=Tokens::MOST_ACCESS_SECONDS).contains(&tokens.access_seconds),
            "tokens.access_seconds: expected 60 to 3600",
        );
        demand(
            (300..=31_536_000).contains(&tokens.session_seconds),
            "tokens.session_seconds: expected 300 to 31536000 (a year)",
        );
        demand(
            (300..=tokens.session_seconds.max(300)).contains(&tokens.session_idle_seconds),
            "tokens.session_idle_seconds: expected 300 to tokens.session_seconds",
        );
        demand(tokens.refresh_grace_seconds <= 60, "tokens.refresh_grace_seconds: expected 0 to 60");
        demand(
            (300..=604_800).contains(&tokens.verification_seconds),
            "tokens.verification_seconds: expected 300 to 604800 (a week)",
        );
        demand(
            (1..=10_000).contains(&tokens.sessions_per_account),
            "tokens.sessions_per_account: expected 1 to 10000",
        );
        for (name, seconds, longest) in [
            ("ticket_seconds", tokens.ticket_seconds, 900),
            ("remembered_device_seconds", tokens.remembered_device_seconds, 7_776_000),
            ("reset_seconds", tokens.reset_seconds, 86_400),
            ("email_revert_seconds", tokens.email_revert_seconds, 2_592_000),
        ] {
            demand((60..=longest).contains(&seconds), &format!("tokens.{name}: expected 60 to {longest}"));
        }
        demand(
            tokens.audience.as_ref().is_none_or(|audience| !audience.trim().is_empty()),
            "tokens.audience: must not be empty",
        );
        demand(
            (4..=604_800).contains(&tokens.publish_ahead_seconds),
            "tokens.publish_ahead_seconds: expected 4 to 604800 (a week)",
        );

        let assurance = &self.assurance;
        demand(
            (60..=86_400).contains(&assurance.recent_seconds),
            "assurance.recent_seconds: expected 60 to 86400",
        );
        demand(
            assurance.recovery_seconds <= 2_592_000,
            "assurance.recovery_seconds: expected 0 to 2592000 (30 days)",
        );
        for (operation, requirement) in &assurance.routes {
            demand(
                (0..=2).contains(&requirement.aal) && (0..=2).contains(&requirement.ial),
                &format!("assurance.routes.{operation}: aal and ial are 0, 1 or 2"),
            );
        }

        self.validate_kyc(&mut demand);
        self.validate_webhooks(&mut demand);
        self.validate_passkeys(&mut demand);

        demand(
            (1..=86_400).contains(&self.limits.resend_wait_seconds),
            "limits.resend_wait_seconds: expected 1 to 86400",
        );
        demand(
            (self.limits.resend_wait_seconds..=86_400).contains(&self.limits.resend_wait_max_seconds),
            "limits.resend_wait_max_seconds: expected limits.resend_wait_seconds to 86400",
        );

        let http = &self.http;
        demand(
            (1..=1_000_000).contains(&http.max_connections),
            "http.max_connections: expected 1 to 1000000",
        );
        for (name, seconds) in [
            ("header_timeout_seconds", http.header_timeout_seconds),
            ("body_timeout_seconds", http.body_timeout_seconds),
            ("idle_timeout_seconds", http.idle_timeout_seconds),
            ("write_timeout_seconds", http.write_timeout_seconds),
            ("shutdown_seconds", http.shutdown_seconds),
        ] {
            demand((1..=600).contains(&seconds), &format!("http.{name}: expected 1 to 600"));
        }
        demand(
            (1024..=1_048_576).contains(&http.max_body_bytes),
            "http.max_body_bytes: expected 1024 to 1048576",
        );
        demand(
            (8192..=262_144).contains(&http.max_header_bytes),
            "http.max_header_bytes: expected 8192 to 262144",
        );

        demand((1..=3650).contains(&self.retention.ended_days), "retention.ended_days: expected 1 to 3650");
        demand(
            (1..=3650).contains(&self.retention.unverified_days),
            "retention.unverified_days: expected 1 to 3650",
        );
        demand(
            (1..=365).contains(&self.retention.deletion_days),
            "retention.deletion_days: expected 1 to 365",
        );
        demand(
            (30..=36_500).contains(&self.retention.audit_days),
            "retention.audit_days: expected 30 to 36500",
        );
        errors
    }

    fn validate_kyc(&self, demand: &mut impl FnMut(bool, &str)) {
        let kyc = &self.kyc;
        for (name, settings) in &kyc.providers {
            let Some(provider) = kyc::find(name).filter(|found| found.about().name != kyc::DEMO) else {
                demand(false, &format!("kyc.providers.{name}: there is no such provider"));
                continue;
            };
            let about = provider.about();
            let unsigned = (about.signature.is_empty()).then_some("webhook_tokens");
            for need in about.needs.iter().copied().chain(unsigned) {
                demand(settings.has(need), &format!("kyc.providers.{name}.{need}: missing"));
            }
            demand(
                !settings.levels.is_empty(),
                &format!("kyc.providers.{name}.levels: expected a level at least, such as full = \"…\""),
            );
            demand(
                settings.levels.keys().all(|level| is_word(level)),
                &format!("kyc.providers.{name}.levels: names are of lower-case letters, digits, - and _"),
            );
            for (secrets, setting) in
                [(&settings.webhook_secrets, "webhook_secrets"), (&settings.webhook_tokens, "webhook_tokens")]
            {
                demand(
                    secrets.len() <= 2 && secrets.iter().all(|secret| secret.expose().len() >= 8),
                    &format!("kyc.providers.{name}.{setting}: expected one or two of 8 characters at least"),
                );
            }
            for line in provider.check(settings) {
                demand(false, &format!("kyc.providers.{name}.{line}"));
            }
        }
        for grant in &kyc.grants {
            demand((0..=2).contains(&grant.ial), "kyc.grants: ial is 0, 1 or 2");
            demand((1..=36_500).contains(&grant.valid_days), "kyc.grants: valid_days: expected 1 to 36500");
            demand(
                grant.provider == "*" || kyc::find(&grant.provider).is_some(),
                &format!("kyc.grants: {}: there is no such provider", grant.provider),
            );
        }
        let is_country =
            |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        demand(
            kyc.countries.len() <= 300 && kyc.countries.iter().all(is_country),
            "kyc.countries: expected codes such as DE (ISO 3166-1 alpha-2)",
        );
        demand(
            (600..=7_776_000).contains(&kyc.verification_seconds),
            "kyc.verification_seconds: expected 600 to 7776000 (90 days)",
        );
        demand((60..=86_400).contains(&kyc.poll_seconds), "kyc.poll_seconds: expected 60 to 86400");
        demand((1..=3650).contains(&kyc.events_days), "kyc.events_days: expected 1 to 3650");
    }

    fn validate_passkeys(&self, demand: &mut impl FnMut(bool, &str)) {
        let Some(rp_id) = self.rp_id() else {
            demand(
                self.passkeys.origins.is_empty(),
                "passkeys.origins: useless without passkeys.rp_id or a domain in public_url",
            );
            return;
        };
        let plain = matches!(Host::parse(&rp_id), Ok(Host::Domain(domain)) if domain == rp_id);
        demand(plain, "passkeys.rp_id: expected a domain such as example.com");
        demand(
            !plain || self.passkey_origins(&rp_id).iter().any(|origin| within(origin, &rp_id)),
            "passkeys.rp_id: neither public_url nor one of passkeys.origins lies within this domain",
        );
        for origin in &self.passkeys.origins {
            demand(
                is_app(origin) || Url::parse(origin).is_ok_and(|url| is_secure_origin(&url, origin, &rp_id)),
                &format!(
                    "passkeys.origins: expected https://… at or below {rp_id}, without a path, or android:apk-key-hash:…"
                ),
            );
        }
    }
}

/// The name of an Android app: the hash of the certificate that signed it.
fn is_app(origin: &str) -> bool {
    let hash = origin.strip_prefix("android:apk-key-hash:");
    hash.is_some_and(|hash| {
        hash.len() == 43 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

/// An origin of the domain that browsers offer passkeys on.
fn is_secure_origin(url: &Url, written: &str, rp_id: &str) -> bool {
    let local = url.domain().is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
    url.origin().ascii_serialization() == written
        && (url.scheme() == "https" || (url.scheme() == "http" && local))
        && within(url, rp_id)
}
