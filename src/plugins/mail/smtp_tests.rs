//! Against a real SMTP server, `tests/support/smtp_server.py`, which misbehaves on request.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::*;
use crate::plugins::mail::compose::tests::sample;

/// The process ends when its standard input does, with this.
struct Server {
    events: Lines<BufReader<ChildStdout>>,
    commands: ChildStdin,
    port: u16,
    ca: Option<String>,
    _process: Child,
}

impl Server {
    async fn start(arguments: &[&str]) -> Self {
        let python = std::env::var("LATCHKEY_TEST_PYTHON").expect(
            "LATCHKEY_TEST_PYTHON names no Python with the packages of tests/requirements.txt: use scripts/test",
        );
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/smtp_server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let events = BufReader::new(process.stdout.take().unwrap()).lines();
        let commands = process.stdin.take().unwrap();
        let mut server = Self { events, commands, port: 0, ca: None, _process: process };
        let listening = server.event().await;
        server.port = listening["port"].as_u64().unwrap().try_into().unwrap();
        server.ca = listening["ca"].as_str().map(str::to_owned);
        server
    }

    async fn event(&mut self) -> Value {
        let line = self.events.next_line().await.unwrap().expect("the server is still there");
        serde_json::from_str(&line).unwrap()
    }

    async fn switch(&mut self, command: Value) {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        assert_eq!(self.event().await["mode"], command["mode"]);
    }

    /// A transport for a URL in which PORT and CA stand for this server's.
    fn transport(&self, url: &str) -> Smtp {
        let ca = self.ca.as_deref().unwrap_or_default();
        let url = url.replace("PORT", &self.port.to_string()).replace("CA", ca);
        Smtp::from_url(&url.parse().unwrap()).unwrap()
    }
}

async fn send(transport: &Smtp, id: &str) -> Result<(), SendError> {
    transport.send(&sample(&format!("{id}@id.example.com"))).await
}

#[tokio::test]
async fn a_message_arrives_whole() {
    let mut server = Server::start(&[]).await;
    let transport = server.transport("smtp://127.0.0.1:PORT");
    transport.check().await.unwrap();
    send(&transport, "first").await.unwrap();
    let received = server.event().await;
    assert_eq!(received["from"], "no-reply@example.com");
    assert_eq!(received["to"], json!(["ada@example.com"]));
    let data = received["data"].as_str().unwrap();
    assert_eq!(
        data.trim_end(),
        String::from_utf8(sample("first@id.example.com").formatted()).unwrap().trim_end()
    );
}

#[tokio::test]
async fn connections_are_used_again_and_a_dead_one_costs_nothing() {
    let mut server = Server::start(&["--trace"]).await;
    let transport = server.transport("smtp://127.0.0.1:PORT");
    let mut greetings = 0;
    for (id, drop_first, expected) in [("one", false, 1), ("two", false, 1), ("three", true, 2)] {
        if drop_first {
            server.switch(json!({"mode": "drop"})).await;
        }
        send(&transport, id).await.unwrap();
        loop {
            let event = server.event().await;
            greetings += usize::from(event["data"].as_str().unwrap_or_default().starts_with("EHLO"));
            if event["event"] == "message" {
                break;
            }
        }
        assert_eq!(greetings, expected, "{id}");
    }
}

#[tokio::test]
async fn only_a_refusal_of_the_message_is_permanent() {
    let mut server = Server::start(&[]).await;
    let transport = server.transport("smtp://127.0.0.1:PORT");
    for (mode, permanent, part) in
        [("temp-fail", false, "451"), ("perm-fail", true, "no such mailbox"), ("refuse", false, "")]
    {
        server.switch(json!({"mode": mode})).await;
        let error = send(&transport, mode).await.unwrap_err();
        assert_eq!(error.permanent, permanent, "{mode}: {error}");
        assert!(error.message.contains(part), "{mode}: {error}");
    }
    assert!(!transport.check().await.unwrap_err().permanent);

    server.switch(json!({"mode": "accept"})).await;
    send(&transport, "after").await.unwrap();
    assert_eq!(server.event().await["event"], "message");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_temporary() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("smtp://{}", socket.local_addr().unwrap());
    let transport = Smtp::from_url(&url.parse().unwrap()).unwrap();
    assert!(!send(&transport, "nobody").await.unwrap_err().permanent);
    assert!(!transport.check().await.unwrap_err().permanent);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_and_its_connection_with_it() {
    let mut server = Server::start(&[]).await;
    let mut transport = server.transport("smtp://127.0.0.1:PORT");
    server.switch(json!({"mode": "slow", "seconds": 3600})).await;
    transport.timeouts.message = Duration::from_millis(300);
    let error = send(&transport, "slow").await.unwrap_err();
    assert!(!error.permanent && error.message.contains("in time"), "{error}");

    server.switch(json!({"mode": "accept"})).await;
    transport.timeouts.message = Timeouts::DEFAULT.message;
    send(&transport, "again").await.unwrap();
    let received = server.event().await;
    assert!(received["data"].as_str().unwrap().contains("<again@id.example.com>"), "{received}");
}

#[tokio::test]
async fn a_silent_server_does_not_hold_a_worker() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let mut transport = Smtp::from_url(&url.parse().unwrap()).unwrap();
    transport.timeouts.command = Duration::from_millis(300);
    let error = send(&transport, "silence").await.unwrap_err();
    assert!(!error.permanent && error.message.starts_with("connecting: no answer"), "{error}");
}

#[tokio::test]
async fn tls_carries_mail_and_credentials() {
    for (tls, url) in [
        ("starttls", "smtp://ada:pa%20ss@127.0.0.1:PORT?tls=required&ca=CA"),
        ("starttls", "smtp://ada:pa%20ss@127.0.0.1:PORT?ca=CA"),
        ("implicit", "smtps://ada:pa%20ss@127.0.0.1:PORT?ca=CA"),
    ] {
        let mut server = Server::start(&["--tls", tls, "--auth", "ada:pa ss", "--trace"]).await;
        let transport = server.transport(url);
        transport.check().await.unwrap();
        send(&transport, "sealed").await.unwrap();
        let received = loop {
            let event = server.event().await;
            if event["event"] == "message" {
                break event;
            }
            let clear = event["data"].as_str().unwrap();
            assert!(clear.starts_with("EHLO ") || clear == "STARTTLS\r\n", "in clear: {clear}");
        };
        assert_eq!((&received["tls"], &received["user"]), (&json!(true), &json!("ada")), "{url}");
    }
}

/// Nothing but greetings may have passed in clear, and no message at all.
async fn assert_nothing_was_sent(mut server: Server) {
    server.commands.write_all(b"{\"mode\": \"accept\"}\n").await.unwrap();
    loop {
        let event = server.event().await;
        match event["event"].as_str().unwrap() {
            "mode" => break,
            "clear" => {
                let clear = event["data"].as_str().unwrap();
                let greeting =
                    ["EHLO ", "STARTTLS\r\n", "QUIT\r\n"].iter().any(|start| clear.starts_with(start));
                assert!(greeting, "in clear: {clear}");
            }
            other => panic!("{other}: {event}"),
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_or_of_nobody_stops_the_mail() {
    for (tls, host, url) in [
        ("starttls", "wrong.example", "smtp://ada:canary@127.0.0.1:PORT?tls=required&ca=CA"),
        ("starttls", "wrong.example", "smtp://ada:canary@127.0.0.1:PORT?ca=CA"),
        ("implicit", "wrong.example", "smtps://ada:canary@127.0.0.1:PORT?ca=CA"),
        ("starttls", "127.0.0.1", "smtp://ada:canary@127.0.0.1:PORT?tls=required"),
        ("implicit", "127.0.0.1", "smtps://ada:canary@127.0.0.1:PORT"),
    ] {
        let server = Server::start(&["--tls", tls, "--tls-host", host, "--trace"]).await;
        let transport = server.transport(url);
        for error in [send(&transport, "x").await.unwrap_err(), transport.check().await.unwrap_err()] {
            assert!(!error.permanent && error.message.contains("certificate"), "{url}: {error}");
        }
        assert_nothing_was_sent(server).await;
    }
}

#[tokio::test]
async fn without_the_offer_of_starttls_nothing_is_sent() {
    let server = Server::start(&["--trace"]).await;
    let transport = server.transport("smtp://ada:canary@127.0.0.1:PORT?tls=required");
    let error = send(&transport, "downgraded").await.unwrap_err();
    assert!(!error.permanent && error.message.contains("STARTTLS"), "{error}");
    assert_nothing_was_sent(server).await;
}

#[tokio::test]
async fn wrong_credentials_are_temporary_and_never_repeated() {
    let mut server = Server::start(&["--auth", "ada:right"]).await;
    let transport = server.transport("smtp://ada:canary-secret@127.0.0.1:PORT");
    for error in [send(&transport, "x").await.unwrap_err(), transport.check().await.unwrap_err()] {
        assert!(!error.permanent && error.message.contains("535"), "{error}");
        assert!(error.message.contains("(redacted)"), "the server repeats the password: {error}");
        let plain = BASE64_STANDARD.encode("\0ada\0canary-secret");
        assert!(!error.message.contains("canary-secret") && !error.message.contains(&plain), "{error}");
    }

    // No credentials where some are needed: 530, which is not the message's fault either.
    let error = send(&server.transport("smtp://127.0.0.1:PORT"), "x").await.unwrap_err();
    assert!(!error.permanent && error.message.contains("530"), "{error}");

    send(&server.transport("smtp://ada:right@127.0.0.1:PORT"), "right").await.unwrap();
    assert_eq!(server.event().await["user"], "ada");
}
