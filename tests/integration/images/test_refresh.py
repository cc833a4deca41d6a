"""refresh.yml, step by step as a runner would, beside a running stack that nothing of it disturbs."""

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
from build.images.builder import OS_IMAGES, BuildImages
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

BUILDING = re.compile(r"building (\S+:\S+)( anew)?$", re.MULTILINE)
APT_LOCK = apt_lock("slim", standin=os_image().startswith("standin/"))


@dataclass
class Built:
    """Names that a test's builds gave to images, `anew` or not; they are removed at its end."""

    client: docker.DockerClient
    names: dict[str, bool] = field(default_factory=dict)

    def read(self, output: str) -> None:
        self.names |= {name: bool(anew) for name, anew in BUILDING.findall(output)}

    def anew(self, repository: str) -> Any:
        """The one image of a repository that was built anew."""
        (name,) = (name for name, anew in self.names.items() if anew and name.startswith(f"{repository}:"))
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
    """The OS images have their names again after the test, for the tests that follow."""

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
    """A checkout of main as the hub has it, with an apt lock of an older tini, and channels that do not answer."""
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
        # No test depends on what the package index has today.
        "vars": {"FLAVOUR": "slim", "REFRESH_PIP": "keep"},
        "secrets": {"REFRESH_TOKEN": ""},
        "github": {"token": "of the job", "ref_name": "main"},
    }
    runner = Runner(folder / "workspace", folder / "runner", environ, ("actions/checkout",))
    return runner.run(stack.root / ".github/workflows/refresh.yml", "refresh", contexts)


@pytest.mark.usefixtures("same_os")
def test_a_refresh_is_proposed_and_what_runs_is_not_disturbed(stack: Stack, workspace: Path, built: Built) -> None:
    hub, before = checkout(stack, workspace), stack.containers()
    proxy = dotenv.parse((stack.root / ".env").read_text())["PROXY_IMAGE"]
    live = stack.docker.images.get(proxy)

    ran = run(stack, workspace, hub)
    for step in ran.steps:
        built.read(step.output)
    # The channel of conda-forge did not answer: a draft, and a red run.
    assert [(step.name, step.code) for step in ran.failed] == [
        ("All locks were written", LocksIncompleteError.exit_code)
    ], "\n".join(step.output[-3000:] for step in ran.failed)
    (pull,) = hub.pulls
    assert pull["draft"]
    assert re.search(rf"^\| {APT_LOCK} \| tini \| 0\.0\.1 \| 0\.\d\S+ \|$", pull["body"], re.MULTILINE), pull["body"]
    assert "- locks/conda-forge-slim-linux-64.lock: " in pull["body"]
    assert "tini=0.0.1" not in hub.git(hub.origin, "show", f"refresh/locks:{APT_LOCK}")
    changed = set(hub.git(hub.origin, "diff", "--name-only", "main", "refresh/locks").splitlines())
    # (The index is as on main where the mirror still has what main's own lock names.)
    assert APT_LOCK in changed
    assert all(path.startswith("locks/") for path in changed)

    base, newer = built.anew("glm-tts-base-slim"), built.anew("glm-tts-proxy")
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
    assert "age:live-proxy" in doctor, "what runs is older than what was built"
    assert "age:live-app-" in doctor
    dry = stack.run("build.janitor", "--dry-run", "--now", "--json", CUTOVER_KEEP_RELEASES="0").stdout
    plan = {name: each["action"] for each in json.loads(dry)["actions"] for name in each["names"]}
    assert plan[proxy] == "keep"


def images_of(stack: Stack, registry: str = "") -> BuildImages:
    """A build of the stack's commit, which may push to a registry."""
    commit, engine, report = git.read(stack.root), DockerEngine(), Reporter()
    publisher = Publisher(engine, report, registry, commit) if registry else None
    return BuildImages(load(stack.root, stack.env), engine, report, commit, elsewhere=publisher)


def later(reference: str) -> str:
    """The name of a refresh that is newer than every other of the same inputs."""
    repository, _, tag = reference.partition(":")
    return f"{repository}:{tag[:16]}-20990101T000000Z"


def test_the_next_build_stands_on_the_refreshed_base(stack: Stack, built: Built) -> None:
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
    assert app.labels["org.opencontainers.image.base.digest"] == built.anew("glm-tts-base-slim").id


def test_a_base_that_another_runner_refreshed_comes_from_the_registry(stack: Stack, built: Built) -> None:
    newer = later(images_of(stack).base().reference)
    built.names[newer] = True
    with running_registry(project=stack.project) as registry:
        stack.registries.append(registry.address)
        there = f"{registry.address}/team/{newer}"
        images.build(there, "FROM {os_image}\nLABEL refreshed=elsewhere\n")
        pushed = stack.docker.images.get(there).id
        stack.docker.images.push(there)
        stack.docker.images.remove(there)
        found = images_of(stack, f"{registry.address}/team").base()
    assert found.reference == newer
    assert found.image.id == pushed
