//! A lean HTTP/1.1 client: prepared request bytes out, status and body in, one keep-alive connection.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MAX_HEADERS: usize = 48;
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes of a request; a body makes it a POST.
pub fn request(path: &str, bearer: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    write_request(&mut bytes, path, bearer, body);
    bytes
}

/// As [`request`], into a buffer that is used again.
pub fn write_request(out: &mut Vec<u8>, path: &str, bearer: Option<&str>, body: Option<&str>) {
    out.clear();
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut push = |part: &str| out.extend_from_slice(part.as_bytes());
    push(method);
    push(" ");
    push(path);
    push(" HTTP/1.1\r\nhost: localhost\r\n");
    if let Some(token) = bearer {
        push("authorization: Bearer ");
        push(token);
        push("\r\n");
    }
    if let Some(body) = body {
        push("content-type: application/json\r\ncontent-length: ");
        push(&body.len().to_string());
        push("\r\n\r\n");
        push(body);
    } else {
        push("\r\n");
    }
}

/// Where the parts of an answer are.
struct Head {
    status: u16,
    length: usize,
    body: usize,
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).map_err(invalid)? else {
        return Ok(None);
    };
    let body = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok())
        .ok_or_else(|| invalid("an answer without Content-Length"))?;
    Ok(Some(Head { status: response.code.unwrap_or(0), length, body }))
}

/// What has been read of one answer.
struct Inbox {
    bytes: Vec<u8>,
    filled: usize,
}

impl Inbox {
    fn new() -> Self {
        Self { bytes: vec![0; 8 * 1024], filled: 0 }
    }

    /// Room for the next read.
    fn room(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            self.bytes.resize(2 * self.filled, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Counts what was read; true when the answer is complete.
    fn received(&mut self, read: usize, head: &mut Option<Head>) -> io::Result<bool> {
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += read;
        if head.is_none() {
            *head = parse_head(&self.bytes[..self.filled])?;
        }
        Ok(head.as_ref().is_some_and(|head| self.filled >= head.length + head.body))
    }

    fn answer(&self, head: Option<Head>) -> (u16, &[u8]) {
        head.map_or((0, &[]), |head| (head.status, &self.bytes[head.length..head.length + head.body]))
    }
}

/// A connection of the load generator.
pub struct Connection {
    stream: tokio::net::TcpStream,
    inbox: Inbox,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Inbox::new() })
    }

    /// Sends a request and answers its status and body.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.inbox.filled = 0;
        let mut head = None;
        loop {
            let read = self.stream.read(self.inbox.room()).await?;
            if self.inbox.received(read, &mut head)? {
                return Ok(self.inbox.answer(head));
            }
        }
    }
}

/// A connection that blocks its thread: no runtime between the clock and the wire.
pub struct BlockingConnection {
    stream: std::net::TcpStream,
    inbox: Inbox,
}

impl BlockingConnection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        Ok(Self { stream, inbox: Inbox::new() })
    }

    /// Sends a request and answers its status and body.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.write_all(request)?;
        self.inbox.filled = 0;
        let mut head = None;
        loop {
            let read = self.stream.read(self.inbox.room())?;
            if self.inbox.received(read, &mut head)? {
                return Ok(self.inbox.answer(head));
            }
        }
    }
}
