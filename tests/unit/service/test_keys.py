"""API keys: authentication and the key file."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from service import keys
from service.app import Service
from service.keys import Keys, KeysError, new, parse
from service.settings import Limits, Settings
from tests.unit.service.support import FakeEngine

pytestmark = pytest.mark.anyio

SPEECH = "/v1/audio/speech"
BODY = {"input": "x."}
ANNA, ANNAS_LINE = new("anna", {})
BERT, BERTS_LINE = new("bert", {"rpm": 2})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "api-keys"
    file.write_text(f"# clients\n{ANNAS_LINE}\n\n  {BERTS_LINE}  # on trial\n")
    return file


@pytest.fixture
def settings(settings: Settings, file: Path) -> Settings:
    """Settings of a service that is published beyond this machine, with keys."""
    proxy, inside = "10.0.0.2", frozenset({"127.0.0.1", "10.0.0.11"})
    return dataclasses.replace(settings, published="0.0.0.0", api_keys=file, proxy=proxy, inside=inside)  # noqa: S104


Send = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def send(service: Service) -> Send:
    """Send a request, by default for speech; `peer` is the address of its sender."""

    async def send(path: str = SPEECH, *, peer: str = "10.0.0.2", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(service.asgi, client=(peer, 1))
        named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=named) as client:
            return await (client.post(path, json=BODY) if path in (SPEECH, "/api/predict") else client.get(path))

    return send


def bearer(key: str) -> str:
    return f"Bearer {key}"


@pytest.mark.parametrize("path", [SPEECH, "/api/predict", "/v1/models", "/", "/docs", "/openapi.json", "/nope"])
@pytest.mark.parametrize("sent", [None, "Bearer tts_wrong", "Bearer ", "Basic !", "Digest x", "Bearer \xff"])
async def test_requests_without_a_known_key_get_401(
    send: Send, engine: FakeEngine, path: str, sent: str | None
) -> None:
    response = await send(path, **({"authorization": sent} if sent else {}))
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"].startswith("Basic" if path == "/" else "Bearer")
    assert response.headers["x-request-id"]
    assert not engine.spoken


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_health_needs_no_key(send: Send, path: str) -> None:
    assert (await send(path)).status_code == 200


async def test_a_key_is_accepted_as_a_token_and_as_a_password(send: Send) -> None:
    assert (await send(authorization=bearer(ANNA))).status_code == 200
    password = base64.b64encode(f"anyone:{ANNA}".encode()).decode()
    assert (await send(authorization=f"Basic {password}")).status_code == 200
    assert (await send(authorization=bearer(ANNA[:-1]))).status_code == 401
    digest = hashlib.sha256(ANNA.encode()).hexdigest()
    assert (await send(authorization=bearer(digest))).status_code == 401, "the hash in the file must not work as a key"


async def test_internal_addresses_need_no_key_and_cannot_be_forged(send: Send) -> None:
    assert (await send(peer="127.0.0.1")).status_code == 200
    assert (await send(x_forwarded_for="10.0.0.11")).status_code == 200, "the header of the proxy is trusted"
    assert (await send(peer="10.0.0.9", x_forwarded_for="10.0.0.11")).status_code == 401
    assert (await send(x_forwarded_for="10.0.0.11, 203.0.113.5")).status_code == 401, (
        "only the last address is from the proxy"
    )


async def test_a_revoked_key_is_rejected(send: Send, file: Path) -> None:
    assert (await send(authorization=bearer(BERT))).status_code == 200
    file.write_text(f"{ANNAS_LINE}\n")
    assert (await send(authorization=bearer(BERT))).status_code == 401
    assert (await send(authorization=bearer(ANNA))).status_code == 200


@pytest.mark.parametrize("broken", ["", "anna", None, f"{ANNAS_LINE}\n{ANNAS_LINE}", "\x00", "x sha256:12"])
async def test_a_broken_file_keeps_the_previous_keys(
    send: Send, file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    for _ in range(2):
        assert (await send(authorization=bearer(ANNA))).status_code == 200
        assert (await send(authorization=bearer(BERT))).status_code == 200
    assert caplog.text.count("the previous keys stay valid") == 1
    file.write_text(f"{BERTS_LINE}\n")
    assert (await send(authorization=bearer(ANNA))).status_code == 401, "a corrected file must be read"


async def test_a_key_is_never_in_the_log(send: Send, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await send(authorization=bearer(ANNA))
    await send(authorization=bearer(f"{ANNA}x"))
    assert "POST /v1/audio/speech 401" in caplog.text
    assert ANNA not in caplog.text
    assert ANNAS_LINE.split(":")[1] not in caplog.text


async def test_a_key_can_have_its_own_limit(send: Send) -> None:
    statuses = [(await send(authorization=bearer(BERT))).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await send(authorization=bearer(ANNA))).status_code == 200, "each key has its own limit"


def test_every_key_is_compared_in_constant_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys, "hmac", type("hmac", (), {"compare_digest": staticmethod(spy)}))
    known = Keys(file, Limits())
    for token in (ANNA, BERT, "wrong"):
        known.find(token)
    assert len(compared) == 6, "a match must not end the comparison"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "has no key"),
        ("# none", "has no key"),
        (f"{ANNAS_LINE} rpm=many", "line 1"),
        (f"{ANNAS_LINE}\nb", "line 2"),
        (f"{ANNAS_LINE} speed=2", "the unknown limit speed; limits are rpm, cpm, concurrent"),
        (f"{ANNAS_LINE}\n{ANNAS_LINE}", "two keys named anna"),
    ],
    ids=["empty", "comment", "word for a number", "second line", "unknown limit", "twice"],  # keys differ in each run
)
def test_errors_of_a_key_file_do_not_show_its_content(text: str, named: str) -> None:
    with pytest.raises(KeysError, match=named) as error:
        parse(text, Limits())
    assert ANNAS_LINE.split(":")[1] not in str(error.value)


def test_a_line_overrides_only_the_limits_that_it_sets() -> None:
    (key,) = parse(f"{ANNAS_LINE} cpm=5 concurrent=0", Limits(7, 8, 9))
    assert key.limits == Limits(7, 5, 0)


def test_the_command_creates_a_working_key(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "service.keys", "new", "carla", "--rpm", "30"]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    key, line = printed[1], printed[4]
    assert line.endswith("rpm=30")
    assert key not in line
    (tmp_path / "keys").write_text(line)
    found = Keys(tmp_path / "keys", Limits()).find(key)
    assert found
    assert (found.name, found.limits) == ("carla", Limits(requests=30))


@pytest.mark.parametrize("wrong", [("a b",), ("a", "--rpm", "-1"), ()])
def test_the_command_rejects_invalid_arguments(wrong: tuple[str, ...]) -> None:
    argv = [sys.executable, "-m", "service.keys", "new", *wrong]
    assert subprocess.run(argv, capture_output=True, check=False, timeout=30, env=dict(os.environ)).returncode == 2
