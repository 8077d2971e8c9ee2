//! The line between a server and its database, which can be held up: the other side is there and says nothing, as a paused
//! process or a lost network does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use url::Url;

use super::Database;

pub struct Line {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Line {
    /// Open, to the server of this database.
    pub async fn start(database: &Database) -> Self {
        let url = Url::parse(database.url()).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server.clone()).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, state.clone()));
                tokio::spawn(carry(from_server, to_client, state.clone()));
            }
        });
        Self { address, open }
    }

    /// The database at the end of the line.
    pub fn url(&self, database: &Database) -> String {
        let mut url = Url::parse(database.url()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.to_string()
    }

    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn release(&self) {
        self.open.send_replace(true);
    }
}

async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(1..) = from.read(&mut buffer).await.inspect(|count| buffer.truncate(*count)) {
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.resize(16 * 1024, 0);
    }
}
