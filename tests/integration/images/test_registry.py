"""The registry client with a real registry, directly and through a proxy that injects faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.errors import RegistryError
from build.registry.client import OCI_MANIFEST, Registry, sha256
from build.registry.retry import RetryPolicy
from harness.addresses import free_port
from harness.faults import Faults, faults
from harness.registry import Running, docker_config, running_registry

NAME = "team/thing"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_registry(deletes=True) as found:
        yield found


@pytest.fixture(scope="module")
def guarded() -> Iterator[Running]:
    with running_registry(password=True) as found:
        yield found


@pytest.fixture
def proxy(running: Running) -> Iterator[Faults]:
    with faults(running.address) as found:
        yield found


@pytest.fixture
def waits() -> list[float]:
    return []


def opened(address: str, waits: list[float]) -> Registry:
    """A registry client that records its waits in `waits` instead of sleeping."""
    return Registry(address, RetryPolicy(sleep=waits.append))


def manifest(registry: Registry, name: str, content: bytes) -> bytes:
    """Upload the blobs of an image with one layer; return its manifest."""
    config = registry.put_blob(name, b"{}")
    layer = registry.put_blob(name, content)
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": len(content)},
            ],
        }
    ).encode()


def test_a_manifest_is_read_by_tag_and_digest_until_it_is_deleted(running: Running) -> None:
    registry = Registry(running.address)
    body = manifest(registry, NAME, b"some layer")
    digest = registry.put_manifest(NAME, "one", body, OCI_MANIFEST)
    registry.put_manifest(NAME, "two", body, OCI_MANIFEST)

    assert digest == sha256(body) == registry.digest(NAME, "one")
    found = registry.manifest(NAME, digest)
    assert found
    assert (found.body, found.media_type, found.config) == (body, OCI_MANIFEST, sha256(b"{}"))
    assert registry.blob(NAME, sha256(b"some layer")) == b"some layer"
    assert registry.tags(NAME) == ["one", "two"] == running.tags(NAME)

    registry.delete_manifest(NAME, digest)
    registry.delete_manifest(NAME, digest)
    assert registry.digest(NAME, "one") == ""
    assert registry.manifest(NAME, digest) is None


def test_names_are_prefixed_with_the_namespace(running: Running) -> None:
    registry = Registry(f"{running.address}/team/")
    registry.put_manifest("inner", "one", manifest(registry, "inner", b"x"), OCI_MANIFEST)
    assert running.tags("team/inner") == ["one"]
    assert registry.full("inner") == f"{running.address}/team/inner"


def test_a_missing_repository_is_empty(running: Running) -> None:
    registry = Registry(running.address)
    assert registry.digest("missing/name", "one") == ""
    assert registry.manifest("missing/name", "one") is None
    assert registry.tags("missing/name") == []


def test_busy_responses_are_retried_after_the_requested_wait(proxy: Faults, waits: list[float]) -> None:
    proxy.refusals = [(503, {}), (429, {"Retry-After": "21"}), (502, {})]
    registry = opened(proxy.address, waits)
    assert registry.digest("missing/name", "one") == ""
    assert len(waits) == 3
    assert waits[1] == 21


def test_a_registry_that_stays_busy_fails_after_the_last_attempt(proxy: Faults, waits: list[float]) -> None:
    proxy.refusals = [(503, {})] * 100
    with pytest.raises(RegistryError, match=r"503 .*failed after 6 attempts"):
        opened(proxy.address, waits).digest(NAME, "one")
    assert len(waits) == 5


def test_an_upload_that_is_reset_is_restarted(proxy: Faults, running: Running, waits: list[float]) -> None:
    content = bytes(range(256)) * 4096
    proxy.cut_after = [len(content) // 2]
    digest = opened(proxy.address, waits).put_blob(NAME, content)
    assert len(waits) == 1
    assert len(content) < proxy.uploaded < 2 * len(content)
    assert Registry(running.address).blob(NAME, digest) == content


def test_a_manifest_that_was_changed_in_transit_is_refused(proxy: Faults, waits: list[float]) -> None:
    registry = opened(proxy.address, waits)
    digest = registry.put_manifest(NAME, "true", manifest(registry, NAME, b"true"), OCI_MANIFEST)
    proxy.tamper = lambda content: content.replace(b'"size": 2', b'"size": 3')
    for reference in ("true", digest):
        with pytest.raises(RegistryError, match="has the digest"):
            registry.manifest(NAME, reference)
    assert not waits


def test_the_password_comes_from_docker(guarded: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path, guarded.address)))
    registry = Registry(guarded.address)
    registry.check_push(NAME)
    digest = registry.put_manifest(NAME, "one", manifest(registry, NAME, b"secret"), OCI_MANIFEST)
    assert registry.digest(NAME, "one") == digest


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_denial_is_not_retried(
    guarded: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float], password: str | None
) -> None:
    folder = docker_config(tmp_path, guarded.address, password=password) if password else tmp_path
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    with pytest.raises(RegistryError, match=r"denied|requires a login") as refused:
        opened(guarded.address, waits).check_push(NAME)
    assert "docker login" in refused.value.remedy
    assert not waits


def test_a_missing_credential_helper_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: Running
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {guarded.address: "not-installed"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(RegistryError, match="not-installed") as refused:
        Registry(guarded.address).digest(NAME, "one")
    assert "helper" in refused.value.remedy


def test_an_unreachable_registry_is_reported(waits: list[float]) -> None:
    with pytest.raises(RegistryError, match="does not answer"):
        opened(f"127.0.0.1:{free_port()}", waits).digest(NAME, "one")
    assert len(waits) == 5
