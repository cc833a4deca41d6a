"""refresh.yml, step by step like a runner, next to a running stack that it must not disturb."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import LocksIncompleteError
from build.images.builder import OS_IMAGES, ImageBuilder
from build.images.publish import Publisher
from build.locks.index import apt_lock
from build.model import dotenv
from build.settings import load
from build.system import git
from harness import images
from harness.github import Hub
from harness.images import os_image
from harness.registry import running_registry
from harness.stack import Stack
from harness.workflow import JobRun, Runner

pytestmark = pytest.mark.alone

BUILDING = re.compile(r"building (\S+:\S+)( without cache)?$", re.MULTILINE)
APT_LOCK = apt_lock("slim", standin=os_image().startswith("standin/"))


@dataclass
class Built:
    """Images that a test's builds tagged, with whether they were built without cache; removed after the test."""

    client: docker.DockerClient
    names: dict[str, bool] = field(default_factory=dict)

    def read(self, output: str) -> None:
        self.names |= {name: bool(uncached) for name, uncached in BUILDING.findall(output)}

    def uncached(self, repository: str) -> Any:
        """The only image of a repository that was built without cache."""
        (name,) = (name for name, uncached in self.names.items() if uncached and name.startswith(f"{repository}:"))
        assert re.fullmatch(r".*:[0-9a-f]{16}-\d{8}T\d{6}Z", name)
        return self.client.images.get(name)


@pytest.fixture
def built(stack: Stack) -> Iterator[Built]:
    found = Built(stack.docker)
    yield found
    for name in found.names:
        with contextlib.suppress(docker.errors.ImageNotFound):
            stack.docker.images.remove(name, force=True)


@pytest.fixture
def same_os(stack: Stack) -> Iterator[None]:
    """Restore the names of the OS images after the test."""

    def ids() -> dict[str, str]:
        return {name: str(image.id) for name in OS_IMAGES for image in stack.docker.images.list(name=name)}

    before = ids()
    yield
    for name, newer in ids().items():
        if newer != before.get(name):
            if name in before:
                stack.docker.images.get(before[name]).tag(name)
            stack.docker.images.remove(newer if name in before else name)


def layers(image: Any) -> list[str]:
    found: list[str] = image.attrs["RootFS"]["Layers"]
    return found


@pytest.fixture
def workspace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ci-") as folder:
        yield Path(folder)


def checkout(stack: Stack, folder: Path) -> Hub:
    """Check out the hub's main with an apt lock that has an older tini, and with unreachable channels."""
    clone = folder / "workspace"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(stack.root), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "switch", "--quiet", "--force-create", "main"], check=True)
    lock, environment = clone / APT_LOCK, clone / "environment.yml"
    text = lock.read_text() if lock.exists() else "tini=1\n"
    lock.write_text(re.sub(r"^tini=.*$", "tini=0.0.1", text, flags=re.MULTILINE))
    environment.write_text(
        re.sub(r"^(\s*- )conda-forge$", r"\1file:///nowhere", environment.read_text(), flags=re.MULTILINE)
    )
    for argv in (["add", "."], ["commit", "--quiet", "-m", "an older tini"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", str(clone), *identity, *argv], check=True)
    return Hub.of(folder / "hub", clone)


def run(stack: Stack, folder: Path, hub: Hub) -> JobRun:
    environ = {**stack.env, "PATH": f"{hub.folder}/bin:{stack.env['PATH']}"}
    contexts = {
        # Keep the pip locks: the test must not depend on the package index.
        "vars": {"FLAVOUR": "slim", "REFRESH_PIP": "keep"},
        "secrets": {"REFRESH_TOKEN": ""},
        "github": {"token": "of the job", "ref_name": "main"},
    }
    runner = Runner(folder / "workspace", folder / "runner", environ, ("actions/checkout",))
    return runner.run(stack.root / ".github/workflows/refresh.yml", "refresh", contexts)


@pytest.mark.usefixtures("same_os")
def test_a_refresh_opens_a_pull_request_and_does_not_touch_the_running_stack(
    stack: Stack, workspace: Path, built: Built
) -> None:
    hub, before = checkout(stack, workspace), stack.containers()
    proxy = dotenv.parse((stack.root / ".env").read_text())["PROXY_IMAGE"]
    live = stack.docker.images.get(proxy)

    ran = run(stack, workspace, hub)
    for step in ran.steps:
        built.read(step.output)
    # The conda-forge channel is unreachable: the pull request is a draft and the run fails.
    assert [(step.name, step.code) for step in ran.failed] == [
        ("All locks were written", LocksIncompleteError.exit_code)
    ], "\n".join(step.output[-3000:] for step in ran.failed)
    (pull,) = hub.pulls
    assert pull["draft"]
    assert re.search(rf"^\| {APT_LOCK} \| tini \| 0\.0\.1 \| 0\.\d\S+ \|$", pull["body"], re.MULTILINE), pull["body"]
    assert "- locks/conda-forge-slim-linux-64.lock: " in pull["body"]
    assert "tini=0.0.1" not in hub.git(hub.origin, "show", f"refresh/locks:{APT_LOCK}")
    changed = set(hub.git(hub.origin, "diff", "--name-only", "main", "refresh/locks").splitlines())
    # The index is unchanged if the mirror still has the versions of main's lock.
    assert APT_LOCK in changed
    assert all(path.startswith("locks/") for path in changed)

    base, newer = built.uncached("glm-tts-base-slim"), built.uncached("glm-tts-proxy")
    refresh = next(step for step in ran.steps if step.name == "Newer OS images, base and proxy")
    app = re.search(r"^glm-tts-slim:\S+  (sha256:\S+)", refresh.output, re.MULTILINE)
    assert app, refresh.output
    assert layers(stack.docker.images.get(app[1]))[: len(layers(base))] == layers(base), (
        "the app is built on the new base"
    )
    assert set(layers(live)[1:]).isdisjoint(layers(newer)), "no layer of the proxy comes from a cache"

    assert stack.containers() == before
    assert stack.docker.images.get(proxy).id == live.id, "no name moved"
    stack.compose("up", "--detach")
    assert stack.containers() == before, "a plain `docker compose up -d` changes nothing"
    doctor = stack.run("build.doctor").stdout
    assert "age:live-proxy" in doctor, "the running proxy is older than the built one"
    assert "age:live-app-" in doctor
    dry = stack.run("build.janitor", "--dry-run", "--now", "--json", CUTOVER_KEEP_RELEASES="0").stdout
    actions = json.loads(dry)["actions"]
    plan = {name: action["action"] for action in actions for name in action["names"]}
    assert plan[proxy] == "keep"


def images_of(stack: Stack, registry: str = "") -> ImageBuilder:
    """Image builder for the stack's commit; with a registry it can fetch and push."""
    commit, engine, report = git.read(stack.root), DockerEngine(), Reporter()
    publisher = Publisher(engine, report, registry, commit) if registry else None
    return ImageBuilder(load(stack.root, stack.env), engine, report, commit, remote=publisher)


def later(reference: str) -> str:
    """Name of a refresh that is newer than all others with the same inputs."""
    repository, _, tag = reference.partition(":")
    return f"{repository}:{tag[:16]}-20990101T000000Z"


def test_the_next_build_uses_the_refreshed_base(stack: Stack, built: Built) -> None:
    base = images_of(stack).base().reference
    built.names[later(base)] = True
    images.build(later(base), f"FROM {base}\nLABEL refreshed=yes\n")
    module = stack.root / "service/__init__.py"
    text = module.read_text()
    try:
        module.write_text(f"{text}\n# not committed\n")
        done = stack.run("build.images")
    finally:
        module.write_text(text)
    built.read(done.stderr)
    app = stack.docker.images.get(done.stdout.split()[0])
    assert app.labels["org.opencontainers.image.base.name"] == later(base)
    assert app.labels["org.opencontainers.image.base.digest"] == built.uncached("glm-tts-base-slim").id


def test_a_base_refreshed_by_another_runner_comes_from_the_registry(stack: Stack, built: Built) -> None:
    newer = later(images_of(stack).base().reference)
    built.names[newer] = True
    with running_registry(project=stack.project) as registry:
        stack.registries.append(registry.address)
        remote_name = f"{registry.address}/team/{newer}"
        images.build(remote_name, "FROM {os_image}\nLABEL refreshed=elsewhere\n")
        pushed = stack.docker.images.get(remote_name).id
        stack.docker.images.push(remote_name)
        stack.docker.images.remove(remote_name)
        found = images_of(stack, f"{registry.address}/team").base()
    assert found.reference == newer
    assert found.image.id == pushed
