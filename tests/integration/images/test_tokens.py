"""Bearer tokens: a real registry with a token server, used by the registry client and by the engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from build.docker.engine import DockerEngine
from build.errors import RegistryError
from build.registry import transfer
from build.registry.client import Registry
from build.registry.retry import RetryPolicy
from harness.registry import PASSWORD, USER, Running, docker_config, running_registry
from harness.stack import wait_for
from harness.tokens import LEEWAY_S, Tokens, token_server
from tests.integration.images.tiny_images import Make, engine, make, publisher, repository

__all__ = ("engine", "make", "repository")  # fixtures
NAME = "team/thing"


@pytest.fixture(scope="module")
def server() -> Iterator[Tokens]:
    with token_server({USER: PASSWORD}) as found:
        yield found


@pytest.fixture(scope="module")
def running(server: Tokens) -> Iterator[Running]:
    with running_registry(tokens=server) as found:
        yield found


@pytest.fixture
def tokens(server: Tokens) -> Iterator[Tokens]:
    """The token server without recorded requests; its settings are restored after the test."""
    before = server.actions, server.life_s
    server.requests.clear()
    yield server
    server.actions, server.life_s = before


@pytest.fixture
def address(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of the registry, with valid credentials in Docker's configuration."""
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path, running.address)))
    return running.address


@pytest.fixture
def wrong_login(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of the registry, with a wrong password in Docker's configuration."""
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path, running.address, password=PASSWORD[::-1])))
    return running.address


def opened(address: str, waits: list[float]) -> Registry:
    return Registry(address, RetryPolicy(sleep=waits.append))


def granted(tokens: Tokens) -> list[str]:
    """Scopes of the granted tokens in order; the actions of each scope are sorted."""
    return [_sorted(scope) for _, scope, status in tokens.requests if status == 200]


def _sorted(scope: str) -> str:
    name, _, actions = scope.rpartition(":")
    return f"{name}:{','.join(sorted(actions.split(',')))}"


def test_a_token_is_reused_until_another_scope_is_needed(address: str, tokens: Tokens) -> None:
    registry = Registry(address)
    assert registry.digest(NAME, "one") == ""
    assert registry.tags(NAME) == []
    assert granted(tokens) == [f"repository:{NAME}:pull"]
    digest = registry.put_blob(NAME, b"some layer")
    assert registry.blob(NAME, digest) == b"some layer"
    assert granted(tokens)[1:] == [f"repository:{NAME}:pull,push"]


def test_an_image_is_published_with_tokens(address: str, tokens: Tokens, make: Make, repository: str) -> None:
    image = make(os.urandom(1024))
    reference, published = publisher(DockerEngine(), address).publish(image, f"{repository}:key")
    assert published.id == image.id
    assert Registry(address).digest(repository, "key") == reference.partition("@")[2]
    assert {status for *_, status in tokens.requests} == {200}


def test_a_wrong_password_is_not_retried(wrong_login: str, tokens: Tokens) -> None:
    waits: list[float] = []
    with pytest.raises(RegistryError, match=r"denied.*incorrect username or password") as refused:
        opened(wrong_login, waits).check_push(NAME)
    assert "docker login" in refused.value.remedy
    assert [status for *_, status in tokens.requests] == [401]
    assert not waits


def test_a_wrong_password_of_the_engine_is_not_retried(
    wrong_login: str, tokens: Tokens, make: Make, repository: str
) -> None:
    waits: list[float] = []
    with pytest.raises(RegistryError, match=r"the push of .* failed: (unauthorized|denied)"):
        transfer.push(
            DockerEngine(), make(b"one"), f"{wrong_login}/{repository}", "key", RetryPolicy(sleep=waits.append)
        )
    assert {status for *_, status in tokens.requests} == {401}
    assert not waits


def test_an_expired_token_is_renewed(address: str, tokens: Tokens) -> None:
    waits: list[float] = []
    registry = opened(address, waits)
    tokens.life_s = 2 - LEEWAY_S
    assert registry.digest(NAME, "one") == ""
    (authorization,) = registry.http.authorizations.values()  # needed to detect when the registry rejects the token

    def refused() -> bool:
        url = f"http://{address}/v2/{NAME}/tags/list"
        return requests.get(url, headers={"Authorization": authorization}, timeout=5).status_code == 401

    assert not refused()
    wait_for("the token to expire", refused)
    tokens.life_s = 300
    assert registry.digest(NAME, "one") == ""
    assert granted(tokens) == [f"repository:{NAME}:pull"] * 2
    assert not waits


def test_an_account_that_may_only_pull_cannot_push(address: str, tokens: Tokens, make: Make, repository: str) -> None:
    tokens.actions = frozenset({"pull"})
    waits: list[float] = []
    registry = opened(address, waits)
    assert registry.digest(NAME, "one") == ""
    with pytest.raises(RegistryError, match=r"denied by the registry.*401") as refused:
        registry.check_push(NAME)
    assert "docker login" in refused.value.remedy
    with pytest.raises(RegistryError, match="denied by the registry"):
        publisher(DockerEngine(), address).publish(make(b"one"), f"{repository}:key")
    with pytest.raises(RegistryError, match=r"the push of .* failed: denied"):
        transfer.push(DockerEngine(), make(b"one"), f"{address}/{repository}", "key", RetryPolicy(sleep=waits.append))
    assert not waits
