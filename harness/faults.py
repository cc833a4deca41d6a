"""An HTTP proxy on 127.0.0.1 in front of a registry that counts uploads and injects faults."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 16 * 1024
# Headers of one hop only, or set by http.server.
HOP = {"connection", "transfer-encoding", "content-length", "date", "server", "keep-alive"}


Reply = tuple[int, dict[str, str], bytes]


class CutError(Exception):
    """Reset this connection."""


@dataclass
class Faults:
    """The faults to inject, and the recorded requests. Everything may change while the proxy runs.

    Attributes:
        address: host:port[/namespace] to use instead of the registry's.
        refusals: responses (status, headers) sent one by one instead of forwarding the request.
        answer: response (status, headers, body) by method and path instead of the registry's, or None.
        refuse_only: whether `refusals` apply to a request, by method and path.
        cut_after: uploaded bytes after which a connection is reset, once per entry.
        hold_after: uploaded bytes after which all uploads pause.
        hold: whether a request waits for `released`, by method and path; the registry never receives it.
        held: set once a request waits.
        tamper: changes the bytes of a downloaded manifest.
        uploaded: bytes of blobs uploaded so far.
        requests: (method, path) of every request.
    """

    address: str = ""
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    answer: Callable[[str, str], Reply | None] = lambda _method, _path: None
    refuse_only: Callable[[str, str], bool] = lambda _method, _path: True
    cut_after: list[int] = field(default_factory=list)
    hold_after: int | None = None
    hold: Callable[[str, str], bool] = lambda _method, _path: False
    held: threading.Event = field(default_factory=threading.Event)
    tamper: Callable[[bytes], bytes] | None = None
    uploaded: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, length: int) -> None:
        with self.lock:
            self.uploaded += length
            cut = bool(self.cut_after) and self.uploaded >= self.cut_after[0]
            if cut:
                self.cut_after.pop(0)
        if cut:
            raise CutError
        if self.hold_after is not None and self.uploaded >= self.hold_after:
            self.released.wait()

    def refusal(self, method: str, path: str) -> tuple[int, dict[str, str]] | None:
        with self.lock:
            self.requests.append((method, path))
            refusal = self.refusals.pop(0) if self.refusals and self.refuse_only(method, path) else None
        if self.hold(method, path):
            self.held.set()
            self.released.wait()
            raise CutError
        return refusal


@contextlib.contextmanager
def faults(registry: str, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Faults]:
    """Run a proxy in front of the registry at `registry` (host:port[/namespace]) until the end of the context.

    Args:
        tls: context of an HTTPS proxy; None for HTTP.
        host: local address to listen on.
    """
    state = Faults()
    behind, slash, namespace = registry.partition("/")
    handler = type("Handler", (_Handler,), {"registry": behind, "state": state, "tls": tls})
    server = _Server((host, 0), handler)
    state.address = f"{host}:{server.server_address[1]}{slash}{namespace}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: tests check how clients handle a broken connection."""


class _Handler(BaseHTTPRequestHandler):
    registry: str
    state: Faults
    tls: ssl.SSLContext | None
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        if self.tls:  # here, in the thread of the connection
            self.request = self.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        if self.tls:  # the server closes only the socket below it
            self.request.close()

    def handle_any(self) -> None:
        try:
            if refusal := self.state.refusal(self.command, self.path):
                for _ in self.body():
                    pass
                self.reply(refusal[0], refusal[1], b"")
            elif response := self.state.answer(self.command, self.path):
                for _ in self.body():
                    pass
                self.reply(*response)
            else:
                self.forward()
        except (CutError, OSError):
            self.close_connection = True
            with contextlib.suppress(OSError):  # no lingering: the peer gets a reset, not an end
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

    # http.server finds a method by its name.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def body(self) -> Iterator[bytes]:
        """Yield the request's body in pieces; count those of blobs."""
        counted = "/blobs/uploads/" in self.path
        for piece in self.chunks() if self.chunked else self.plain():
            if counted:
                self.state.count(len(piece))
            yield piece

    @property
    def chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def plain(self) -> Iterator[bytes]:
        remaining = int(self.headers.get("Content-Length") or 0)
        while remaining:
            piece = self.rfile.read(min(PIECE, remaining))
            if not piece:
                raise CutError
            remaining -= len(piece)
            yield piece

    def chunks(self) -> Iterator[bytes]:
        while length := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def forward(self) -> None:
        upstream = http.client.HTTPConnection(self.registry, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            if self.tls:
                headers["X-Forwarded-Proto"] = "https"
            has_body = self.chunked or "Content-Length" in self.headers
            upstream.request(
                self.command,
                self.path,
                body=self.body() if has_body else None,
                headers=headers,
                encode_chunked=self.chunked,
            )
            self.relay(upstream.getresponse())
        finally:
            upstream.close()

    def relay(self, response: http.client.HTTPResponse) -> None:
        headers = {name: value for name, value in response.getheaders() if name.lower() not in HOP}
        if self.command == "HEAD":
            self.reply(response.status, {**headers, "Content-Length": response.getheader("Content-Length", "0")}, b"")
            return
        content = response.read()
        if self.state.tamper and "/manifests/" in self.path and self.command == "GET":
            content = self.state.tamper(content)
        self.reply(response.status, headers, content)

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing: `requests` has the requests."""
