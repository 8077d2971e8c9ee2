"""A real SMTP server on loopback that misbehaves on request.

Arguments: --tls none|starttls|implicit, --tls-host NAME (whom the certificate is for), --auth USER:PASSWORD,
--port N (0 finds a free one), --trace. It speaks JSON lines. On stdout:

    {"event": "listening", "port": 40123, "ca": "/…/ca.pem" or null}
    {"event": "mode", "mode": "temp-fail"}                        a command was carried out
    {"event": "message", "from": …, "to": […], "tls": bool, "user": …, "data": …}
    {"event": "clear", "data": "EHLO …"}                          with --trace: what came without TLS

On stdin, a command switches how the next sessions and messages are treated:

    {"mode": "accept"}      {"mode": "refuse"}      closes each connection without a greeting
    {"mode": "temp-fail"}   {"mode": "perm-fail"}   451, 550 in answer to the message, repeating whom it is for
    {"mode": "drop"}        closes the established connections, then accepts
    {"mode": "slow", "seconds": 5}                  waits before it answers to the message

It ends when stdin does.
"""

import argparse
import asyncio
import base64
import json
import logging
import ssl
import sys
import tempfile
import warnings
from pathlib import Path

import trustme
from aiosmtpd.smtp import SMTP, AuthResult


def say(**event):
    print(json.dumps(event), flush=True)


class Server:
    def __init__(self, options, directory):
        self.options = options
        self.mode = "accept"
        self.delay = 0
        self.sessions = set()
        self.ca = None
        self.context = None
        if options.tls != "none":
            authority = trustme.CA()
            self.ca = Path(directory) / "ca.pem"
            authority.cert_pem.write_to_path(str(self.ca))
            self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert(options.tls_host).configure_cert(self.context)

    def session(self):
        if self.mode == "refuse":
            return Hangup()
        auth = self.options.auth is not None
        return Session(
            self,
            hostname="localhost",
            tls_context=self.context if self.options.tls == "starttls" else None,
            require_starttls=False,
            auth_required=auth,
            auth_require_tls=False,
            authenticator=self.authenticate if auth else None,
        )

    def authenticate(self, server, session, envelope, mechanism, data):
        given = f"{data.login.decode()}:{data.password.decode()}"
        if given == self.options.auth:
            return AuthResult(success=True, auth_data=data.login.decode())
        # A server that repeats what it was told: no client may log this.
        plain = base64.b64encode(b"\0" + data.login + b"\0" + data.password).decode()
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 no such user {given} ({plain})")

    async def handle_DATA(self, server, session, envelope):
        if self.mode == "slow":
            await asyncio.sleep(self.delay)
        # Servers repeat whom a message is for, and write it in their own way: no client may log this.
        to = envelope.rcpt_tos[0]
        if self.mode == "temp-fail":
            return f"451 4.3.0 <{to}>: try again later"
        if self.mode == "perm-fail":
            return f"550 5.1.1 <{to.upper()}> ({to.split('@')[0]}@localhost): no such mailbox"
        user = session.auth_data if session.authenticated else None
        say(
            event="message",
            **{"from": envelope.mail_from},
            to=envelope.rcpt_tos,
            tls=session.ssl is not None or self.options.tls == "implicit",
            user=user,
            data=envelope.content.decode("utf-8", "replace"),
        )
        return "250 2.0.0 accepted"

    def command(self, line):
        command = json.loads(line)
        self.mode, self.delay = command["mode"], command.get("seconds", 0)
        if self.mode == "drop":
            self.mode = "accept"
            for session in list(self.sessions):
                session.transport.close()
        say(event="mode", mode=command["mode"])

    async def serve(self):
        loop = asyncio.get_running_loop()
        implicit = self.context if self.options.tls == "implicit" else None
        listener = await loop.create_server(self.session, "127.0.0.1", self.options.port, ssl=implicit)
        port = listener.sockets[0].getsockname()[1]
        commands = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        say(event="listening", port=port, ca=str(self.ca) if self.ca else None)
        while line := await commands.readline():
            self.command(line)


class Hangup(asyncio.Protocol):
    def connection_made(self, transport):
        transport.abort()


class Session(SMTP):
    def __init__(self, server, **settings):
        super().__init__(server, **settings)
        self.server_of = server

    def connection_made(self, transport):
        super().connection_made(transport)
        self.server_of.sessions.add(self)

    def connection_lost(self, error):
        self.server_of.sessions.discard(self)
        super().connection_lost(error)

    def data_received(self, data):
        options = self.server_of.options
        if options.trace and options.tls != "implicit" and self.session.ssl is None:
            say(event="clear", data=data.decode("utf-8", "replace"))
        super().data_received(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
    parser.add_argument("--tls-host", default="127.0.0.1")
    parser.add_argument("--auth", metavar="USER:PASSWORD")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    # Sessions without TLS, and failed handshakes, are what some tests are about.
    warnings.simplefilter("ignore")
    logging.disable()
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="latchkey-smtp-") as directory:
        asyncio.run(Server(options, directory).serve())


if __name__ == "__main__":
    main()
