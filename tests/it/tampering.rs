//! Random records of several owners, one of which somebody alters in the database: that one does not open, all others do.

use entities::{ApiKeyId, api_key, audit_event};
use latchkey::entropy::Entropy;
use proptest::array::{uniform2, uniform3};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::api_keys::API_KEYS;
use crate::support::{App, Client, Engine, User};

/// Two records of one person, and one of another.
const OWNERS: [usize; 3] = [0, 0, 1];

/// Key, secret and passphrase.
type Credential = [String; 3];

/// The wrapped key and the three fields, as they are in a row.
type Sealed = [Vec<u8>; 4];

/// A record in a version: the one before its credential was replaced, or the one after.
type Source = (usize, usize);

const CURRENT: usize = 1;

#[derive(Debug, Clone)]
enum Alteration {
    /// Turns a bit.
    Bit { part: usize, bit: Index },
    /// Puts a part of any record there.
    Part { part: usize, from: Source, taken: usize },
    /// Puts all parts of another record there, or those of the version before.
    Whole { from: Source },
}

#[derive(Debug, Clone)]
struct Case {
    /// The old and the new credential of each record.
    credentials: [[Credential; 2]; OWNERS.len()],
    target: usize,
    alteration: Alteration,
}

fn case() -> impl Strategy<Value = Case> {
    let source = || (0..OWNERS.len(), 0..2usize);
    let alteration = prop_oneof![
        (0..4usize, any::<Index>()).prop_map(|(part, bit)| Alteration::Bit { part, bit }),
        (0..4usize, source(), 0..4usize).prop_map(|(part, from, taken)| Alteration::Part {
            part,
            from,
            taken
        }),
        source().prop_map(|from| Alteration::Whole { from }),
    ];
    (uniform3(uniform2(uniform3("[!-~]{1,100}"))), 0..OWNERS.len(), alteration)
        .prop_map(|(credentials, target, alteration)| Case { credentials, target, alteration })
        .prop_filter("nothing is altered", |case| match case.alteration {
            Alteration::Bit { .. } => true,
            Alteration::Part { part, from, taken } => (from, taken) != ((case.target, CURRENT), part),
            Alteration::Whole { from } => from != (case.target, CURRENT),
        })
}

on_both_engines! {
    async fn what_is_altered_or_moved_in_the_database_does_not_open(engine: Engine) {
        let app = App::start(engine, |config| config.vault.keys_per_account = 10_000).await;
        let owners = [app.user("ada@example.com").await, app.user("bob@example.com").await];
        let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
        let here = Handle::current();
        // The runner waits for each case, so it has a thread of its own.
        let run = move || {
            let tried = TestRunner::new(config).run(&case(), |case| {
                here.block_on(check(&app, &owners, &case));
                Ok(())
            });
            tried.unwrap_or_else(|error| panic!("{error}"));
        };
        tokio::task::spawn_blocking(run).await.unwrap();
    }
}

struct Record<'a> {
    id: ApiKeyId,
    path: String,
    owner: &'a Client,
    /// What it opens to.
    credential: &'a Credential,
    versions: [Sealed; 2],
}

async fn check(app: &App, owners: &[User; 2], case: &Case) {
    let mut records = vec![];
    for (owner, credentials) in OWNERS.into_iter().zip(&case.credentials) {
        records.push(store(app, &owners[owner], credentials).await);
    }
    let target = &records[case.target];
    let intact = &target.versions[CURRENT];
    let mut altered = intact.clone();
    match case.alteration {
        Alteration::Bit { part, bit } => {
            let bit = bit.index(altered[part].len() * 8);
            altered[part][bit / 8] ^= 1 << (bit % 8);
        }
        Alteration::Part { part, from: (record, version), taken } => {
            altered[part].clone_from(&records[record].versions[version][taken]);
        }
        Alteration::Whole { from: (record, version) } => {
            altered.clone_from(&records[record].versions[version]);
        }
    }
    write(app, target.id, altered).await;
    for record in &records {
        if record.id == target.id {
            let answer = record.owner.post(&record.path, &json!({})).await.assert_status(500);
            let mut problem = answer.json();
            problem.as_object_mut().unwrap().remove("request_id");
            // To the letter the same for every reason.
            let expected = json!({
                "type": "urn:latchkey:error:credential_unreadable",
                "title": "Credential unreadable",
                "status": 500,
                "detail": "This credential can't be opened any more. Store it again, and tell the operator.",
                "error": "credential_unreadable",
                "success": false,
            });
            assert_eq!(problem, expected);
            assert_eq!(complaints(app, record.id).await, 1);
        } else {
            assert_opens(app, record, 0).await;
        }
    }
    // Put right, it opens again.
    write(app, target.id, intact.clone()).await;
    assert_opens(app, target, 1).await;
}

/// Stores the first credential, and then the second in its place.
async fn store<'a>(app: &App, owner: &'a User, [old, new]: &'a [Credential; 2]) -> Record<'a> {
    let mut body = shown(old);
    body["provider"] = "okx".into();
    body["name"] = format!("{:x}", u64::from_le_bytes(Entropy.bytes())).into();
    body["test"] = false.into();
    let stored = owner.post(API_KEYS, &body).await.assert_status(200).json();
    let id = stored["data"]["id"].as_str().unwrap();
    let path = format!("{API_KEYS}{id}");
    let id: ApiKeyId = id.parse().unwrap();
    let before = read(app, id).await;
    owner.patch(&path, &shown(new)).await.assert_status(200);
    let versions = [before, read(app, id).await];
    Record { id, path: format!("{path}/decrypt"), owner, credential: new, versions }
}

fn shown([api_key, secret, passphrase]: &Credential) -> Value {
    json!({ "api_key": api_key, "secret": secret, "passphrase": passphrase })
}

async fn assert_opens(app: &App, record: &Record<'_>, expected_complaints: u64) {
    let revealed = record.owner.post(&record.path, &json!({})).await.assert_status(200).json();
    assert_eq!(revealed["data"], shown(record.credential));
    assert_eq!(complaints(app, record.id).await, expected_complaints);
}

async fn complaints(app: &App, id: ApiKeyId) -> u64 {
    audit_event::Entity::find()
        .filter(audit_event::Column::Action.eq("api_key.unreadable"))
        .filter(audit_event::Column::Detail.contains(id.to_string()))
        .count(app.connection().await)
        .await
        .unwrap()
}

async fn read(app: &App, id: ApiKeyId) -> Sealed {
    let row = api_key::Entity::find_by_id(id).one(app.connection().await).await.unwrap().unwrap();
    [row.wrapped_key, row.sealed_api_key, row.sealed_secret.unwrap(), row.sealed_passphrase.unwrap()]
}

async fn write(app: &App, id: ApiKeyId, [wrapped_key, sealed_api_key, secret, passphrase]: Sealed) {
    use api_key::Column;
    let done = api_key::Entity::update_many()
        .col_expr(Column::WrappedKey, Expr::value(wrapped_key))
        .col_expr(Column::SealedApiKey, Expr::value(sealed_api_key))
        .col_expr(Column::SealedSecret, Expr::value(secret))
        .col_expr(Column::SealedPassphrase, Expr::value(passphrase))
        .filter(Column::Id.eq(id))
        .exec(app.connection().await)
        .await;
    assert_eq!(done.unwrap().rows_affected, 1);
}
