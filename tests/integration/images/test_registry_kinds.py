"""Publishing to registries that behave like hosted ones: a real registry and engine with a fault proxy between them."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from build.docker.engine import DockerEngine
from build.errors import RegistryError
from build.janitor.pins import Pins
from build.janitor.registry import RegistrySurvey
from build.model.labels import ENVIRONMENT_LABEL, OCI, RELEASE_LABEL
from build.registry import referrers
from build.registry.client import Registry
from harness.certificates import Authority
from harness.faults import Faults, Reply, faults
from harness.recorded_progress import RecordedProgress
from harness.registry import TAG, Running, docker_config
from tests.integration.images.tiny_images import Make, engine, forget, make, publisher, repository, running

__all__ = ("engine", "make", "repository", "running")  # fixtures
SHA = "f" * 40


def refusal(status: int, code: str, message: str) -> Reply:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return status, {"Content-Type": "application/json"}, body


@pytest.fixture
def front(running: Running) -> Iterator[Faults]:
    with faults(running.address) as found:
        yield found


@pytest.fixture
def logged_in(front: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path, front.address)))


# ---- trust as configured for the engine


@contextlib.contextmanager
def in_certs_d(address: str, content: bytes) -> Iterator[None]:
    """Put a CA certificate into certs.d with a container, because the tests may not run as root."""
    client = docker.from_env()

    def root(script: str) -> None:
        volumes = {"/etc/docker": {"bind": "/etc/docker"}}
        client.containers.run(
            TAG, ["sh", "-ec", script], environment={"CA": content.decode()}, volumes=volumes, remove=True
        )

    folder = f"/etc/docker/certs.d/{address}"
    root(f'mkdir -p "{folder}"; printf %s "$CA" > "{folder}/ca.crt"')
    try:
        yield
    finally:
        root(f'rm -r "{folder}"')
        client.close()


def test_an_image_is_published_to_a_registry_that_certs_d_trusts(
    engine: DockerEngine, running: Running, make: Make, repository: str, tmp_path: Path
) -> None:
    bridge = engine.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]  # no loopback address
    authority = Authority(tmp_path)
    with faults(running.address, tls=authority.server(bridge), host=bridge) as front:
        with pytest.raises(RegistryError, match="TLS with") as refused:
            publisher(engine, front.address).publish(make(b"one"), f"{repository}:key")
        assert f"/etc/docker/certs.d/{front.address}/ca.crt" in refused.value.remedy
        with in_certs_d(front.address, authority.certificate):
            reference, _ = publisher(engine, front.address).publish(make(b"one"), f"{repository}:key")
    assert Registry(running.address).digest(repository, "key") == reference.partition("@")[2]


# ---- a repository that no push has created yet is denied instead of being absent


@pytest.mark.parametrize(
    "denied",
    [
        refusal(403, "DENIED", "requested access to the resource is denied"),
        refusal(403, "NAME_UNKNOWN", "repository name not known to registry"),
        refusal(401, "UNAUTHORIZED", "access to the requested resource is not authorized"),
        (401, {"WWW-Authenticate": 'Basic realm="front"'}, b""),
    ],
)
def test_a_first_push_succeeds_if_reads_are_denied_before_it(
    engine: DockerEngine, running: Running, front: Faults, make: Make, repository: str, logged_in: None, denied: Reply
) -> None:
    def answer(method: str, path: str) -> Reply | None:
        reading = method in ("GET", "HEAD") and "/manifests/" in path
        return denied if reading and not running.tags(repository) else None

    front.answer = answer
    client = publisher(engine, front.address)
    assert client.fetch(f"{repository}:key") is None
    assert client.cache(f"{repository}:cache") == ""
    assert list(client.documents(f"{repository}:key", referrers.SBOM)) == []
    reference, _ = client.publish(make(b"one"), f"{repository}:key")
    assert Registry(running.address).digest(repository, "key") == reference.partition("@")[2]


@pytest.mark.parametrize("known", [True, False])
def test_a_push_without_permission_fails_before_any_upload(
    engine: DockerEngine,
    front: Faults,
    make: Make,
    repository: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path, front.address) if known else tmp_path))
    front.answer = lambda _method, _path: refusal(403, "DENIED", "requested access to the resource is denied")
    with pytest.raises(RegistryError, match="denied by the registry: POST") as refused:
        publisher(engine, front.address).publish(make(b"one"), f"{repository}:key")
    where = f"{front.address}/{repository}"
    expected = f"allow the account runner to push to {where}" if known else f"run `docker login {front.address}`"
    assert refused.value.remedy.startswith(expected)
    assert front.uploaded == 0


def test_the_remedy_names_a_repository_that_the_registry_does_not_create(
    engine: DockerEngine, front: Faults, make: Make, repository: str
) -> None:
    front.answer = lambda _method, _path: refusal(404, "NAME_UNKNOWN", "The repository does not exist")
    with pytest.raises(RegistryError, match="NAME_UNKNOWN") as refused:
        publisher(engine, front.address).publish(make(b"one"), f"{repository}:key")
    assert refused.value.remedy.startswith(f"create {front.address}/{repository} in the registry")
    assert front.uploaded == 0


def test_the_janitor_treats_a_denied_unpushed_repository_as_empty(
    engine: DockerEngine, front: Faults, repository: str, logged_in: None
) -> None:
    denied = refusal(403, "DENIED", "requested access to the resource is denied")
    front.answer = lambda method, _path: denied if method in ("GET", "HEAD") else None
    registry = Registry(f"{front.address}/{repository}")
    assert RegistrySurvey(registry).items() == []
    assert not [name for name in Pins(engine, registry=registry).all() if repository in name]
    front.answer = lambda _method, _path: denied
    with pytest.raises(RegistryError, match="denied"):
        RegistrySurvey(registry).items()


# ---- tags that cannot be moved

IMMUTABLE = [
    refusal(
        400, "TAG_INVALID", "The image tag already exists and cannot be overwritten because the repository is immutable"
    ),
    refusal(409, "ImageTagAlreadyExistsException", "the tag exists"),
    refusal(412, "PRECONDITION", "Failed to process request due to 'staging' configured as immutable."),
    refusal(403, "DENIED", "cannot push to a protected tag"),
]


def immutable(running: Running, reply: Reply = IMMUTABLE[0]) -> Callable[[str, str], Reply | None]:
    """Responses of a registry that refuses to move an existing tag."""

    def answer(method: str, path: str) -> Reply | None:
        repository, _, tag = path.removeprefix(f"/v2/{running.namespace}").strip("/").partition("/manifests/")
        taken = method == "PUT" and tag and ":" not in tag and tag in running.tags(repository)
        return reply if taken else None

    return answer


@pytest.mark.parametrize("reply", IMMUTABLE)
def test_an_immutable_channel_tag_is_a_warning(
    engine: DockerEngine, running: Running, front: Faults, make: Make, repository: str, reply: Reply
) -> None:
    front.answer = immutable(running, reply)
    progress = RecordedProgress()
    client = publisher(engine, front.address, progress=progress)
    one = client.publish(make(b"one", tag="a"), f"{repository}:a")[0]
    two = client.publish(make(b"two", tag="b"), f"{repository}:b")[0]
    for _ in range(2):
        client.tag(one, "staging", movable=True)
        client.tag(one, "v1.0.0", movable=False)
    client.tag(two, "staging", movable=True)
    (warning,) = [line for line in progress.lines if line.startswith("warning")]
    assert f"{repository}:staging stays at {one.partition('@')[2]}" in warning
    assert "deploy by digest, or exempt the tag staging" in warning
    assert Registry(running.address).digest(repository, "staging") == one.partition("@")[2]
    assert client.publish(make(b"two", tag="b"), f"{repository}:b")[0] == two
    with pytest.raises(RegistryError, match="never moved"):
        client.tag(two, "v1.0.0", movable=False)


def test_a_document_that_cannot_be_listed_is_a_warning(
    engine: DockerEngine, running: Running, front: Faults, make: Make, repository: str
) -> None:
    """Debian's registry has no referrers API, so the list of documents is a tag that must move."""
    front.answer = immutable(running)
    progress = RecordedProgress()
    client = publisher(engine, front.address, progress=progress)
    reference = client.publish(make(b"one"), f"{repository}:key")[0]
    client.attach(reference, referrers.SBOM, b"{}")
    client.attach(reference, referrers.VERIFICATION, b"{}")
    (warning,) = [line for line in progress.lines if line.startswith("warning")]
    assert warning.startswith(f"warning: {referrers.VERIFICATION} cannot be listed as attached to {reference}")
    assert list(client.documents(f"{repository}:key", referrers.SBOM)) == [b"{}"]


def test_a_faster_runner_is_not_a_failure_with_immutable_tags(
    engine: DockerEngine, running: Running, front: Faults, make: Make, repository: str
) -> None:
    other_build = publisher(engine, running.address).publish(make(b"their build"), f"{repository}:other")[0]
    registry = Registry(running.address)
    manifest = registry.manifest(repository, other_build.partition("@")[2])
    assert manifest
    final = immutable(running)

    def answer(method: str, path: str) -> Reply | None:
        if method == "PUT" and path.endswith("/manifests/key"):
            registry.put_manifest(repository, "key", manifest.body, manifest.media_type)
        return final(method, path)

    front.answer = answer
    reference, used = publisher(engine, front.address).publish(make(b"our build"), f"{repository}:key")
    assert reference.partition("@")[2] == other_build.partition("@")[2]
    assert used.id == manifest.config


# ---- a build of main and a build of a tag on the same commit, in any order


def labels(environment: str, version: str) -> str:
    return f"{RELEASE_LABEL}={SHA} {ENVIRONMENT_LABEL}={environment} {OCI}version={version}"


def deliver(engine: DockerEngine, address: str, make: Make, repository: str, version: str = "") -> str:
    """Publish like a CI run: a production image under its version, a staging image under the SHA; return the digest."""
    environment = "production" if version else "staging"
    image = make(b"the same layers", tag=SHA, labels=labels(environment, version or SHA))
    client = publisher(engine, address, *filter(None, [version]))
    reference, published = client.publish(image, f"{repository}:{SHA}", version)
    client.tag(reference, environment, movable=True)
    assert published.labels[ENVIRONMENT_LABEL] == environment
    assert engine.client.images.get(f"{repository}:{SHA}").id == published.id, "the SHA names another image"
    return reference.partition("@")[2]


@pytest.mark.parametrize("order", [("", "v1.0.0"), ("v1.0.0", ""), ("", "v1.0.0", "v1.0.1")])
def test_labels_match_tags_in_any_order_of_main_and_tag(
    engine: DockerEngine, running: Running, make: Make, repository: str, order: tuple[str, ...]
) -> None:
    digests = {version: deliver(engine, running.address, make, repository, version) for version in order}
    for version in order:
        forget(engine, repository)
        assert deliver(engine, running.address, make, repository, version) == digests[version], "published once"
    registry = Registry(running.address)
    assert set(running.tags(repository)) == {SHA, "staging", "production", *filter(None, order)}
    assert registry.digest(repository, SHA) == registry.digest(repository, "staging") == digests[""]
    newest = [version for version in order if version][-1]
    assert registry.digest(repository, "production") == digests[newest]
    for version, digest in digests.items():
        manifest = registry.manifest(repository, digest)
        assert manifest
        config = json.loads(registry.blob(repository, manifest.config))["config"]["Labels"]
        assert config[ENVIRONMENT_LABEL] == ("production" if version else "staging")
        assert config[f"{OCI}version"] == (version or SHA)
        assert registry.digest(repository, version or SHA) == digest


def test_a_version_of_another_commit_is_refused(
    engine: DockerEngine, running: Running, make: Make, repository: str
) -> None:
    first = deliver(engine, running.address, make, repository, "v1.0.0")
    forget(engine, repository)
    other = make(uuid.uuid4().bytes, tag="0" * 40, labels=labels("production", "v1.0.0").replace(SHA, "0" * 40))
    with pytest.raises(RegistryError, match="already names another release") as refused:
        publisher(engine, running.address, "v1.0.0").publish(other, f"{repository}:{'0' * 40}", "v1.0.0")
    assert "another version" in refused.value.remedy
    assert Registry(running.address).digest(repository, "v1.0.0") == first
    assert engine.client.images.get(f"{repository}:{'0' * 40}").id == other.id
