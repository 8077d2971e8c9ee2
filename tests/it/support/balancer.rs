//! A balancer in front of several servers, as plain as one can be: connections in turn, and on to the next server when one
//! does not let it in.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

pub struct Balancer {
    pub address: SocketAddr,
    nodes: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let nodes = Arc::new(Mutex::new(vec![]));
        tokio::spawn(balance(listener, Arc::clone(&nodes)));
        Self { address, nodes }
    }

    pub fn add(&self, node: SocketAddr) {
        self.nodes.lock().unwrap().push(node);
    }

    /// New connections go elsewhere; those that are open stay until the server ends them.
    pub fn remove(&self, node: SocketAddr) {
        self.nodes.lock().unwrap().retain(|other| *other != node);
    }
}

async fn balance(listener: TcpListener, nodes: Arc<Mutex<Vec<SocketAddr>>>) {
    for turn in 0.. {
        let Ok((mut client, _)) = listener.accept().await else { return };
        let mut nodes = nodes.lock().unwrap().clone();
        if !nodes.is_empty() {
            let first = turn % nodes.len();
            nodes.rotate_left(first);
        }
        tokio::spawn(async move {
            for node in nodes {
                let Ok(mut server) = TcpStream::connect(node).await else { continue };
                let _ = client.set_nodelay(true);
                let _ = server.set_nodelay(true);
                let _ = copy_bidirectional(&mut client, &mut server).await;
                return;
            }
        });
    }
}
