//! A service of one's own, for tests.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Gives these answers in turn, each over a connection of its own; what it was asked.
pub async fn answering(service: &TcpListener, answers: &[(u16, &str)]) -> Vec<String> {
    let mut asked = vec![];
    for (status, answer) in answers {
        let (mut connection, _) = service.accept().await.expect("a connection");
        asked.push(read_request(&mut connection).await);
        let length = answer.len();
        let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        connection.write_all((head + answer).as_bytes()).await.expect("the answer is sent");
    }
    asked
}

/// Head and body.
async fn read_request(connection: &mut TcpStream) -> String {
    let mut request = String::new();
    loop {
        let mut buffer = [0; 4096];
        let read = connection.read(&mut buffer).await.expect("a request");
        request.push_str(std::str::from_utf8(&buffer[..read]).expect("text"));
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length =
            head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return request;
        }
    }
}
