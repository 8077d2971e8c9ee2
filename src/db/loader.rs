//! Coalesced reads. Look-ups that arrive while one is under way share the next one, as a data loader does. A read that
//! starts after a request arrived sees every commit before it, so nothing is ever stale.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use sea_orm::DbErr;
use tokio::sync::{mpsc, oneshot};

use super::{BoxFuture, Overloaded};

/// Look-ups that may wait.
const QUEUE: usize = 4096;
/// Keys per statement at most.
const BATCH: usize = 64;

type Waiting<K, V> = (K, oneshot::Sender<Result<Option<V>, Arc<DbErr>>>);

/// Looks up `V` by `K`, many at a time.
pub struct Loader<K, V> {
    queue: mpsc::Sender<Waiting<K, V>>,
}

/// Why a look-up failed.
pub enum LoadError {
    Overloaded(Overloaded),
    Db(Arc<DbErr>),
}

impl<K, V> Loader<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// `fetch` gets 1, 2, 4 … or 64 keys, the last repeated to fill up, so that few statements have to be prepared.
    pub fn spawn<F>(fetch: F) -> Self
    where
        F: Fn(Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, DbErr>> + Send + Sync + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(run(waiting, fetch));
        Self { queue }
    }

    pub async fn load(&self, key: K) -> Result<Option<V>, LoadError> {
        let (sender, receiver) = oneshot::channel();
        self.queue.try_send((key, sender)).map_err(|_| LoadError::Overloaded(Overloaded))?;
        match receiver.await {
            Ok(found) => found.map_err(LoadError::Db),
            Err(_) => Err(LoadError::Overloaded(Overloaded)),
        }
    }
}

async fn run<K, V, F>(mut queue: mpsc::Receiver<Waiting<K, V>>, fetch: F)
where
    K: Copy + Eq + Hash,
    V: Clone,
    F: Fn(Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, DbErr>>,
{
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut keys: Vec<K> = batch.iter().map(|(key, _)| *key).collect();
        let last = keys[keys.len() - 1];
        keys.resize(keys.len().next_power_of_two(), last);
        let found = fetch(keys).await.map_err(Arc::new);
        for (key, sender) in batch.drain(..) {
            let answer = match &found {
                Ok(found) => Ok(found.get(&key).cloned()),
                Err(error) => Err(Arc::clone(error)),
            };
            let _ = sender.send(answer);
        }
    }
}
