//! What is sealed under which root key, and the change to another one.

mod rotate;
mod table;

use crate::crypto::root_keys::RootKeys;
use crate::crypto::root_ring::RootRing;
use crate::crypto::seal::Sealer;
use crate::db::Db;
use crate::entropy::Entropy;

pub use rotate::{Progress, Rotation};
pub use table::Table;

/// Refuses to start when a root key lacks that something is sealed under. The error is a line for the operator.
pub(super) async fn demand_all(
    db: &Db,
    roots: &RootRing,
    vault: &dyn RootKeys,
    entropy: Entropy,
) -> Result<(), String> {
    let local = Sealer::new(roots, "heads", entropy);
    for table in Table::ALL {
        let mut after = vec![];
        while let Some(head) =
            table.next_head(db, &after).await.map_err(|error| format!("{}: {error}", table.name()))?
        {
            let known = if table == Table::ApiKeys { vault.knows(&head) } else { local.knows(&head) };
            if !known {
                return Err(lacking(table, &head, roots));
            }
            after = head;
        }
    }
    Ok(())
}

fn lacking(table: Table, head: &[u8], roots: &RootRing) -> String {
    if let [2, version @ ..] = head
        && let Ok(version) = version.try_into().map(u32::from_be_bytes)
    {
        return format!(
            "root_key: rows of {} are wrapped by version {version} of a key of Transit; set vault.transit_url, and let the \
             key's min_decryption_version admit it",
            table.name()
        );
    }
    let id: String = head.iter().skip(1).map(|byte| format!("{byte:02x}")).collect();
    let place = match roots.file() {
        Some(file) => format!("a further line of {}", file.path().display()),
        None => "one of previous_root_keys".to_owned(),
    };
    format!(
        "root_key: rows of {} are sealed under another root key ({id}), which is not at hand; set the one that this \
         database was made with, or add it as {place}",
        table.name()
    )
}
