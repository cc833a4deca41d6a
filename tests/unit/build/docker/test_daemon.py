"""Selection of the engine, the same for docker-py, the command line and every check of the host."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from requests.exceptions import RequestException

from build import console
from build.docker import daemon
from build.docker.compose import Compose
from build.docker.engine import DockerEngine, convert_errors
from build.errors import EngineUnreachableError

OTHER = "tcp://192.0.2.1:2376"


class Contexts:
    """A Docker configuration folder as written by `docker context create` and `docker context use`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "contexts").mkdir(parents=True)

    def create(self, name: str, host: str, *, tls: bool = False, skip: bool = False) -> Path:
        key = hashlib.sha256(name.encode()).hexdigest()
        meta, certificates = self.folder / "contexts/meta" / key, self.folder / "contexts/tls" / key / "docker"
        meta.mkdir(parents=True)
        docker = {"Host": host, "SkipTLSVerify": skip}
        (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": docker}}))
        if tls:
            certificates.mkdir(parents=True)
        return certificates

    def use(self, name: str) -> None:
        (self.folder / "config.json").write_text(json.dumps({"auths": {}, "currentContext": name}))


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contexts:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return Contexts(tmp_path / "docker")


@pytest.mark.parametrize(
    ("environ", "current", "expected"),
    [
        ({}, "", daemon.DEFAULT),
        ({}, "other", OTHER),
        ({"DOCKER_CONTEXT": "other"}, "", OTHER),
        ({"DOCKER_CONTEXT": "third"}, "other", "ssh://third"),
        ({"DOCKER_CONTEXT": "default"}, "other", daemon.DEFAULT),
        ({"DOCKER_HOST": "unix:///x.sock", "DOCKER_CONTEXT": "other"}, "third", "unix:///x.sock"),
        ({"DOCKER_HOST": ""}, "other", OTHER),
        ({}, "gone", ""),
    ],
)
def test_the_engine_is_the_one_of_the_docker_command_line(
    contexts: Contexts, environ: dict[str, str], current: str, expected: str
) -> None:
    contexts.create("other", OTHER)
    contexts.create("third", "ssh://third")
    if current:
        contexts.use(current)
    environ = {"DOCKER_CONFIG": str(contexts.folder), **environ}
    assert daemon.address(environ) == expected
    daemon.settle(environ)
    assert daemon.address(environ) == expected
    assert expected in ("", daemon.DEFAULT) or environ["DOCKER_HOST"] == expected


@pytest.mark.parametrize(
    ("host", "local", "ssh"), [("unix:///x.sock", True, False), (OTHER, False, False), ("ssh://third", False, True)]
)
def test_the_address_shows_whether_the_engine_is_local_or_behind_ssh(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch, host: str, local: bool, ssh: bool
) -> None:
    assert daemon.is_local({"DOCKER_HOST": host}) is local
    monkeypatch.setenv("DOCKER_HOST", host)
    assert (daemon.is_local(), daemon.is_behind_ssh()) == (local, ssh)


def test_the_certificates_of_a_context_replace_those_of_the_environment(contexts: Contexts) -> None:
    contexts.use("other")
    certificates = contexts.create("other", OTHER, tls=True)
    environ = {"DOCKER_CONFIG": str(contexts.folder), "DOCKER_CERT_PATH": "/another", "DOCKER_TLS_VERIFY": ""}
    found = daemon.environment(environ)
    assert (found["DOCKER_CERT_PATH"], found["DOCKER_TLS_VERIFY"]) == (str(certificates), "1")
    contexts.create("lax", OTHER, tls=True, skip=True)
    lax = daemon.environment({**environ, "DOCKER_CONTEXT": "lax"})
    assert lax["DOCKER_TLS"] == "1"
    assert "DOCKER_TLS_VERIFY" not in lax


def test_a_command_keeps_its_engine_when_the_context_changes(contexts: Contexts) -> None:
    contexts.create("other", OTHER)
    contexts.create("third", "ssh://third")
    contexts.use("other")
    environ = {"DOCKER_CONFIG": str(contexts.folder), "PATH": "/bin", "DOCKER_CONTEXT": "other"}
    daemon.settle(environ)
    contexts.use("third")
    assert environ == {"DOCKER_CONFIG": str(contexts.folder), "PATH": "/bin", "DOCKER_HOST": OTHER}


def test_every_command_settles_its_environment(contexts: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts.create("other", OTHER)
    environ = {**os.environ, "DOCKER_CONTEXT": "other", **dict.fromkeys(daemon.BUILD_OVERRIDES, "linux/arm64")}
    monkeypatch.setattr(os, "environ", environ)
    app = console.app("A command.")

    @app.command()
    def command() -> None:
        """Check the environment."""
        assert os.environ["DOCKER_HOST"] == OTHER
        assert not set(daemon.BUILD_OVERRIDES) & os.environ.keys()

    monkeypatch.setattr("sys.argv", ["command"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as done:
        console.main(app)
    assert done.value.code == 0


class Api(BaseHTTPRequestHandler):
    """The part of the engine's API that docker-py uses when it connects."""

    def do_GET(self) -> None:
        body = json.dumps({"ApiVersion": "1.45", "ServerVersion": "the other"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@pytest.fixture
def other() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_docker_py_uses_the_current_context(contexts: Contexts, other: str) -> None:
    contexts.create("other", other)
    contexts.use("other")
    engine = DockerEngine()
    assert engine.info()["ServerVersion"] == "the other"
    engine.client.close()
    assert not daemon.is_local()


@pytest.mark.parametrize(
    ("host", "remedy"),
    [("unix:///nowhere/docker.sock", "scripts/bootstrap"), ("tcp://127.0.0.1:9", "check tcp://127.0.0.1:9 with")],
)
def test_an_engine_that_does_not_answer_has_a_remedy_for_where_it_is(
    monkeypatch: pytest.MonkeyPatch, host: str, remedy: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineUnreachableError) as raised, convert_errors():
        raise RequestException("connection refused")
    assert remedy in raised.value.remedy


def test_an_unknown_context_is_named(contexts: Contexts) -> None:
    contexts.use("gone")
    with pytest.raises(EngineUnreachableError, match="context gone"):
        DockerEngine().info()
    assert not daemon.is_local()


DOCKER = '#!/bin/sh\nprintf "%s\\n" "$@" >"$CALLS/argv"\nenv >"$CALLS/env"\necho \'{"services": {}}\'\n'


def test_compose_reads_only_the_stacks_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "compose.yaml").write_text("services: {proxy: {image: '${PROXY_IMAGE:?}', ports: ['${PORT:-1}:1']}}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path))
    for name in ("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_REMOVE_ORPHANS", "PROXY_IMAGE", "PORT"):
        monkeypatch.setenv(name, "unwanted")
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    compose = Compose(tmp_path)

    def used() -> list[str]:
        argv = (tmp_path / "argv").read_text().splitlines()
        environ = (tmp_path / "env").read_text()
        assert "unwanted" not in environ
        assert "arm64" not in environ
        return [argv[at + 1] for at, word in enumerate(argv) if word in {"--file", "--env-file"}]

    compose.up("proxy")
    assert used() == [str(tmp_path / "compose.running.yaml"), str(tmp_path / ".env")]
    assert compose.render({"PORT": "7860"}) == {"services": {}}
    assert used() == [str(tmp_path / "compose.yaml"), os.devnull]
    assert "PORT=7860" in (tmp_path / "env").read_text().splitlines()


def test_compose_files_that_the_stack_does_not_use_are_named(tmp_path: Path) -> None:
    compose = Compose(tmp_path)
    assert compose.ignored({"COMPOSE_FILE": "compose.running.yaml"}) == []
    (tmp_path / "compose.override.yaml").write_text("services: {}")
    assert compose.ignored({"COMPOSE_FILE": "mine.yaml"}) == ["compose.override.yaml", "COMPOSE_FILE"]
