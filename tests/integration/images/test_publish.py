"""Publishing to a real registry (Debian's docker-registry): by digest, once, and only permitted images."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import pytest
from docker.models.images import Image

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import DirtyTreeError, DriftRefusedError, RegistryError, StandinRefusedError
from build.images.builder import ImageBuilder
from build.locks import inventory_reader
from build.locks.drift import AptLock
from build.model.labels import ACCEPTED_DRIFT_LABEL, CACHE_TAG, DRIFT_LABEL, OCI, STANDIN_LABEL
from build.registry import referrers
from build.registry.client import Registry
from build.settings import load
from build.system import git
from build.verify import rules
from build.verify.rules import Line
from harness import images
from harness.addresses import free_port
from harness.faults import faults
from harness.registry import Running
from harness.stack import PATIENCE_S, Stack, wait_for

DOCUMENTS = {referrers.SBOM, referrers.VERIFICATION, referrers.BUILD_RECORD}


@pytest.fixture(scope="module")
def registry(running: Running) -> str:
    return running.address


def test_a_commit_is_pushed_once_and_goes_live_by_its_digest(stack: Stack, running: Running) -> None:
    registry, sha = running.address, stack.release("published")
    pushed = stack.run("build.images", "--push", registry).stdout.splitlines()[-1]
    assert pushed.startswith(f"{registry}/glm-tts-slim@sha256:")
    digest = pushed.partition("@")[2]
    assert set(running.tags("glm-tts-slim")) == {sha, "staging", referrers.fallback_tag(digest)}
    attached = referrers.attached(Registry(registry), "glm-tts-slim", digest)
    assert {document.artifact_type for document in attached} == DOCUMENTS
    (base,) = (tag for tag in running.tags("glm-tts-base-slim") if re.fullmatch("[0-9a-f]{16}", tag))
    base_digest = Registry(registry).digest("glm-tts-base-slim", base)
    assert set(running.tags("glm-tts-base-slim")) == {base, CACHE_TAG, referrers.fallback_tag(base_digest)}
    assert Registry(registry).digest("glm-tts-base-slim", CACHE_TAG) == base_digest
    reports = referrers.attached(Registry(registry), "glm-tts-base-slim", base_digest)
    assert [document.artifact_type for document in reports] == [referrers.VERIFICATION]

    labels = stack.docker.images.get(f"glm-tts-slim:{sha}").labels
    assert labels["org.opencontainers.image.base.name"].startswith(f"{registry}/glm-tts-base-slim@sha256:")
    assert labels["org.opencontainers.image.revision"] == sha

    second = stack.run("build.images", "--push", registry)
    assert second.stdout.splitlines()[-1] == pushed
    assert second.stderr.count("is already in the registry") == 2
    assert referrers.attached(Registry(registry), "glm-tts-slim", digest) == attached
    assert referrers.attached(Registry(registry), "glm-tts-base-slim", base_digest) == reports
    record = json.loads(stack.run("build.images", "history", "--json").stdout.splitlines()[-1])
    assert (record["sha"], record["pushed"], record["manifest_digest"]) == (sha, pushed, digest)
    assert {part["part"] for part in record["verification"]} == {"proxy", "base", "app"}

    stack.run("build.cutover", "switch", pushed)
    status = stack.status()
    assert status["colours"][status["live"]]["release"] == {"sha": sha, "image": pushed}


def test_a_dirty_tree_is_never_pushed(stack: Stack, registry: str) -> None:
    stray = stack.root / "service" / "stray.py"
    stray.write_text("")
    try:
        done = stack.run("build.images", "--push", registry, check=False)
    finally:
        stray.unlink()
    assert done.returncode == DirtyTreeError.exit_code
    assert "service/stray.py" in done.stderr


def test_stand_ins_are_not_pushed_for_production(stack: Stack, registry: str) -> None:
    git = ["git", "-C", str(stack.root), "tag"]
    subprocess.run([*git, "v1.0.0"], check=True)
    try:
        done = stack.run("build.images", "--push", registry, check=False)
    finally:
        subprocess.run([*git, "-d", "v1.0.0"], check=True, capture_output=True)
    assert done.returncode == StandinRefusedError.exit_code
    assert "built on stand-ins for" in done.stderr


@dataclass(frozen=True)
class Older:
    """A remote that has every requested base, with the content of another base."""

    engine: DockerEngine
    base: str

    def tags(self, _repository: str) -> list[str]:
        return []

    def fetch(self, name: str) -> Image | None:
        images.build(name, f"FROM {self.base}\nSTOPSIGNAL SIGTERM\n")
        return self.engine.image(name)

    def cache(self, _name: str) -> str:
        return ""


@pytest.fixture
def drifted(stack: Stack) -> Iterator[str]:
    """The SHA of a commit whose apt lock names another version of one package, while it is the clone's HEAD.

    Its base exists with the packages of the previous base, as after a build from a mirror with newer versions.
    """
    image = stack.docker.images.get(f"glm-tts-slim:{stack.releases[-1]}")
    locked = AptLock.from_inventory(inventory_reader.read(DockerEngine(), str(image.id)))
    lock, genuine_lock = (stack.root / f"locks/apt-slim{kind}.txt" for kind in (".standin", ""))
    before = lock.read_text()
    for path in (lock, genuine_lock):
        path.write_text(AptLock(locked.snapshot, {**locked.versions, "tini": "0.18"}).render())
    subprocess.run(["git", "-C", str(stack.root), "add", "locks"], check=True)
    stack.releases.append(stack.commit("an older lock"))
    engine = DockerEngine()
    base = stack.docker.images.get(image.labels[f"{OCI}base.name"])
    older = Older(engine, next(tag for tag in base.tags if tag.startswith("glm-tts-base-slim:")))
    found = ImageBuilder(load(stack.root, stack.env), engine, Reporter(), git.read(stack.root), remote=older).base()
    yield stack.releases[-1]
    stack.docker.images.remove(found.reference, force=True)
    lock.write_text(before)
    genuine_lock.unlink()
    stack.releases.append(stack.commit("the lock as it was"))


@contextlib.contextmanager
def genuine(stack: Stack, base: str) -> Iterator[None]:
    """Replace a base image by a copy without the stand-in label, under the same name."""
    original = stack.docker.images.get(base)
    recipe = f"FROM {base}\nLABEL {STANDIN_LABEL}=\n".encode()
    subprocess.run(["docker", "build", "--quiet", "--tag", base, "-"], input=recipe, check=True, capture_output=True)
    try:
        yield
    finally:
        original.tag(*base.rsplit(":", 1))


def test_drift_stops_only_a_production_push_unless_it_is_accepted(stack: Stack, running: Running, drifted: str) -> None:
    found = stack.docker.images.get(f"glm-tts-slim:{stack.releases[0]}").labels
    done = stack.run("build.images", "--push", running.address)  # to staging
    # Whether the version is a security fix depends on the mirror.
    warning = r"1 package differs from the apt lock, [01] by security fixes; a production push refuses it"
    assert re.search(warning, done.stderr), done.stderr
    labels = stack.docker.images.get(f"glm-tts-slim:{drifted}").labels
    assert (labels[DRIFT_LABEL].partition("=")[0], labels[ACCEPTED_DRIFT_LABEL]) == ("tini", "")
    assert found.keys() == labels.keys()

    base = next(tag for tag in stack.docker.images.get(labels[f"{OCI}base.name"]).tags if running.address not in tag)
    git = ["git", "-C", str(stack.root), "tag"]
    subprocess.run([*git, "v1.1.0"], check=True)
    production = f"{running.address}/production"
    stack.registries.append(production)
    try:
        with genuine(stack, base):
            refused = stack.run("build.images", "--push", production, check=False)
            accepted = stack.run("build.images", "--push", production, "--accept-drift")
    finally:
        subprocess.run([*git, "-d", "v1.1.0"], check=True, capture_output=True)
    assert refused.returncode == DriftRefusedError.exit_code, refused.stderr
    assert re.search(r"tini  0\.18 -> \S+", refused.stderr)
    assert "accepted by --accept-drift" in accepted.stderr
    pushed = accepted.stdout.splitlines()[-1]
    assert stack.docker.images.get(pushed).labels[ACCEPTED_DRIFT_LABEL] == "true"
    record = json.loads(stack.run("build.images", "history", "--json").stdout.splitlines()[-1])
    assert record["accepted_drift"]
    (moved,) = next(part["drift"] for part in record["verification"] if part["part"] == "base")
    assert (moved["package"], moved["locked"]) == ("tini", "0.18")
    registry, digest = Registry(production), pushed.partition("@")[2]
    (document,) = referrers.find(registry, "glm-tts-slim", digest, referrers.VERIFICATION, {})
    report = rules.parse_document(referrers.content(registry, "glm-tts-slim", document.digest))[0]
    assert (report.part, report.accepted_drift) == ("base", True)


def test_an_unreachable_registry_is_reported(stack: Stack) -> None:
    done = stack.run("build.images", "--push", f"127.0.0.1:{free_port()}", check=False)
    assert done.returncode == RegistryError.exit_code
    assert "does not answer" in done.stderr


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", r"/manifests/sha256:\w+$"),  # the first document, before it can be found
        ("PUT", r"/manifests/sha256-\w+$"),  # the list of documents, after the first document
        ("PUT", r"/manifests/staging$"),  # the channel, after all documents
    ],
)
def test_the_next_push_attaches_documents_and_tags_that_a_killed_push_did_not(
    stack: Stack, running: Running, method: str, path: str
) -> None:
    repository = "glm-tts-slim"
    with faults(running.address) as front:
        stack.registries.append(front.address)
        before = running.tags(repository)
        sha = stack.commit(f"killed at {path}")
        stack.releases.append(sha)
        front.hold = lambda verb, where: f"/{repository}/" in where and verb == method and bool(re.search(path, where))
        push = stack.start("build.images", "--push", front.address)
        with push:
            try:
                wait_for("the held request", lambda: front.held.is_set() or push.poll() is not None, PATIENCE_S)
            finally:
                push.kill()
            output = push.stdout.read() if push.stdout else ""
        assert push.returncode == -signal.SIGKILL, output
        registry = Registry(running.address)
        digest = registry.digest(repository, sha)
        assert digest, "killed after the image was pushed"

        front.hold = lambda _method, _path: False
        front.released.set()
        runs = [stack.run("build.images", "--push", front.address) for _ in range(2)]
        assert {run.stdout.splitlines()[-1] for run in runs} == {f"{front.address}/{repository}@{digest}"}
        assert registry.digest(repository, sha) == digest == registry.digest(repository, "staging")
        assert set(running.tags(repository)) - {*before, "staging"} == {sha, referrers.fallback_tag(digest)}
        types = [document.artifact_type for document in referrers.attached(registry, repository, digest)]
        assert sorted(types) == sorted(DOCUMENTS)


def test_inspect_shows_attached_documents_and_works_without_the_registry(stack: Stack, running: Running) -> None:
    sha = stack.commit("inspected")
    stack.releases.append(sha)
    with faults(running.address) as front:
        stack.registries.append(front.address)
        pushed = stack.run("build.images", "--push", front.address).stdout.splitlines()[-1]
        shown = json.loads(stack.run("build.images", "inspect", sha).stdout)
    attached = referrers.attached(Registry(running.address), "glm-tts-slim", pushed.partition("@")[2])
    assert shown["attached"] == {pushed: [asdict(document) for document in attached]}
    assert {document.artifact_type for document in attached} == DOCUMENTS

    offline = stack.run("build.images", "inspect", sha)
    assert json.loads(offline.stdout) == shown | {"attached": {pushed: None}}
    assert f"the documents attached to {pushed} are unknown" in offline.stderr
    assert "does not answer" in offline.stderr
    assert sha[:12] in stack.run("build.images", "history").stdout


def without_reports(stack: Stack) -> None:
    """Remove the clone's reports, as on a fresh runner."""
    shutil.rmtree(stack.root / "out/verified", ignore_errors=True)


def test_a_fresh_runner_trusts_only_a_passed_report_attached_to_a_base(stack: Stack, running: Running) -> None:
    scanned, trusted = "scanning every layer", "passed these checks, by its report in the registry"
    stack.releases.append(stack.commit("looked into once"))
    stack.run("build.images", "--push", running.address)
    without_reports(stack)
    done = stack.run("build.images", "--push", running.address)
    assert trusted in done.stderr
    assert scanned not in done.stderr

    registry, repository = Registry(running.address), "glm-tts-base-slim"
    subject = registry.digest(repository, CACHE_TAG)
    (good,) = referrers.attached(registry, repository, subject)
    content = referrers.content(registry, repository, good.digest)
    (report,) = rules.parse_document(content)
    assert not report.failed
    forged = (
        replace(report, checks="0" * 64),
        replace(report, image="sha256:" + "0" * 64),
        replace(report, lines=(*report.lines, Line("size", "failed", "too much"))),
    )
    registry.delete_manifest(repository, registry.digest(repository, referrers.fallback_tag(subject)))
    for forged_report in forged:
        referrers.attach(
            registry, repository, subject, referrers.VERIFICATION, rules.document([forged_report]), good.annotations
        )
    referrers.attach(registry, repository, subject, referrers.VERIFICATION, b"no report", good.annotations)
    without_reports(stack)
    done = stack.run("build.images", "--push", running.address)
    assert scanned in done.stderr
    assert trusted not in done.stderr
