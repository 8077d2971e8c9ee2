"""Serves each provider on a port of its own, and the control that tells them how to behave."""

import json
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from base import Error, Provider, Refused, Reply, Request

HOST = "127.0.0.1"
SLOW_SECONDS = 60.0
HUGE_BYTES = 10 * 1024 * 1024
MAX_BODY = 1024 * 1024
TRANSPORTS = ("slow", "drip", "garbage", "empty", "huge", "redirect", "status", "close", "answer", "error")
HIDDEN = "[hidden]"


class Misuse(Exception):
    """The test asked for something that there is not."""


@dataclass
class Rule:
    """What the next requests get, after their signature has been verified."""

    kind: str
    options: dict[str, Any]
    # Of one path alone, or of all.
    path: str | None = None
    # Of `signed` requests, of `public` ones, or of `all`.
    on: str = "signed"
    # How many requests more; without end when there is no number.
    times: int | None = None

    def meets(self, path: str, signed: bool) -> bool:
        return self.path in (None, path) and self.on in ("all", "signed" if signed else "public")


@dataclass
class Seen:
    """A provider with what a test has told it, and what it has been asked."""

    provider: Provider | None
    rules: list[Rule] = field(default_factory=list)
    patches: list[tuple[str | None, Any, dict[str, str]]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        with self.lock:
            self.rules.clear()
            self.patches.clear()
            self.calls.clear()
            if self.provider is not None:
                self.provider.clock.skew = 0.0
                self.provider.forget()

    def rule(self, path: str, signed: bool) -> Rule | None:
        """The newest that meets the request, counted as used."""
        with self.lock:
            found = next((rule for rule in reversed(self.rules) if rule.meets(path, signed)), None)
            if found is not None and found.times is not None:
                found.times -= 1
                if found.times <= 0:
                    self.rules.remove(found)
            return found

    def patches_of(self, path: str) -> list[tuple[Any, dict[str, str]]]:
        with self.lock:
            return [(patch, headers) for where, patch, headers in self.patches if where in (None, path)]


class Handler(BaseHTTPRequestHandler):
    """Takes requests of any method."""

    protocol_version = "HTTP/1.1"
    server_version = "stub"
    sys_version = ""
    # A client that leaves a connection open does not keep a thread for ever.
    timeout = 120
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            # Clients may leave whenever they like; the tests with slow answers expect it.
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            pass

    def read(self) -> Request | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self.send(Reply.text(411, "Length Required"))
            return None
        body = self.rfile.read(int(length))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, path, query, body, headers)

    def start(self, reply: Reply, length: int | None) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, reply: Reply) -> None:
        self.start(reply, len(reply.body))
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def answer(self) -> None:
        raise NotImplementedError

    def do(self) -> None:
        self.answer()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do


class ProviderHandler(Handler):
    seen: Seen
    trap: str

    def answer(self) -> None:
        request = self.read()
        if request is None:
            return
        provider = self.seen.provider
        assert provider is not None
        public = provider.public.get((request.method, request.path))
        if public is not None:
            call = note(self.seen, request, None)
            self.act(call, self.seen.rule(request.path, False), lambda: Reply.json(200, public()))
            return
        try:
            caller = provider.authenticate(request)
        except Refused as refused:
            call = note(self.seen, request, False)
            self.act(call, None, lambda: refuse(provider, call, refused))
            return
        call = note(self.seen, request, True)
        call["nonce"] = caller.nonce
        call["credential"] = next(name for name, known in provider.credentials.items() if known is caller.credential)
        patches = self.seen.patches_of(request.path)

        def success() -> Reply:
            try:
                return provider.answer(request, caller, patches)
            except Refused as refused:
                return refuse(provider, call, refused)

        self.act(call, self.seen.rule(request.path, True), success)

    def act(self, call: dict[str, Any], rule: Rule | None, success: Callable[[], Reply]) -> None:
        if rule is None:
            reply = success()
            call["status"] = reply.status
            self.send(reply)
            return
        call["scenario"] = rule.kind
        options = rule.options
        match rule.kind:
            case "close":
                call["status"] = 0
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            case "slow":
                time.sleep(options.get("seconds", SLOW_SECONDS))
                reply = success()
            case "drip":
                reply = success()
                call["status"] = reply.status
                self.start(reply, len(reply.body))
                for byte in reply.body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(options.get("seconds", 1.0))
                return
            case "garbage":
                reply = Reply.text(200, "<!doctype html><title>Maintenance</title>\u2028{\"code\": ", "text/html")
            case "empty":
                reply = Reply(200, b"")
            case "huge":
                return self.send_huge(call, options)
            case "redirect":
                status = options.get("status", 302)
                reply = Reply(status, b"", {"Location": self.trap + self.path})
            case "status":
                status = options["status"]
                reply = Reply.text(status, options.get("text", f"status {status}"), headers=options.get("headers"))
            case "answer":
                reply = Reply.json(options.get("status", 200), options["body"], options.get("headers"))
            case _:
                reply = self.error(options)
                call["code"] = options["code"]
        call["status"] = reply.status
        self.send(reply)

    def error(self, options: dict[str, Any]) -> Reply:
        provider, code = self.seen.provider, options["code"]
        assert provider is not None
        known = provider.errors.get(code, Error(200, "stub"))
        return provider.failure(
            code,
            Error(
                options.get("status", known.status),
                options.get("message", known.message),
                known.code,
                {**known.headers, **options.get("headers", {})},
            ),
        )

    def send_huge(self, call: dict[str, Any], options: dict[str, Any]) -> None:
        """JSON that would be read in the end; without its length when the client is to count by itself."""
        size = options.get("bytes", HUGE_BYTES)
        reply = Reply(200, b"", {"Content-Type": "application/json"})
        call["status"] = reply.status
        begin, end, block = b'{"padding":"', b'"}', b"x" * 65536
        self.start(reply, size if options.get("length", True) else None)
        self.wfile.write(begin)
        left = size - len(begin) - len(end)
        while left > 0:
            self.wfile.write(block[:left])
            left -= len(block)
        self.wfile.write(end)


class TrapHandler(Handler):
    """Where redirects lead. Nobody should ever come."""

    seen: Seen

    def answer(self) -> None:
        if (request := self.read()) is not None:
            note(self.seen, request, None)["status"] = 200
            self.send(Reply.json(200, {"trap": True}))


def refuse(provider: Provider, call: dict[str, Any], refused: Refused) -> Reply:
    call["code"] = refused.code
    return provider.refusal(refused.code, refused.message)


class ControlHandler(Handler):
    all_seen: dict[str, Seen]
    # What requests call the ones that are served.
    noun = "provider"

    def answer(self) -> None:
        request = self.read()
        if request is None:
            return
        try:
            result = self.result(request)
        except (Misuse, ValueError, KeyError, TypeError, AttributeError) as error:
            self.send(Reply.json(400, {"error": f"{type(error).__name__}: {error}"}))
            return
        self.send(Reply.json(200, result))

    def result(self, request: Request) -> Any:
        query, noun = dict(urllib.parse.parse_qsl(request.query)), self.noun
        match request.method, request.path:
            case "POST", "/scenario":
                self.scenario(json.loads(request.body))
                return {}
            case "POST", "/reset":
                name = (json.loads(request.body) if request.body else {}).get(noun)
                for seen in self.chosen(name):
                    seen.reset()
                return {}
            case "GET", "/calls":
                names = [query[noun]] if noun in query else list(self.all_seen)
                return [call for name in names for call in self.one(name).calls]
            case "GET", "/errors":
                provider = self.one(query.get(noun, "")).provider
                errors = {} if provider is None else provider.errors
                return {code: {"status": each.status, "message": each.message} for code, each in errors.items()}
            case _:
                raise Misuse(f"there is no {request.method} {request.path}")

    def one(self, name: str) -> Seen:
        if name not in self.all_seen:
            raise Misuse(f"no {self.noun} {name!r}; there are {', '.join(self.all_seen)}")
        return self.all_seen[name]

    def chosen(self, name: str | None) -> list[Seen]:
        return list(self.all_seen.values()) if name is None else [self.one(name)]

    def scenario(self, options: dict[str, Any]) -> None:
        seen = self.one(options.pop(self.noun))
        provider = seen.provider
        if provider is None:
            raise Misuse("it is only looked at")
        kind = options.pop("scenario", "error" if "code" in options else None)
        path = options.pop("path", None)
        if kind == "skew":
            provider.clock.skew = float(options["seconds"])
        elif kind == "permissions":
            with seen.lock:
                seen.patches.append((path, options.get("merge", {}), options.get("headers", {})))
        elif kind in TRANSPORTS:
            rule = Rule(kind, options, path, options.pop("on", "signed"), options.pop("times", None))
            check(provider, rule)
            with seen.lock:
                # The last word on a path counts, and one that comes to its end gives way to what was before.
                if rule.times is None:
                    seen.rules = [old for old in seen.rules if (old.path, old.on) != (rule.path, rule.on)]
                seen.rules.append(rule)
        else:
            raise Misuse(f"no scenario {kind!r}; there are {', '.join((*TRANSPORTS, 'skew', 'permissions'))}")


def check(provider: Provider, rule: Rule) -> None:
    if rule.on not in ("signed", "public", "all"):
        raise Misuse("`on` is signed, public or all")
    if rule.kind == "status" and not isinstance(rule.options.get("status"), int):
        raise Misuse("`status` is a number")
    if rule.kind == "answer" and "body" not in rule.options:
        raise Misuse("there is no `body`")
    if rule.kind == "error":
        code = rule.options["code"] = str(rule.options["code"])
        if code not in provider.errors and "status" not in rule.options:
            raise Misuse(f"no error {code!r}; with a `status` any code is sent; there are {', '.join(provider.errors)}")


def note(seen: Seen, request: Request, verified: bool | None) -> dict[str, Any]:
    """Remembers a request, without what is secret or proves it."""
    call = {
        "method": request.method,
        "path": request.path,
        "query": hidden(request.query),
        "headers": sorted(request.headers),
        "body_bytes": len(request.body),
        "verified": verified,
        "nonce": None,
        "credential": None,
        "code": None,
        "scenario": None,
        "status": None,
    }
    with seen.lock:
        seen.calls.append(call)
    return call


def hidden(query: str) -> str:
    pairs = query.split("&")
    return "&".join(f"signature={HIDDEN}" if pair.startswith("signature=") else pair for pair in pairs)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Tests come in crowds.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Not a word of clients that left; anything else is a mistake of the stub."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serve(providers: Sequence[Provider], port: int, control: type[ControlHandler] = ControlHandler) -> dict[str, Any]:
    """Starts all, the control on this port and the others on those after it; or on free ones for 0."""
    ports = iter(range(port, port + len(providers) + 2)) if port else iter([0] * (len(providers) + 2))

    def start(handler: type[Handler], **attributes: Any) -> str:
        server = Server((HOST, next(ports)), type(handler.__name__, (handler,), attributes))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://{HOST}:{server.server_address[1]}"

    all_seen = {provider.name: Seen(provider) for provider in providers} | {"trap": Seen(None)}
    described: dict[str, Any] = {"control": {"url": start(control, all_seen=all_seen)}}
    trap = start(TrapHandler, seen=all_seen["trap"])
    for provider in providers:
        url = start(ProviderHandler, seen=all_seen[provider.name], trap=trap)
        described[provider.name] = {"url": url} | provider.described(url)
    return described | {"trap": {"url": trap}}
