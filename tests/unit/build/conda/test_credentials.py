"""Credentials of a conda channel: used for requests, never stored and never shown."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rattler.index import index_fs

from build.conda import CondaError, access, client, explicit
from build.conda.environment import CondaEnvironment
from build.conda.explicit import ExplicitLock
from build.conda.standin import package
from build.conda.standin.package import Metadata
from build.images import build_secrets

USER, PASSWORD, TOKEN = "joe", "s3cret", "tk-123-456"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Guarded(SimpleHTTPRequestHandler):
    """Serves a folder to clients with the password or the token."""

    authorizations: list[str]

    def do_GET(self) -> None:
        self.authorizations.append(self.headers.get("Authorization", ""))
        if self.path.startswith(f"/t/{TOKEN}/"):
            self.path = self.path.removeprefix(f"/t/{TOKEN}")
        elif self.authorizations[-1] != BASIC:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, content = tmp_path_factory.mktemp("channel"), tmp_path_factory.mktemp("content")
    (content / "file").write_text("x")
    package.write(content, Metadata("base", "1.0", "test_0", "MIT"), root)
    asyncio.run(index_fs(root, write_zst=False, write_shards=False))
    return root


@pytest.fixture
def url(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("NETRC", "RATTLER_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))
    handler = type("Handler", (Guarded,), {"authorizations": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def environment(*channels: str) -> CondaEnvironment:
    return CondaEnvironment("test", channels, ("base",), ())


def by_netrc(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (home / ".netrc").chmod(0o600)


def by_file(entry: dict[str, Any]) -> Any:
    def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (home / "auth.json").write_text(json.dumps({"127.0.0.1": entry}))
        monkeypatch.setenv("RATTLER_AUTH_FILE", str(home / "auth.json"))

    return place


@pytest.mark.parametrize(
    "place",
    [
        by_netrc,
        by_file({"CondaToken": TOKEN}),
        by_file({"BasicHTTP": {"username": USER, "password": PASSWORD}}),
    ],
)
def test_a_channel_with_a_login_works_and_its_credentials_are_stored_nowhere(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any
) -> None:
    with pytest.raises(CondaError, match="401"):
        asyncio.run(client.solve(environment(url)))
    place(tmp_path, monkeypatch)
    lock = asyncio.run(client.solve(environment(url)))
    assert [package.url for package in lock.packages] == [f"{url}/linux-64/base-1.0-test_0.conda"]
    asyncio.run(client.install(explicit.parse(lock.text(), "lock"), tmp_path / "prefix"))
    assert (tmp_path / "prefix" / "file").read_text() == "x"
    stored = lock.text() + "".join(path.read_text() for path in (tmp_path / "prefix/conda-meta").glob("*.json"))
    assert not [secret for secret in (PASSWORD, TOKEN, USER) if secret in stored]


@pytest.mark.parametrize(
    "channel",
    [
        "https://joe:s3cret@conda.example/main",
        "https://s3cret@conda.example/main",
        "https://conda.example/t/s3cret/main",
    ],
)
def test_a_channel_url_with_credentials_is_refused_without_showing_them(channel: str) -> None:
    requested = environment(channel)
    attempts: list[Callable[[], Coroutine[Any, Any, ExplicitLock]]] = [
        lambda: client.solve(requested),
        lambda: client.solve(environment("conda-forge"), [channel]),
        lambda: client.solve(CondaEnvironment("test", ("conda-forge",), (f"{channel}::base",), ())),
    ]
    for attempt in attempts:
        with pytest.raises(CondaError, match="credentials in https://") as error:
            asyncio.run(attempt())
        assert "s3cret" not in str(error.value)
        assert "~/.netrc" in error.value.remedy
    lock = f"@EXPLICIT\n{channel}/linux-64/base-1.0-test_0.conda#sha256:{'0' * 64}\n"
    with pytest.raises(CondaError, match=r"old\.lock contains credentials") as error:
        explicit.parse(lock, "old.lock")
    assert "s3cret" not in str(error.value)


def test_an_invalid_credential_file_is_not_quoted_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 s3cret\n")
    with pytest.raises(CondaError, match="NetrcParseError") as error:
        access.request("https://127.0.0.1/x", {"NETRC": str(tmp_path / "netrc")})
    assert "s3cret" not in str(error.value)


def test_the_entry_of_a_host_takes_precedence_over_that_of_its_domain(tmp_path: Path) -> None:
    entries = {"*.example": {"BearerToken": "domain"}, "conda.example": {"BearerToken": "host"}}
    (tmp_path / "auth.json").write_text(json.dumps(entries))
    known = {"RATTLER_AUTH_FILE": str(tmp_path / "auth.json"), "NETRC": "/nowhere"}
    found = [
        access.request(f"https://{host}/x", known).get_header("Authorization")
        for host in ("conda.example", "other.example", "example")
    ]
    assert found == ["Bearer host", "Bearer domain", None]
    # Unredirected headers are not sent to the host of a redirect.
    assert "Authorization" not in access.request("https://conda.example/x", known).headers


def test_an_image_build_gets_the_credential_files_as_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NETRC", "RATTLER_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert build_secrets.channels() == []
    by_netrc(tmp_path, monkeypatch)
    by_file({})(tmp_path, monkeypatch)
    netrc, auth = tmp_path / ".netrc", tmp_path / "auth.json"
    assert build_secrets.channels() == [f"id=netrc,src={netrc}", f"id=rattler-auth,src={auth}"]
