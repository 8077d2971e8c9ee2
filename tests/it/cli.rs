//! The command line, as an operator uses it: the real binary.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{App, Authenticator, Database, Engine, Node, PASSWORD};

const FOREIGN_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

on_both_engines! {
    async fn accounts_are_listed_shown_disabled_enabled_and_deleted(app: App) {
        let ada = app.user("ada@example.com").await;
        app.sign_up("bob@example.com", PASSWORD).await;
        let latchkey = async |arguments: &[&str]| app.database.run(arguments, &[]).await;

        let list = latchkey(&["users", "list"]).await.assert_success().stdout;
        assert_eq!(list.lines().count(), 2, "{list}");
        assert!(list.lines().any(|line| line.contains(&ada.id) && line.contains("active") && line.ends_with("ada@example.com")), "{list}");
        assert!(list.lines().any(|line| line.contains("unverified") && line.ends_with("bob@example.com")), "{list}");
        let first = latchkey(&["users", "list", "--limit", "1"]).await.assert_success().stdout;
        let after = first.rsplit_once("--after ").expect("how to go on").1.trim().to_owned();
        let rest = latchkey(&["users", "list", "--after", &after]).await.assert_success().stdout;
        assert_eq!(rest.lines().count(), 1, "{rest}");

        for who in ["ADA@example.com", &ada.id] {
            let shown = latchkey(&["users", "show", who]).await.assert_success().stdout;
            assert!(shown.contains(&ada.id) && shown.contains("ada@example.com") && !shown.contains("argon2"), "{shown}");
        }
        latchkey(&["users", "disable", "ada@example.com"]).await.assert_success();
        assert!(latchkey(&["users", "disable", &ada.id]).await.assert_success().stdout.contains("already"));
        assert!(latchkey(&["users", "show", &ada.id]).await.stdout.contains("disabled"));
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "account_disabled");
        latchkey(&["users", "enable", &ada.id]).await.assert_success();
        app.login("ada@example.com", PASSWORD).await;

        let asked = latchkey(&["users", "delete", "ada@example.com"]).await.assert_failure("--yes");
        assert!(asked.stdout.contains(&ada.id));
        app.login("ada@example.com", PASSWORD).await;
        latchkey(&["users", "delete", "ada@example.com", "--yes"]).await.assert_success();
        app.try_login("ada@example.com", PASSWORD).await.assert_error(401, "invalid_credentials");
        latchkey(&["users", "show", &ada.id]).await.assert_failure("no such account");
        assert_eq!(latchkey(&["users", "show", "nonsense"]).await.code, Some(2));
        for action in ["account.disabled", "account.enabled", "account.deleted"] {
            assert_eq!(App::only_event(app.audit().await, action).actor, "operator");
        }
    }

    async fn lost_second_factors_are_removed(app: App) {
        let (mut ada, totp, codes) = app.user_with_totp("ada@example.com").await;
        ada.add_passkey("Laptop", &mut Authenticator::new()).await;
        let ticket = app.ticket("ada@example.com", PASSWORD).await;
        let body = json!({ "ticket": ticket, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
        app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200);
        let ticket = app.ticket("ada@example.com", PASSWORD).await;
        let run = async |arguments: &[&str]| {
            let all = [&["users", "reset-factors"], arguments].concat();
            app.database.run(&all, &[]).await
        };
        let asked = run(&["ada@example.com"]).await.assert_failure("--yes");
        assert!(asked.stdout.contains(&ada.id));
        ada.profile().await.assert_status(200);

        let done = run(&["ada@example.com", "--yes"]).await.assert_success().stdout;
        assert!(done.contains("no second factor any more"), "{done}");
        ada.profile().await.assert_error(401, "invalid_token");
        app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_error(401, "invalid_mfa_ticket");
        // The command is another process, on the system's clock; this one stands still.
        app.clock.advance_seconds(60);
        let ada = app.login("ada@example.com", PASSWORD).await;
        let factors = ada.get("/auth/mfa").await.json();
        assert_eq!((&factors["enabled"], &factors["totp"], &factors["passkeys"]), (&json!(false), &json!([]), &json!(0)), "{factors}");
        assert_eq!(ada.get("/auth/mfa/devices").await.json()["devices"], json!([]));
        // A new factor does not count before its time.
        let mut ada = ada;
        let (totp, _) = ada.add_totp("New phone", app.now()).await;
        app.next_code();
        assert_eq!(app.login_with_totp("ada@example.com", PASSWORD, &totp).await.claims()["aal"], 1);
        let event = App::only_event(app.audit().await, "factor.all_removed");
        assert_eq!((event.actor.as_str(), event.account_id.map(|id| id.to_string())), ("operator", Some(ada.id.clone())));
        app.mail_of("ada@example.com", "factors_reset").await;

        app.verified("bob@example.com", PASSWORD).await;
        let none = run(&["bob@example.com", "--yes"]).await.assert_success().stdout;
        assert!(none.contains("had no second factor"), "{none}");
        run(&["nobody@example.com", "--yes"]).await.assert_failure("no such account");
    }

    async fn keys_are_listed_and_rotated(app: App) {
        let ada = app.user("ada@example.com").await;
        let before = app.database.run(&["keys", "list"], &[]).await.assert_success().stdout;
        assert!(before.lines().count() == 1 && before.contains("signing") && before.contains("EdDSA"), "{before}");
        let rotated = app.database.run(&["keys", "rotate", "--algorithm", "ES256"], &[]).await.assert_success().stdout;
        assert!(rotated.contains("Published") && rotated.contains("ES256"), "{rotated}");
        let after = app.database.run(&["keys", "list"], &[]).await.assert_success().stdout;
        assert!(after.lines().count() == 2 && after.contains("published") && after.contains("until"), "{after}");
        // The running server refuses nothing, and learns of the new key without a restart.
        ada.profile().await.assert_status(200);
        app.services.keys.reload(&app.services.db, app.services.sources.now()).await;
        assert_eq!(app.anonymous().get("/.well-known/jwks.json").await.json()["keys"].as_array().map(Vec::len), Some(2));
        ada.profile().await.assert_status(200);
    }

    async fn the_schema_is_shown_and_brought_up_to_date(engine: Engine) {
        let database = Database::create(engine).await;
        let status = database.run(&["migrate", "status"], &[]).await.assert_success().stdout;
        assert!(status.contains("pending  m0001_accounts") && !status.contains("applied"), "{status}");
        for _ in 0..2 {
            let up = database.run(&["migrate", "up"], &[]).await.assert_success().stdout;
            assert!(up.contains("applied  m0001_accounts") && !up.contains("pending"), "{up}");
        }
    }

    async fn the_doctor_finds_nothing_wrong_with_a_good_server(engine: Engine) {
        let database = Database::create(engine).await;
        Node::serve(&database, &[]).await.terminate().await;
        let settings = [("LATCHKEY_MAIL_FROM", "Acme <id@acme.example>"), ("LATCHKEY_VAULT__PORTS", "8443, 9443")];
        let report = database.run(&["doctor"], &settings).await;
        for part in ["ok       configuration", "ok       root key", "ok       mail", "ok       database", "ok       keys", "ok       mails"] {
            assert!(report.stdout.contains(part), "{part}: {report:?}");
        }
    }

    async fn the_doctor_names_what_is_wrong_and_the_cure(engine: Engine) {
        let database = Database::create(engine).await;
        Node::serve(&database, &[]).await.terminate().await;
        let doctor = async |name: &str, value: &str| database.run(&["doctor"], &[(name, value)]).await.assert_failure("problem");
        for (name, value, problem) in [
            ("LATCHKEY_LIMITS__ENABLED", "false", "limits are off"),
            ("LATCHKEY_PUBLIC_URL", "http://id.example.com", "public_url"),
            ("LATCHKEY_ROOT_KEY", FOREIGN_KEY, "another root key"),
            ("LATCHKEY_MAIL_URL", "gopher://user:canary@mail.example.com", "scheme gopher"),
            ("LATCHKEY_MAIL_URL", "smtp://127.0.0.1:1", "mail: SMTP to 127.0.0.1:1"),
            ("LATCHKEY_DATABASE_URL", "postgres://user:canary@127.0.0.1:1/none", "database:"),
            ("LATCHKEY_HASHING__MEMORY_KIB", "1024", "below the floor"),
            ("LATCHKEY_NONSENSE", "1", "unknown setting"),
        ] {
            let report = doctor(name, value).await;
            let at = report.stdout.lines().position(|line| line.starts_with("PROBLEM") && line.contains(problem));
            let at = at.unwrap_or_else(|| panic!("{name}={value}: {report:?}"));
            assert!(report.stdout.lines().nth(at + 1).is_some_and(|cure| cure.starts_with("         ")), "{report:?}");
            assert!(!format!("{report:?}").contains("canary"), "{report:?}");
        }
        let key = database.directory.path().join("root.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(doctor("LATCHKEY_LOG__LEVEL", "info").await.stdout.contains("chmod 600"));
        // It makes none: another key would only be in the way of the right one.
        std::fs::remove_file(&key).unwrap();
        assert!(doctor("LATCHKEY_LOG__LEVEL", "info").await.stdout.contains("root.key is missing"));
        assert!(!key.exists());
    }

    async fn a_wrong_root_key_is_found_at_the_start(engine: Engine) {
        let database = Database::create(engine).await;
        Node::serve(&database, &[]).await.terminate().await;
        let refused = database.run(&["serve"], &[("LATCHKEY_ROOT_KEY", FOREIGN_KEY)]).await.assert_failure("root_key");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
        assert!(!refused.stderr.contains(FOREIGN_KEY));
    }
}

#[tokio::test]
async fn help_names_every_command_and_where_to_start() {
    let database = Database::create(Engine::Sqlite).await;
    let help = database.run(&["--help"], &[]).await.assert_success().stdout;
    for command in ["serve", "migrate", "openapi", "keys", "users", "doctor"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
        let own = database.run(&[command, "--help"], &[]).await.assert_success().stdout;
        assert!(own.contains("Usage: latchkey"), "{own}");
    }
    assert!(
        help.contains("latchkey serve") && help.contains("/docs/") && help.contains("LATCHKEY_"),
        "{help}"
    );
    let version = database.run(&["--version"], &[]).await.assert_success().stdout;
    assert_eq!(version.trim(), format!("latchkey {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(database.run(&["nonsense"], &[]).await.code, Some(2));
    assert_eq!(database.run(&[], &[]).await.code, Some(2));
}

#[tokio::test]
async fn the_document_is_written_and_checked() {
    let database = Database::create(Engine::Sqlite).await;
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml");
    database.run(&["openapi", "--check", "--file", committed], &[]).await.assert_success();
    database.run(&["openapi", "--check"], &[]).await.assert_failure("openapi.yaml");
    database.run(&["openapi"], &[]).await.assert_success();
    let file = database.directory.path().join("openapi.yaml");
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, std::fs::read_to_string(committed).unwrap());
    std::fs::write(&file, written.replacen("Sign up", "Sign down", 1)).unwrap();
    database.run(&["openapi", "--check"], &[]).await.assert_failure("is not what the code defines");
}

#[tokio::test]
async fn a_fresh_machine_needs_nothing_but_the_command() {
    let database = Database::create(Engine::Sqlite).await;
    let node = Node::serve(
        &database,
        &[("LATCHKEY_DATABASE_URL", ""), ("LATCHKEY_DATA_DIR", ""), ("LATCHKEY_PUBLIC_URL", "")],
    )
    .await;
    let data = database.directory.path().join("data");
    for (name, mode) in [("", 0o700), ("root.key", 0o600), ("latchkey.db", 0o600)] {
        let found = std::fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found & !mode, 0, "{name} is {found:o}");
    }
    for part in [
        format!("API    http://{}", node.address),
        format!("Docs   http://{}/docs/", node.address),
        "Mails  files in ".into(),
    ] {
        assert!(node.announced.contains(&part), "{part}: {}", node.announced);
    }
    node.anonymous().get("/readyz").await.assert_status(200);
}

#[tokio::test]
async fn wrong_settings_are_one_clear_line_each() {
    let database = Database::create(Engine::Sqlite).await;
    for (name, value, words) in [
        ("LATCHKEY_NONSENSE", "canary", "nonsense: unknown setting (in the environment: LATCHKEY_NONSENSE)"),
        ("LATCHKEY_LIMITS__NONSENSE", "canary", "limits.nonsense: unknown setting"),
        ("LATCHKEY_LISTEN", "canary", "listen: expected an address"),
        ("LATCHKEY_DATABASE_URL", "mysql://user:canary@host/name", "database_url: expected sqlite"),
        ("LATCHKEY_DATABASE_CONNECTIONS", "canary", "database_connections"),
        ("LATCHKEY_PUBLIC_URL", "canary", "public_url"),
        ("LATCHKEY_PUBLIC_URL", "ftp://id.example.com", "public_url: expected an http or https URL"),
        ("LATCHKEY_MAIL_FROM", "canary", "mail_from: expected an address"),
        ("LATCHKEY_MAIL_URL", "gopher://user:canary@host", "mail_url"),
        ("LATCHKEY_TRUSTED_PROXIES", "canary", "trusted_proxies"),
        ("LATCHKEY_CORS_ORIGINS", "*", "cors_origins: expected origins"),
        ("LATCHKEY_CORS_ORIGINS", "https://app.example.com/", "cors_origins: expected origins"),
        ("LATCHKEY_PASSKEYS__RP_ID", "https://example.com", "passkeys.rp_id: expected a domain"),
        ("LATCHKEY_PASSKEYS__RP_ID", "127.0.0.1", "passkeys.rp_id: expected a domain"),
        ("LATCHKEY_PASSKEYS__RP_ID", "Example.com", "passkeys.rp_id: expected a domain"),
        ("LATCHKEY_PASSKEYS__RP_ID", "d.example.com", "passkeys.rp_id: neither public_url nor"),
        ("LATCHKEY_PASSKEYS__ORIGINS", "https://app.example.com", "passkeys.origins: expected https"),
        ("LATCHKEY_PASSKEYS__ORIGINS", "http://app.id.example.com", "passkeys.origins: expected https"),
        ("LATCHKEY_PASSKEYS__ORIGINS", "https://app.id.example.com/", "passkeys.origins: expected https"),
        ("LATCHKEY_PASSKEYS__ORIGINS", "android:apk-key-hash:canary", "passkeys.origins: expected https"),
        ("LATCHKEY_ROOT_KEY", "canary", "root_key: expected 32 random bytes"),
        ("LATCHKEY_ROOT_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "root_key"),
        ("LATCHKEY_PREVIOUS_ROOT_KEYS", "canary", "previous_root_keys: useless without root_key"),
        ("LATCHKEY_LIMITS__ENABLED", "canary", "limits.enabled"),
        ("LATCHKEY_LIMITS__LOGIN_PER_ACCOUNT", "many", "limits.login_per_account"),
        ("LATCHKEY_HASHING__MEMORY_KIB", "19455", "hashing.memory_kib: below the floor of 19456"),
        ("LATCHKEY_HASHING__ITERATIONS", "1", "hashing.iterations: below the floor of 2"),
        ("LATCHKEY_TOKENS__ACCESS_SECONDS", "86400", "tokens.access_seconds"),
        ("LATCHKEY_TOKENS__ALGORITHM", "HS256", "tokens.algorithm"),
        ("LATCHKEY_TOKENS__ALGORITHM", "none", "tokens.algorithm"),
        ("LATCHKEY_TOKENS__PUBLISH_AHEAD_SECONDS", "3", "tokens.publish_ahead_seconds"),
        ("LATCHKEY_HTTP__MAX_BODY_BYTES", "1", "http.max_body_bytes"),
        ("LATCHKEY_VAULT__PORTS", "8443,canary", "vault.ports: expected numbers up to 65535"),
        ("LATCHKEY_WEBHOOKS__PORTS", "70000", "webhooks.ports: expected numbers up to 65535"),
        ("LATCHKEY_ROOT_KEY_FILE", "/no/such/file", "LATCHKEY_ROOT_KEY_FILE: can't read /no/such/file"),
        ("LATCHKEY_CONFIG", "/no/such/file.toml", "/no/such/file.toml: no such file"),
    ] {
        let refused = database.run(&["serve"], &[(name, value)]).await.assert_failure(words);
        assert_eq!(refused.stderr.lines().count(), 1, "{name}={value}: {refused:?}");
        let secret =
            ["ROOT_KEY", "ROOT_KEYS", "DATABASE_URL", "MAIL_URL"].iter().any(|secret| name.ends_with(secret));
        assert!(!secret || !refused.stderr.contains("canary"), "{refused:?}");
    }
    let two = database
        .run(&["serve"], &[("LATCHKEY_LISTEN", "x"), ("LATCHKEY_MAIL_FROM", "y")])
        .await
        .assert_failure("listen");
    assert_eq!(two.stderr.lines().count(), 2, "{two:?}");
}

#[tokio::test]
async fn passkeys_may_be_shared_below_a_domain() {
    const APP: &str = "android:apk-key-hash:nIjLYNxP2pSkqBVL3VnFAz1qz3TJ1NyQeTsDYyUDIcE";
    let database = Database::create(Engine::Sqlite).await;
    for (public_url, rp_id, origins) in [
        ("https://id.example.com", "example.com", format!("https://app.example.com,{APP}")),
        // Somewhere else altogether, for a server that only the application calls.
        ("http://10.0.0.1:8080", "example.com", "https://example.com,https://app.example.com:8443".into()),
        ("http://localhost:8080", "localhost", "http://localhost:3000,http://app.localhost:3000".into()),
    ] {
        let settings = [
            ("LATCHKEY_PUBLIC_URL", public_url),
            ("LATCHKEY_PASSKEYS__RP_ID", rp_id),
            ("LATCHKEY_PASSKEYS__ORIGINS", origins.as_str()),
        ];
        database.run(&["migrate", "status"], &settings).await.assert_success();
    }
    let settings = [
        ("LATCHKEY_PUBLIC_URL", "http://10.0.0.1:8080"),
        ("LATCHKEY_PASSKEYS__ORIGINS", "https://example.com"),
    ];
    database.run(&["migrate", "status"], &settings).await.assert_failure("passkeys.origins: useless without");
}

#[tokio::test]
async fn settings_come_from_a_file_under_the_environment() {
    let database = Database::create(Engine::Sqlite).await;
    let file = |text: &str| std::fs::write(database.directory.path().join("latchkey.toml"), text).unwrap();
    file("[limits]\nenabld = false\n");
    let refused =
        database.run(&["migrate", "status"], &[]).await.assert_failure("limits.enabld: unknown setting");
    assert!(refused.stderr.contains("latchkey.toml"), "{refused:?}");
    file("this is not = = toml");
    assert_eq!(database.run(&["migrate", "status"], &[]).await.assert_failure("").stderr.lines().count(), 1);

    file("product_name = \"From the file\"\nrequire_verified_email = false\n[tokens]\naccess_seconds = 60\n");
    let node = Node::serve(&database, &[("LATCHKEY_TOKENS__ACCESS_SECONDS", "120")]).await;
    let page = node.anonymous().get("/verify-email").await.text();
    assert!(page.contains("From the file"), "{page}");
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let answer = node.anonymous().post("/auth/signup", &body).await.assert_status(200);
    let claims = crate::support::User::new(node.anonymous(), "ada@example.com", PASSWORD, &answer).claims();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
}

#[tokio::test]
async fn secrets_are_read_from_files() {
    let database = Database::create(Engine::Sqlite).await;
    let path = database.directory.path().join("secret");
    std::fs::write(&path, format!("{FOREIGN_KEY}\n")).unwrap();
    let file = path.to_str().unwrap();
    let node = Node::serve(&database, &[("LATCHKEY_ROOT_KEY_FILE", file)]).await;
    assert!(!database.directory.path().join("root.key").exists());
    node.terminate().await;
    // It was that key: no other opens what it sealed, and the same given directly does.
    database.run(&["keys", "list"], &[]).await.assert_failure("root_key");
    database.run(&["keys", "list"], &[("LATCHKEY_ROOT_KEY", FOREIGN_KEY)]).await.assert_success();
    let both = [("LATCHKEY_ROOT_KEY", FOREIGN_KEY), ("LATCHKEY_ROOT_KEY_FILE", file)];
    let refused = database.run(&["keys", "list"], &both).await.assert_failure("ROOT_KEY: set twice");
    assert!(!refused.stderr.contains(FOREIGN_KEY), "{refused:?}");
    // A secret in the wrong place is not repeated.
    std::fs::write(&path, "canary").unwrap();
    for name in ["LATCHKEY_ROOT_KEY_FILE", "LATCHKEY_DATABASE_URL_FILE", "LATCHKEY_MAIL_URL_FILE"] {
        let environment = [(name, file), (name.strip_suffix("_FILE").unwrap(), "")];
        let refused = database.run(&["serve"], &environment).await.assert_failure("");
        assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    }
}

#[tokio::test]
async fn limits_that_are_off_are_said_aloud_and_requests_are_logged() {
    let database = Database::create(Engine::Sqlite).await;
    let node = Node::serve(
        &database,
        &[
            ("LATCHKEY_LIMITS__ENABLED", "false"),
            ("LATCHKEY_LOG__FORMAT", "json"),
            ("LATCHKEY_LOG__LEVEL", "info"),
        ],
    )
    .await;
    assert!(node.announced.contains("limits are off"), "{}", node.announced);
    node.anonymous().get("/livez").await.assert_status(200);
    let log = crate::support::eventually("a line about the request", async || {
        node.log().contains("liveness_get").then(|| node.log())
    })
    .await;
    let line: Value =
        serde_json::from_str(log.lines().find(|line| line.contains("liveness_get")).unwrap()).unwrap();
    assert_eq!(
        (&line["operation"], &line["status"], &line["path"]),
        (&"liveness_get".into(), &200.into(), &"/livez".into())
    );
    assert!(line["request_id"].is_string() && line["level"] == "INFO", "{line}");
}
