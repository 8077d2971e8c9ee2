//! Accounts from elsewhere: `latchkey users import`, and the first sign-in of those who came with it.

use std::collections::BTreeSet;
use std::process::Stdio;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use crate::support::node::Output;
use crate::support::process::{Rows, Site};
use crate::support::{App, Database, Engine, PASSWORD, eventually};

/// Each of [`PASSWORD`], by another program; see `src/crypto/password/foreign_tests.rs`.
const BCRYPT: &str = "$2b$04$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O";
const HASHES: [&str; 5] = [
    BCRYPT,
    "pbkdf2_sha256$1000$NaClNaClNaClNaClNaClNa$Ml1rHwNPGD7smU4PKd10HuZqCCaUXx/Yz6UIi0lgnKg=",
    "$pbkdf2-sha512$i=1000,l=32$c2l4dGVlbiBzYWx0IGJ5dA$2grG3dsBg1VBQNH6OB0vWN+DDaUFvzNWs05uVuuGd4c",
    "$scrypt$ln=8,r=8,p=2$yJkz5pwz5rxXyrnXOofw3g$xThf51SEX76nPbP+n78HDbNHLKD6mtScRtUqBcLuKF8",
    "$argon2i$v=19$m=64,t=2,p=2$c2l4dGVlbiBzYWx0IGJ5dA$GQvCzoCWsHYVk5tGAIGVF53VaEht7SqOBuwVmvGR7JU",
];

fn confirmed(email: &str, hash: &str) -> Value {
    json!({ "email": email, "password_hash": hash, "email_verified": true })
}

/// Writes a file and imports it.
async fn import(database: &Database, lines: &[String]) -> Output {
    let file = database.directory.path().join("accounts.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    database.run(&["users", "import", file.to_str().unwrap()], &[]).await
}

async fn hash_of(app: &App, email: &str) -> String {
    let rows = Rows(app.database.connect().await);
    rows.column::<String>(&format!("SELECT password_hash FROM accounts WHERE email = '{email}'"))
        .await
        .remove(0)
}

/// What two imports of one file have in common.
async fn accounts(rows: &Rows) -> BTreeSet<String> {
    let sql = "SELECT CAST(email || ' ' || email_key || ' ' || password_hash || ' ' || COALESCE(full_name, '-') || ' ' ||
               COALESCE(phone, '-') || ' ' || COALESCE(avatar_url, '-') || ' ' || created_at || ' ' ||
               (email_verified_at IS NOT NULL) AS TEXT) FROM accounts";
    rows.column::<String>(sql).await.into_iter().collect()
}

async fn feed(stdin: &mut ChildStdin, lines: &[String]) {
    stdin.write_all(format!("{}\n", lines.join("\n")).as_bytes()).await.unwrap();
}

on_both_engines! {
    async fn who_is_imported_signs_in_and_is_then_hashed_anew(app: App) {
        let emails: Vec<String> = (0..HASHES.len()).map(|number| format!("person{number}@example.com")).collect();
        let lines: Vec<String> =
            emails.iter().zip(HASHES).map(|(email, hash)| confirmed(email, hash).to_string()).collect();
        let done = import(&app.database, &lines).await.assert_success();
        assert_eq!(done.stdout.trim(), "Imported 5 accounts; 0 were there already; 0 lines were rejected");
        assert!(done.stderr.is_empty(), "{done:?}");
        for (email, hash) in emails.iter().zip(HASHES) {
            assert_eq!(hash_of(&app, email).await, hash);
            app.try_login(email, "seven pale blue teapot").await.assert_error(401, "invalid_credentials");
            assert_eq!(hash_of(&app, email).await, hash, "a wrong password changes nothing");
            app.login(email, PASSWORD).await;
            let new = hash_of(&app, email).await;
            assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
            app.login(email, PASSWORD).await;
            assert_eq!(hash_of(&app, email).await, new, "once is enough");
            assert!(app.mails_to(email).await.iter().all(|mail| mail.template == "new_device"), "no mail is sent");
        }
        let trail = app.audit().await;
        let of = |action: &str| trail.iter().filter(|event| event.action == action).collect::<Vec<_>>();
        assert_eq!((of("account.imported").len(), of("account.password_rehashed").len()), (5, 5));
        assert!(of("account.imported").iter().all(|event| event.actor == "operator" && event.account_id.is_some()));
    }

    /// A double click: each of the requests would store a hash of its own.
    async fn sign_ins_at_once_after_an_import_all_succeed(app: App) {
        import(&app.database, &[confirmed("ada@example.com", BCRYPT).to_string()]).await.assert_success();
        for answer in join_all((0..4).map(|_| app.try_login("ada@example.com", PASSWORD))).await {
            answer.assert_status(200);
        }
        let trail = app.audit().await;
        assert!(trail.iter().all(|event| event.action != "session.sign_in_failed"), "{trail:#?}");
        App::only_event(trail, "account.password_rehashed");
    }

    async fn an_import_takes_over_the_profile(app: App) {
        let mut line = confirmed("Ada@Example.com", BCRYPT);
        let profile = json!({
            "full_name": "Ada Lovelace", "phone": "+442079460958", "avatar_url": "https://example.com/ada.png",
            "created_at": "2015-12-10T08:30:00+01:00"
        });
        line.as_object_mut().unwrap().extend(profile.as_object().unwrap().clone());
        import(&app.database, &[line.to_string()]).await.assert_success();
        let ada = app.login("ada@example.com", PASSWORD).await;
        let found = ada.profile().await.assert_status(200).json();
        assert_eq!(found["email"], "Ada@example.com");
        for name in ["full_name", "phone", "avatar_url"] {
            assert_eq!(found[name], profile[name], "{name}");
        }
        assert_eq!(found["created_at"], "2015-12-10T07:30:00Z");
    }

    async fn an_address_that_has_an_account_is_passed_over(app: App) {
        let own = "a password of her own";
        app.verified("ada@example.com", own).await;
        let lines = [
            confirmed("ADA@example.com", BCRYPT),
            confirmed("bob@example.com", HASHES[1]),
            confirmed("Bob@example.com", BCRYPT),
        ];
        let done = import(&app.database, &lines.map(|line| line.to_string())).await.assert_success();
        assert!(done.stdout.starts_with("Imported 1 accounts; 2 were there already;"), "{done:?}");
        app.login("ada@example.com", own).await;
        app.try_login("ada@example.com", PASSWORD).await.assert_error(401, "invalid_credentials");
        assert_eq!(hash_of(&app, "bob@example.com").await, HASHES[1], "the first line of two counts");
        App::only_event(app.audit().await, "account.imported");
    }

    async fn an_address_that_was_not_confirmed_can_be_and_has_time_for_it(app: App) {
        let line = json!({ "email": "ada@example.com", "password_hash": BCRYPT, "created_at": "2015-12-10T08:30:00Z" });
        import(&app.database, &[line.to_string()]).await.assert_success();
        app.clock.advance_seconds(29 * 86_400);
        app.services.reap().await.unwrap();
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "email_not_verified");
        assert!(app.mails_to("ada@example.com").await.is_empty());
        app.anonymous().post("/auth/resend-verification", &json!({ "email": "ada@example.com" })).await.assert_status(200);
        app.verify(&app.mail_to("ada@example.com").await.token()).await.assert_status(200);
        app.login("ada@example.com", PASSWORD).await;
    }

    async fn bad_lines_are_named_and_the_rest_goes_on(app: App) {
        let md5 = "5f4dcc3b5aa765d61d8327deb882cf99";
        let lines = [
            confirmed("first@example.com", BCRYPT).to_string(),
            confirmed("md5@example.com", md5).to_string(),
            String::new(),
            "{".into(),
            confirmed("nobody", BCRYPT).to_string(),
            format!(r#"{{"email":"long@example.com","full_name":"{}"}}"#, "x".repeat(100_000)),
            confirmed("dear@example.com", &BCRYPT.replace("$04$", "$31$")).to_string(),
            json!({ "email": "old@example.com", "password_hash": BCRYPT, "password": PASSWORD }).to_string(),
            confirmed("last@example.com", BCRYPT).to_string(),
        ];
        let done = import(&app.database, &lines).await;
        assert_eq!(done.code, Some(1), "{done:?}");
        assert_eq!(done.stdout.trim(), "Imported 2 accounts; 0 were there already; 6 lines were rejected");
        let reasons: Vec<&str> = done.stderr.lines().collect();
        for (reason, expected) in reasons.iter().zip([
            "line 2: password_hash: not a whole hash of a format that is taken, which are Argon2",
            "line 4: not JSON",
            "line 5: email: ",
            "line 6: longer than",
            "line 7: password_hash: a hash that would cost more",
            "line 8: password is not known; known are email, password_hash,",
            "error: some lines were rejected",
        ]) {
            assert!(reason.starts_with(expected), "{expected}: {reasons:#?}");
        }
        assert_eq!(reasons.len(), 7, "{reasons:#?}");
        for format in ["$argon2id$", "$2b$", "$scrypt$", "$pbkdf2-sha256$", "Django"] {
            assert!(reasons[0].contains(format), "{format}: {}", reasons[0]);
        }
        let said = format!("{done:?}");
        for secret in [md5, &BCRYPT[7..], PASSWORD] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
        for email in ["first@example.com", "last@example.com"] {
            app.login(email, PASSWORD).await;
        }

        let directory = app.database.directory.path();
        let (file, rejects) = (directory.join("accounts.jsonl"), directory.join("rejects.txt"));
        let arguments = ["users", "import", file.to_str().unwrap(), "--rejects", rejects.to_str().unwrap()];
        let again = app.database.run(&arguments, &[]).await.assert_failure("some lines were rejected");
        assert!(again.stdout.starts_with("Imported 0 accounts; 2 were there already; 6"), "{again:?}");
        assert_eq!(std::fs::read_to_string(&rejects).unwrap().lines().collect::<Vec<_>>(), reasons[..6]);
        app.database.run(&["users", "import", "nowhere.jsonl"], &[]).await.assert_failure("can't read nowhere.jsonl");
    }

    async fn an_import_that_was_killed_is_finished_by_doing_it_again(site: Site) {
        let lines: Vec<String> = (0..2345)
            .map(|number| {
                let (hash, verified) = (HASHES[number % HASHES.len()], number % 3 > 0);
                json!({
                    "email": format!("Person{number}@example.com"), "password_hash": hash, "email_verified": verified,
                    "full_name": format!("Person {number}"),
                    "created_at": if verified { Value::from("2015-12-10T08:30:00Z") } else { Value::Null },
                })
                .to_string()
            })
            .collect();
        site.run(&["migrate", "up"]).await.assert_success();
        let rows = site.rows().await;
        for upto in [700, 1800] {
            let mut command = site.database.command(&["users", "import", "-"], &[]);
            let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            let mut stdin = process.stdin.take().unwrap();
            feed(&mut stdin, &lines[..upto]).await;
            let whole = i64::try_from(upto / 500 * 500).unwrap();
            eventually("batches", async || (rows.count("accounts").await >= whole).then_some(())).await;
            // The rest of a batch, when it has been read, dies with the process.
            process.kill().await.unwrap();
            assert_eq!(rows.count("accounts").await, whole);
        }
        let done = import(&site.database, &lines).await.assert_success();
        assert!(done.stdout.starts_with("Imported 845 accounts; 1,500 were there already; 0 lines"), "{done:?}");

        let clean = Site::new(site.database.engine).await;
        clean.run(&["migrate", "up"]).await.assert_success();
        import(&clean.database, &lines).await.assert_success();
        let clean = clean.rows().await;
        // Unconfirmed accounts begin with the import.
        for rows in [&rows, &clean] {
            rows.execute("UPDATE accounts SET created_at = 0 WHERE email_verified_at IS NULL").await;
            assert_eq!(rows.count("accounts").await, 2345);
            assert_eq!(rows.count("audit_events WHERE action = 'account.imported'").await, 2345);
            let without = "accounts a WHERE NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.account_id = a.id)";
            assert_eq!(rows.count(without).await, 0);
        }
        assert_eq!(accounts(&rows).await, accounts(&clean).await);
    }
}

#[tokio::test]
async fn accounts_come_from_standard_input_too() {
    let database = Database::create(Engine::Sqlite).await;
    database.run(&["migrate", "up"], &[]).await.assert_success();
    let mut command = database.command(&["users", "import", "-"], &[]);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let line = confirmed("ada@example.com", BCRYPT).to_string();
    process.stdin.take().unwrap().write_all(line.as_bytes()).await.unwrap();
    let output = process.wait_with_output().await.unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("Imported 1 accounts;"));
}
