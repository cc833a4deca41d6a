"""Incomplete output streams of an engine: the command counts as failed."""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.errors import ImageNotFound

from build.docker.engine import DockerEngine
from build.errors import EngineUnreachableError

STDOUT = 1
SSH = """#!{python} -S
# `docker system dial-stdio` on the engine's host: copy both ways until the engine closes the connection.
import os, socket, threading
engine = socket.create_connection(("127.0.0.1", {port}))
def forward():
    while block := os.read(0, 65536):
        engine.sendall(block)
threading.Thread(target=forward, daemon=True).start()
while block := engine.recv(65536):
    os.write(1, block)
"""


def frame(stream: int, data: bytes, length: int | None = None) -> bytes:
    """A frame of the engine: stream number, three zero bytes, length, data."""
    return struct.pack(">BxxxL", stream, len(data) if length is None else length) + data


class Api(BaseHTTPRequestHandler):
    """The part of the engine's API that an exec uses."""

    stream: bytes = b""
    exit_code: int | None = 0

    def do_GET(self) -> None:
        documents = {"/version": {"ApiVersion": "1.45"}, "/containers/state/json": {"Id": "state"}}
        path = self.path if self.path == "/version" else self.path.removeprefix("/v1.45")
        self._send(documents.get(path, {"ExitCode": self.exit_code}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith("/start"):
            self._send({"Id": "exec"})
            return
        # In one write, as on a busy machine: a client that reads only the headers from the socket would lose the rest.
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n" + self.stream)
        self.close_connection = True

    def _send(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@pytest.fixture(params=["tcp", "ssh"])
def engine_with(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[bytes, int | None], DockerEngine]]:
    servers: list[ThreadingHTTPServer] = []

    def make(stream: bytes, exit_code: int | None) -> DockerEngine:
        handler = type("Handler", (Api,), {"stream": stream, "exit_code": exit_code})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        servers.append(server)
        (tmp_path / "ssh").write_text(SSH.format(python=sys.executable, port=server.server_port))
        (tmp_path / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        host = {"tcp": f"tcp://127.0.0.1:{server.server_port}", "ssh": "ssh://engine"}[request.param]
        monkeypatch.setenv("DOCKER_HOST", host)
        return DockerEngine()

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("stream", "exit_code", "expected"),
    [
        (frame(STDOUT, b"whole"), 0, (0, b"whole")),
        (frame(STDOUT, b"whole"), 3, (3, b"whole")),
        (frame(STDOUT, b"cut", length=100), None, (1, b"")),  # the container exited meanwhile
        (frame(STDOUT, b"first") + frame(13, b"\r\nno frame"), 0, (1, b"")),
        (frame(STDOUT, b"first") + b"\1\0", 0, (1, b"")),
        (frame(STDOUT, b"one ") + frame(2, b"not this") + frame(STDOUT, b"two"), 0, (0, b"one two")),
        (b"", 0, (0, b"")),
    ],
)
def test_an_incomplete_stream_is_a_failed_command(
    engine_with: Callable[[bytes, int | None], DockerEngine],
    stream: bytes,
    exit_code: int | None,
    expected: tuple[int, bytes],
) -> None:
    answer = engine_with(stream, exit_code).execute("state", ["cat", "journal"])
    assert (answer.exit_code, answer.stdout) == expected


def test_a_silent_engine_ends_a_read(
    engine_with: Callable[[bytes, int | None], DockerEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    engine = engine_with(b"", 0)
    engine.info()
    monkeypatch.setattr(Api, "do_GET", lambda _request: answered.wait(5))
    engine.client.api.timeout = 0.1
    try:
        with pytest.raises(EngineUnreachableError, match="timed out"):
            engine.info()
    finally:
        answered.set()


@pytest.mark.parametrize(
    ("address", "arguments"), [("ssh://gpu-box", "-- gpu-box"), ("ssh://op@gpu-box:2222", "-l op -p 2222 -- gpu-box")]
)
def test_the_port_of_sshs_configuration_is_kept_unless_the_address_names_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, arguments: str
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/called\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(EngineUnreachableError):
        DockerEngine().info()
    assert set((tmp_path / "called").read_text().splitlines()) == {f"{arguments} docker system dial-stdio"}


def test_an_image_that_is_removed_while_images_are_listed_is_left_out() -> None:
    def get(identity: str) -> SimpleNamespace:
        if identity == "gone":
            raise ImageNotFound("No such image")
        return SimpleNamespace(id=identity, attrs={"Created": identity})

    engine = DockerEngine()
    api = SimpleNamespace(images=lambda **_filter: [{"Id": identity} for identity in ("1", "gone", "2")])
    engine.__dict__["client"] = SimpleNamespace(api=api, images=SimpleNamespace(get=get))
    assert [image.id for image in engine.images("glm-tts-slim")] == ["2", "1"]
