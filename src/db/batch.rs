//! Batches. Work that arrives while a batch is under way shares the next one, as a data loader does: many requests, one
//! statement. A batch that starts after a request arrived sees every commit before it, so nothing is ever stale.

use std::sync::Arc;

use sea_orm::DbErr;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{BoxFuture, Overloaded, in_time, measure_queue};

/// Requests that may wait.
const QUEUE: usize = 4096;
/// Requests in a batch at most.
const SIZE: usize = 64;

/// Why a batch failed, for each request in it.
#[derive(Debug, Clone)]
pub enum BatchError {
    Overloaded(Overloaded),
    Db(Arc<DbErr>),
}

impl From<DbErr> for BatchError {
    fn from(error: DbErr) -> Self {
        Self::Db(Arc::new(error))
    }
}

impl From<Overloaded> for BatchError {
    fn from(overloaded: Overloaded) -> Self {
        Self::Overloaded(overloaded)
    }
}

type Waiting<I, O> = (I, oneshot::Sender<Result<O, BatchError>>);

/// Turns requests into answers, many at a time.
pub struct Batcher<I, O> {
    /// What the metrics call it.
    name: &'static str,
    queue: mpsc::Sender<Waiting<I, O>>,
}

impl<I, O> Batcher<I, O>
where
    I: Send + 'static,
    O: Send + 'static,
{
    /// `run` answers requests in their order; at most `at_once` batches are under way.
    pub fn spawn<F>(name: &'static str, at_once: usize, run: F) -> Self
    where
        F: Fn(Vec<I>) -> BoxFuture<'static, Result<Vec<O>, BatchError>> + Send + Sync + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(drive(name, waiting, at_once, Arc::new(run)));
        Self { name, queue }
    }

    pub async fn ask(&self, request: I) -> Result<O, BatchError> {
        let (sender, receiver) = oneshot::channel();
        self.queue.try_send((request, sender)).map_err(|_| Overloaded::of(self.name))?;
        // Those in front may have waited in vain already.
        in_time(async { receiver.await.unwrap_or(Err(BatchError::Overloaded(Overloaded))) }).await
    }

    /// Shows in the metrics how many requests wait, of how many that may.
    pub fn measure(&self) {
        measure_queue(self.name, &self.queue);
    }
}

async fn drive<I, O, F>(
    name: &'static str,
    mut queue: mpsc::Receiver<Waiting<I, O>>,
    at_once: usize,
    run: Arc<F>,
) where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(Vec<I>) -> BoxFuture<'static, Result<Vec<O>, BatchError>> + Send + Sync + 'static,
{
    let places = Arc::new(Semaphore::new(at_once));
    // A place first, then what has come until there is one.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let mut batch = Vec::with_capacity(SIZE);
        if queue.recv_many(&mut batch, SIZE).await == 0 {
            return;
        }
        metrics::histogram!("latchkey_db_batch_size", "batch" => name).record(batch.len() as f64);
        let run = Arc::clone(&run);
        tokio::spawn(async move {
            let (requests, senders): (Vec<I>, Vec<_>) = batch.into_iter().unzip();
            match in_time(run(requests)).await {
                Ok(answers) => senders.into_iter().zip(answers).for_each(|(sender, answer)| {
                    let _ = sender.send(Ok(answer));
                }),
                Err(error) => senders.into_iter().for_each(|sender| {
                    let _ = sender.send(Err(error.clone()));
                }),
            }
            drop(place);
        });
    }
}

/// How many rows a statement for `count` requests has places for: 1, 2, 4 … or 64, so that few have to be prepared.
pub fn places(count: usize) -> usize {
    count.next_power_of_two()
}
