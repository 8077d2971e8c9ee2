"""A server process of one's own, and accounts made on it the way a person makes them."""

import email
import email.policy
import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

# A debug build applies its migrations and makes its keys at the first start.
START_SECONDS = 60
MAIL_SECONDS = 20


class ServerError(Exception):
    """The server did not do what every later step stands on."""


class Server:
    """Runs `latchkey serve` on a free port of 127.0.0.1, with its data in a temporary folder."""

    def __init__(self, binary: Path, engine: str, host: str = "127.0.0.1", **settings: str) -> None:
        self.binary = binary
        self.engine = engine
        self.host = host
        self.settings = {f"LATCHKEY_{key}": value for key, value in settings.items()}

    def __enter__(self) -> "Server":
        self._folder = tempfile.TemporaryDirectory(prefix="latchkey-conformance-")
        self.folder = Path(self._folder.name)
        self.mails = self.folder / "mails"
        self.mails.mkdir()
        self.log = self.folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        address = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}:{port}"

        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("LATCHKEY_")}
        self.environment |= self.settings | {
            "LATCHKEY_LISTEN": address,
            "LATCHKEY_PUBLIC_URL": self.url,
            "LATCHKEY_DATA_DIR": str(self.folder / "data"),
            "LATCHKEY_MAIL_URL": self.mails.as_uri(),
            "LATCHKEY_LIMITS__ENABLED": "false",
        }
        if self.engine == "postgres":
            self.environment["LATCHKEY_DATABASE_URL"] = new_postgres_database()
        with self.log.open("wb") as log:
            # In the temporary folder, so that no latchkey.toml of the working directory counts.
            self.process = subprocess.Popen(
                [self.binary, "serve"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        try:
            self._wait_until_ready()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, error: type | None = None, *_: object) -> None:
        gone = self.process.poll()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        log = self.log_tail()
        self._folder.cleanup()
        if error or gone is not None or self.process.returncode:
            print(f"The server's log on {self.engine} ends with:\n{log}")
        if gone is not None:
            raise ServerError(f"`latchkey serve` ended of its own accord, with exit code {gone}")
        if self.process.returncode:
            raise ServerError(f"`latchkey serve` did not stop in order: exit code {self.process.returncode}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError("it was not ready yet")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise ServerError(f"the server on {self.engine} was not ready in {START_SECONDS} s")

    def log_tail(self, lines: int = 30) -> str:
        log = self.log.read_text(errors="replace").splitlines()
        # One line for each of a thousand requests tells nothing.
        return "\n".join([line for line in log if " request " not in line or "ERROR" in line][-lines:])

    def run(self, *arguments: str) -> None:
        """Runs a command beside the server."""
        done = subprocess.run(
            [self.binary, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise ServerError(f"latchkey {' '.join(arguments)}: {done.stderr}")

    def call(self, method: str, path: str, body: object = None, token: str | None = None) -> dict:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ServerError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    def sign_up(self, name: str) -> "Account":
        account = Account(self, f"{name}@conformance.example", secrets.token_urlsafe(24))
        self.call("POST", "/auth/signup", account.credentials)
        return account

    def mailed_token(self, address: str, page: str = "verify-email") -> str:
        deadline = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < deadline:
            for file in self.mails.glob("*.eml"):
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                body = mail.get_body(("plain",))
                if body is None or address not in str(mail["To"]):
                    continue
                if link := re.search(rf"/{page}\?token=([\w.~-]+)", body.get_content()):
                    return link[1]
            time.sleep(0.1)
        raise ServerError(f"no mail with a link to {page} for {address} in {MAIL_SECONDS} s")


@dataclass(frozen=True)
class Account:
    """An account that has signed up and not yet confirmed its address."""

    server: Server
    email: str
    password: str

    @property
    def credentials(self) -> dict[str, str]:
        return {"email": self.email, "password": self.password}

    def verify(self) -> "Account":
        self.server.call("POST", "/auth/verify-email", {"token": self.server.mailed_token(self.email)})
        return self

    def log_in(self) -> dict[str, str]:
        """A new session: access_token and refresh_token."""
        return self.server.call("POST", "/auth/login", self.credentials)["session"]


def new_postgres_database() -> str:
    """Makes an empty database on the test cluster, and returns its URL."""
    cluster = os.environ["LATCHKEY_TEST_POSTGRES"]
    name = f"conformance_{secrets.token_hex(6)}"
    subprocess.run(["psql", cluster, "--quiet", "--no-psqlrc", "--command", f"CREATE DATABASE {name}"], check=True)
    return f"{cluster.rsplit('/', 1)[0]}/{name}"
