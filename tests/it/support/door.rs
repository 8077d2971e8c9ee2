//! The only way to a service outside, which can be shut: connections end at once, or are accepted and nothing is said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of a connection to a service.
#[derive(Clone, Copy)]
pub enum Way {
    Open,
    /// It ends at once.
    Shut,
    /// It is accepted, and nothing is said.
    Silent,
}

/// The only way to a service, which counts those who come.
pub struct Door {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    knocks: Arc<AtomicI64>,
}

impl Door {
    pub async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, ways) = watch::channel(Way::Open);
        let knocks = Arc::<AtomicI64>::default();
        let count = Arc::clone(&knocks);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(admit(client, service, ways.clone()));
            }
        });
        Self { address, way, knocks }
    }

    /// From now on; what is under way is cut off.
    pub fn turn(&self, way: Way) {
        self.way.send_replace(way);
    }

    pub fn knocks(&self) -> i64 {
        self.knocks.load(Ordering::SeqCst)
    }
}

async fn admit(mut client: TcpStream, service: SocketAddr, mut ways: watch::Receiver<Way>) {
    let way = *ways.borrow_and_update();
    let carried = async {
        match way {
            Way::Shut => {}
            Way::Silent => std::future::pending().await,
            Way::Open => {
                let Ok(mut server) = TcpStream::connect(service).await else { return };
                let _ = client.set_nodelay(true);
                let _ = server.set_nodelay(true);
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
    };
    tokio::select! {
        () = carried => {}
        _ = ways.changed() => {}
    }
}
