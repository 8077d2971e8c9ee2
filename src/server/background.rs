//! What a node does beside answering requests.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::plugins::mail::Transport;
use crate::services::Services;

/// Before work that has panicked begins anew.
const PAUSE: Duration = Duration::from_secs(1);

type Work = fn(Arc<Services>, CancellationToken) -> BoxFuture<'static, ()>;

/// All of it, each until `stop`.
pub(super) fn start(
    services: &Arc<Services>,
    transport: Arc<dyn Transport>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (outbox, token) = (Arc::clone(services), stop.clone());
    tasks.spawn(lasting("mail", PAUSE, stop.clone(), move || {
        let (outbox, transport, token) = (Arc::clone(&outbox), Arc::clone(&transport), token.clone());
        async move { outbox.deliver_mail(transport, token).await }
    }));
    let others: [(&str, Work); 6] = [
        ("webhooks", |node, stop| Box::pin(async move { node.deliver_webhooks(stop).await })),
        ("reaper", |node, stop| Box::pin(async move { node.reap_regularly(stop).await })),
        ("kyc_inbox", |node, stop| Box::pin(async move { node.work_on_kyc(stop).await })),
        ("kyc_polls", |node, stop| Box::pin(async move { node.watch_kyc(stop).await })),
        ("counts", |node, stop| Box::pin(async move { node.count_queues(stop).await })),
        ("keys", |node, stop| Box::pin(reload_keys(node, stop))),
    ];
    for (name, work) in others {
        let (node, token) = (Arc::clone(services), stop.clone());
        tasks.spawn(lasting(name, PAUSE, stop.clone(), move || work(Arc::clone(&node), token.clone())));
    }
    tasks
}

async fn reload_keys(node: Arc<Services>, stop: CancellationToken) {
    loop {
        node.keys.reload(&node.db, node.sources.now()).await;
        if stop.run_until_cancelled(tokio::time::sleep(node.keys.reload_every())).await.is_none() {
            return;
        }
    }
}

/// Goes on with work although it panics: a node that has silently stopped to send mail is worse than one that has died.
async fn lasting<F: Future<Output = ()>>(
    name: &'static str,
    pause: Duration,
    stop: CancellationToken,
    work: impl Fn() -> F,
) {
    while AssertUnwindSafe(work()).catch_unwind().await.is_err() {
        tracing::error!(task = name, "background work panicked; it begins anew");
        metrics::counter!("latchkey_background_failures_total", "task" => name).increment(1);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_that_panics_begins_anew_until_the_stop() {
        let (stop, turns) = (CancellationToken::new(), AtomicUsize::new(0));
        lasting("test", Duration::ZERO, stop.clone(), || async {
            assert!(turns.fetch_add(1, Ordering::SeqCst) == 2, "on purpose");
        })
        .await;
        assert_eq!(turns.load(Ordering::SeqCst), 3);

        let endless = lasting("test", Duration::ZERO, stop.clone(), || async { panic!("on purpose") });
        stop.cancel();
        endless.await;
    }
}
