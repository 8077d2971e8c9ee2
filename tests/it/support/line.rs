//! The line between a server and its database, which can be held up: the other side is there and says nothing, as a paused
//! process or a lost network does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use url::Url;

use super::Database;

pub struct Line {
    address: SocketAddr,
    /// Connections up to this one are held up.
    held: watch::Sender<u64>,
    connections: Arc<AtomicU64>,
}

impl Line {
    /// Open, to the server of this database.
    pub async fn start(database: &Database) -> Self {
        let url = Url::parse(database.url()).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (held, state) = watch::channel(0);
        let connections = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let Ok(server) = TcpStream::connect(server.clone()).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, number, state.clone()));
                tokio::spawn(carry(from_server, to_client, number, state.clone()));
            }
        });
        Self { address, held, connections }
    }

    /// The database at the end of the line.
    pub fn url(&self, database: &Database) -> String {
        let mut url = Url::parse(database.url()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.to_string()
    }

    pub fn hold(&self) {
        self.held.send_replace(u64::MAX);
    }

    pub fn release(&self) {
        self.held.send_replace(0);
    }

    /// The machine behind the line is gone without a word, and another one has taken its place: what is connected hears nothing
    /// any more, and new connections are answered.
    pub fn fail_over(&self) {
        self.held.send_replace(self.connections.load(Ordering::SeqCst));
    }
}

async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    number: u64,
    mut held: watch::Receiver<u64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(1..) = from.read(&mut buffer).await.inspect(|count| buffer.truncate(*count)) {
        if held.wait_for(|held| number > *held).await.is_err() || to.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.resize(16 * 1024, 0);
    }
}
