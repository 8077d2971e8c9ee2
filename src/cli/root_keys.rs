//! `latchkey keys rotate-root` and `retire-root`

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::services::Services;
use crate::services::root_keys::Progress;

/// Requests that have read a value under an older key open it within this time.
const IN_FLIGHT: Duration = Duration::from_secs(2);

const NO_NEW_KEY: &str = "\
root_key: the root key is a setting, and there is no second one to change to
Make one with `openssl rand -base64 32`. With several nodes, first add it to previous_root_keys on each and restart it.
Then make it root_key and the old one previous_root_keys, restart each node, and run this again";

pub async fn rotate(services: Services, retire_too: bool) -> Result<(), String> {
    let added = services.begin_root_rotation().map_err(|error| error.to_string())?;
    match added {
        Some(true) => {
            println!("A new root key is the first line of the key file; the old one stays below it");
        }
        Some(false) => println!("The key file has several root keys: going on with the first"),
        None if services.has_previous_root_keys() => {}
        None => return Err(NO_NEW_KEY.into()),
    }
    let rewrapped = rewrap(&services).await?;
    println!("{} values are sealed under the current root key now; nothing is left", HumanCount(rewrapped));
    match added {
        None => println!("previous_root_keys can be taken away on every node; restart it then"),
        Some(_) if retire_too => return retire(services).await,
        Some(_) => println!("`latchkey keys retire-root` takes the old root key out of the key file"),
    }
    services.db.close().await;
    Ok(())
}

pub async fn retire(services: Services) -> Result<(), String> {
    let wait = services.root_keys_settle_in().map_err(|error| error.to_string())?;
    if services.has_previous_root_keys() {
        tokio::time::sleep(wait).await;
        // A server may have gone on with the old key until it read the file again.
        rewrap(&services).await?;
        tokio::time::sleep(IN_FLIGHT).await;
    }
    match services.retire_root_keys().await? {
        0 => println!("There is no old root key"),
        _ => println!("The old root key is gone from the key file; backups from before need it still"),
    }
    services.db.close().await;
    Ok(())
}

/// Answers how many values were sealed anew.
async fn rewrap(services: &Services) -> Result<u64, String> {
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}  {eta} left")
            .expect("a template of ours"),
    );
    let show = |progress: Progress| {
        bar.set_length(progress.of.max(progress.done));
        bar.set_position(progress.done);
        bar.set_message(format!("{} {}", progress.table.name(), HumanCount(progress.done)));
    };
    let rotation = services.rotate_root_key(show).await;
    bar.finish_and_clear();
    let rotation = rotation.map_err(|error| format!("root_key: {error}; start it again to go on"))?;
    if rotation.unreadable.is_empty() {
        return Ok(rotation.rewrapped);
    }
    let rows = rotation.unreadable.iter().map(|(table, id)| format!("{} {id}", table.name()));
    Err(format!(
        "root_key: values do not open, because they were altered or moved ({}); mend or delete these rows, and start again:\n{}",
        rotation.unreadable.len(),
        rows.collect::<Vec<_>>().join("\n")
    ))
}
