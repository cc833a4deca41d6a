"""An HTTP proxy on 127.0.0.1 in front of a registry, which counts what is uploaded and lets things go wrong."""

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
# For one hop only, or written again by http.server.
HOP = {"connection", "transfer-encoding", "content-length", "date", "server", "keep-alive"}


Reply = tuple[int, dict[str, str], bytes]


class CutError(Exception):
    """This connection is to be reset now."""


@dataclass
class Faults:
    """What goes wrong, and what was seen. Everything may be changed while the proxy runs.

    Attributes:
        address: host:port, and the namespace, to use in place of the registry's.
        refusals: answered one by one, instead of passing the request on: (status, headers).
        answer: replaces the registry's answer, by method and path: (status, headers, body), or None.
        refuse_only: which requests `refusals` are for, by method and path.
        cut_after: bytes of uploads after which a connection is reset, once for each entry.
        hold_after: bytes of uploads after which all of them stand still.
        hold: which requests stand still, by method and path, until `released`; the registry never sees them.
        held: set once one does.
        tamper: changes a manifest's bytes on their way down.
        uploaded: bytes of blobs that went up so far.
        seen: (method, path) of every request.
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
    seen: list[tuple[str, str]] = field(default_factory=list)
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
            self.seen.append((method, path))
            refusal = self.refusals.pop(0) if self.refusals and self.refuse_only(method, path) else None
        if self.hold(method, path):
            self.held.set()
            self.released.wait()
            raise CutError
        return refusal


@contextlib.contextmanager
def faults(registry: str, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Faults]:
    """A proxy in front of the registry at `registry` (host:port[/namespace]) until the end of the context.

    Args:
        tls: HTTPS is spoken, by this.
        host: the address of this machine to listen at.
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
        """Nothing: what a client makes of a broken connection is what tests look at."""


class _Handler(BaseHTTPRequestHandler):
    registry: str
    state: Faults
    tls: ssl.SSLContext | None
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        if self.tls:  # here, in the connection's own thread
            self.request = self.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        if self.tls:  # the server knows the socket below it alone
            self.request.close()

    def handle_any(self) -> None:
        try:
            if refusal := self.state.refusal(self.command, self.path):
                for _ in self.body():
                    pass
                self.reply(refusal[0], refusal[1], b"")
            elif said := self.state.answer(self.command, self.path):
                for _ in self.body():
                    pass
                self.reply(*said)
            else:
                self.forward()
        except (CutError, OSError):
            self.close_connection = True
            with contextlib.suppress(OSError):  # no lingering: the peer sees a reset, not an end
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

    # http.server finds a method by its name.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def body(self) -> Iterator[bytes]:
        """The request's body in pieces, counted when it is part of a blob."""
        counted = "/blobs/uploads/" in self.path
        for piece in self.chunks() if self.chunked else self.plain():
            if counted:
                self.state.count(len(piece))
            yield piece

    @property
    def chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def plain(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(PIECE, left))
            if not piece:
                raise CutError
            left -= len(piece)
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

    def relay(self, answer: http.client.HTTPResponse) -> None:
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
        if self.command == "HEAD":
            self.reply(answer.status, {**headers, "Content-Length": answer.getheader("Content-Length", "0")}, b"")
            return
        content = answer.read()
        if self.state.tamper and "/manifests/" in self.path and self.command == "GET":
            content = self.state.tamper(content)
        self.reply(answer.status, headers, content)

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
        """Nothing: what went through is in `seen`."""
