//! `latchkey doctor`: what is wrong, and how to mend it.

use std::path::Path;

use entities::server_key;
use sea_orm::EntityTrait;

use crate::clock::Sources;
use crate::config::{self, Config};
use crate::crypto::root_key_file::RootKeyFile;
use crate::db::Db;
use crate::plugins::mail;
use crate::services::Services;
use crate::services::clock_check::CLOCKS_AGREE;

/// Findings, printed as they come.
#[derive(Default)]
struct Report {
    problems: usize,
}

impl Report {
    fn good(&self, what: &str) {
        println!("ok       {what}");
    }

    fn note(&self, what: &str, mend: &str) {
        println!("note     {what}\n         {mend}");
    }

    fn bad(&mut self, what: &str, mend: &str) {
        self.problems += 1;
        println!("PROBLEM  {what}\n         {mend}");
    }
}

pub async fn run(file: &Path, named: bool) -> Result<(), String> {
    let mut report = Report::default();
    match config::load(file, named) {
        Err(errors) => {
            for line in errors.0 {
                report.bad(&line, "Mend this setting; README.md lists them all.");
            }
        }
        Ok(config) => {
            report.good("configuration");
            settings(&config, &mut report);
            mails(&config, &mut report).await;
            database(config, &mut report).await;
        }
    }
    match report.problems {
        0 => Ok(()),
        1 => Err("1 problem".into()),
        count => Err(format!("{count} problems")),
    }
}

fn settings(config: &Config, report: &mut Report) {
    if !config.limits.enabled {
        report.bad(
            "limits are off (limits.enabled)",
            "Passwords can be guessed at full speed. Remove the setting.",
        );
    }
    let public = config.public_url();
    if public.starts_with("http://")
        && !["127.", "localhost", "[::1]"].iter().any(|local| public[7..].starts_with(local))
    {
        report.bad(
            &format!("public_url is {public}: passwords and tokens would travel in clear"),
            "Put a proxy with TLS in front and set LATCHKEY_PUBLIC_URL=https://…",
        );
    }
    if public.starts_with("https://") && config.trusted_proxies.is_empty() {
        report.note(
            "no trusted proxies, though public_url is https",
            "If a proxy terminates TLS, all clients share its address in limits and audit. Set LATCHKEY_TRUSTED_PROXIES.",
        );
    }
    if let Some(host) = remote_database_without_tls(config) {
        report.bad(
            &format!("the connection to the database on {host} may be in clear or to an impostor"),
            "Add ?sslmode=verify-full to LATCHKEY_DATABASE_URL (and sslrootcert=… for a private authority).",
        );
    }
    if config.mail_from.ends_with("@localhost>") {
        report.note(
            "mail_from is not set",
            "Receivers will refuse mail from localhost. Set LATCHKEY_MAIL_FROM.",
        );
    }
    #[cfg(unix)]
    if let Some(file) = RootKeyFile::of(config) {
        use std::os::unix::fs::PermissionsExt;
        let path = file.path();
        match std::fs::metadata(path) {
            Ok(found) if found.permissions().mode() & 0o077 != 0 => report.bad(
                &format!("{} can be read by others", path.display()),
                &format!("chmod 600 {}", path.display()),
            ),
            Ok(_) => report.good("root key"),
            Err(_) => report.note(
                "there is no root key",
                "`latchkey serve` makes the first one. Keep a copy apart from the database.",
            ),
        }
    }
}

/// The host of a PostgreSQL server on another machine whose certificate is not verified.
fn remote_database_without_tls(config: &Config) -> Option<String> {
    let url = url::Url::parse(config.database_url().expose())
        .ok()
        .filter(|url| url.scheme().starts_with("postgres"))?;
    let host = url.host_str()?.to_owned();
    let local = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let verified = url.query_pairs().any(|(key, value)| key == "sslmode" && value == "verify-full");
    (!local && !verified).then_some(host)
}

async fn mails(config: &Config, report: &mut Report) {
    let transport = match mail::from_url(config.mail_url().expose()) {
        Ok(transport) => transport,
        Err(error) => {
            return report.bad(&format!("mail: {error}"), "Mend LATCHKEY_MAIL_URL.");
        }
    };
    match transport.check().await {
        Ok(()) => report.good(&format!("mail: {}", transport.describe())),
        Err(error) => report.bad(
            &format!("mail: {}: {error}", transport.describe()),
            "Mails wait and are sent when this works. Check host, port, TLS and password in LATCHKEY_MAIL_URL.",
        ),
    }
}

async fn database(config: Config, report: &mut Report) {
    if let Err(line) = super::demand_database(&config) {
        return report.note(&format!("database: {line}"), "`latchkey serve` makes one.");
    }
    let db = match Db::connect(&config).await {
        Ok(db) => db,
        Err(error) => {
            return report.bad(
                &format!("database: {error}"),
                "Check that it runs, and host, name and password in LATCHKEY_DATABASE_URL.",
            );
        }
    };
    match db.migration_status().await {
        Ok((applied, pending)) if pending.is_empty() => {
            report.good(&format!("database: {}, {} migrations", db.engine_name(), applied.len()));
        }
        Ok((_, pending)) => {
            let pending = pending.join(", ");
            return report.note(
                &format!("database: the schema lacks {pending}"),
                "`latchkey serve` brings it up to date, and so does `latchkey migrate up`.",
            );
        }
        Err(error) => {
            return report.bad(&crate::server::schema_error(&error), "Nothing was changed.");
        }
    }
    if let Some(file) = RootKeyFile::of(&config).filter(|file| !file.path().exists()) {
        // Services would make one, and a look must change nothing.
        match server_key::Entity::find().one(db.reader()).await {
            Err(error) => report.bad(&format!("database: {error}"), "Check the database."),
            Ok(None) => {}
            Ok(Some(_)) => report.bad(
                &format!("{} is missing, and this database was made with one", file.path().display()),
                "Put your copy there. Any other opens nothing that is stored.",
            ),
        }
        return;
    }
    match Services::start(config.into(), db, Sources::system()).await {
        Err(error) => report.bad(
            &error,
            "Servers don't start with it. Mend what it names; a root key has to be the one that this database was made with.",
        ),
        Ok(services) => {
            report.good(&format!(
                "keys: {} to verify with",
                services.keys.public_keys(services.sources.now()).len()
            ));
            if services.config.vault.transit_url.is_some() {
                match services.check_vault().await {
                    Ok(()) => report.good("Transit: wraps keys of credentials"),
                    Err(failure) => report.bad(
                        &format!("Transit: {failure}"),
                        "Credentials can't be stored or used. Check vault.transit_url, and that the token may encrypt and decrypt.",
                    ),
                }
            }
            match services.db.clock_skew(services.sources.now()).await {
                Err(error) => report.bad(&format!("clock: {error}"), "Check the database."),
                Ok(skew) if skew > CLOCKS_AGREE => report.bad(
                    &format!("clock: {} s from the database's", skew.as_secs()),
                    "Set both by NTP. Until then this node removes nothing that has ended.",
                ),
                Ok(_) => report.good("clock"),
            }
            queues(&services, report).await;
            services.db.close().await;
        }
    }
}

async fn queues(services: &Services, report: &mut Report) {
    let queues = [
        (
            "mails",
            services.mail_backlog().await,
            "See last_error in the table outbox_messages; the log names each.",
        ),
        (
            "webhooks",
            services.webhook_backlog().await,
            "`latchkey webhooks list --state dead` says why; `latchkey webhooks replay --dead` sends them again.",
        ),
        (
            "webhooks of providers",
            services.kyc_backlog().await,
            "`latchkey kyc events --state dead` says why; `latchkey kyc retry` has one worked on again.",
        ),
    ];
    for (what, backlog, mend) in queues {
        match backlog {
            Err(error) => report.bad(&format!("{what}: {error}"), "Check the database."),
            Ok(backlog) if backlog.dead > 0 => {
                report
                    .bad(&format!("{what}: {} were given up, {} wait", backlog.dead, backlog.pending), mend);
            }
            Ok(backlog) => report.good(&format!("{what}: {} wait", backlog.pending)),
        }
    }
}
