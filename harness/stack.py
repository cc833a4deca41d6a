"""A separate stack: clone, Compose project, port, subnet and volumes that no other stack uses."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from build.agent_client import AgentClient
from build.errors import LiveUnhealthyError
from build.state.cutover_lock import CutoverLock
from build.system import command, git
from build.verify.verdicts import FOLDER
from harness.addresses import free_port, free_subnet

REPOSITORY = Path(__file__).resolve().parents[1]
PREFIX = "glm-tts-test-"
PATIENCE_S = 600


def sweep(client: docker.DockerClient, only: str = "") -> None:
    """Remove leftovers of test stacks: of ended processes, or of the project `only`."""

    def dead(project: str) -> bool:
        if only:
            return project == only
        pid = project.removeprefix(PREFIX).partition("-")[0]
        return project.startswith(PREFIX) and pid.isdigit() and not Path("/proc", pid).exists()

    for container in client.containers.list(all=True, ignore_removed=True):  # other processes remove containers too
        name = container.name or ""
        project = container.labels.get("com.docker.compose.project") or name
        if dead(project):
            container.remove(force=True, v=True)
    for kind in (client.networks, client.volumes):
        for resource in kind.list():
            labels = resource.attrs.get("Labels") or {}
            if dead(labels.get("com.docker.compose.project", "")):
                resource.remove()


def wait_for(what: str, condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Poll until `condition` is true and return its value; fail with `what` after the timeout."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {timeout_s:.0f} s")


def kill(container: Any) -> None:
    """Kill a container's process by its host pid, as the kernel does: `docker kill` suppresses the restart policy."""
    container.reload()
    pid = container.attrs["State"]["Pid"]
    assert container.attrs["State"]["Status"] == "running"
    assert pid > 1, "0 would be the group of this process"
    os.kill(pid, signal.SIGKILL)


def crash(container: Any) -> None:
    """Kill a container's process and wait for its restart."""
    container.reload()
    before = container.attrs["RestartCount"]
    kill(container)

    def restarted() -> bool:
        container.reload()
        return bool(container.attrs["RestartCount"] > before and container.attrs["State"]["Status"] == "running")

    wait_for(f"the restart of {container.name}", restarted)


@dataclass
class Stack:
    """A clone and the stack that it deploys."""

    root: Path
    project: str
    port: int
    env: dict[str, str]
    docker: docker.DockerClient
    releases: list[str] = field(default_factory=list)
    registries: list[str] = field(default_factory=list)
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def run(self, module: str, *args: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m module args` in the clone, as a user does."""
        done = subprocess.run(
            [sys.executable, "-m", module, *args],
            cwd=self.root,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{module} {' '.join(args)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, module: str, *args: str, **env: str) -> subprocess.Popen[str]:
        """Start the same in the background, with stdout and stderr in one stream of lines."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=self.root,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )

    def commit(self, change: str) -> str:
        """Change a line in service/ and commit; return the SHA."""
        module = self.root / "service" / "__init__.py"
        text = re.sub(r"\n# release: .*\n", "", module.read_text())
        module.write_text(f"{text}\n# release: {change}\n")
        command.run(["git", "commit", "--quiet", "--all", "-m", change], cwd=self.root)
        return git.read(self.root).sha

    def release(self, change: str) -> str:
        """Commit, and build the image; return the SHA."""
        sha = self.commit(change)
        self.run("build.images")
        self.releases.append(sha)
        return sha

    def newest_image(self) -> str:
        """Return the newest release image that exists: some releases were only committed, or pruned."""
        names = (f"glm-tts-slim:{sha}" for sha in reversed(self.releases))
        return next(name for name in names if self.docker.images.list(name))

    def edit_compose(self, *changes: tuple[str, str]) -> None:
        """Replace texts in the clone's compose.yaml; each must occur."""
        path = self.root / "compose.yaml"
        text = path.read_text()
        for old, new in changes:
            assert old in text, f"{path.name} has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text)

    def status(self) -> dict[str, Any]:
        """Return the status, also while the live release is unhealthy."""
        done = self.run("build.cutover", "status", "--json", check=False)
        assert done.returncode in {0, LiveUnhealthyError.exit_code}, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def compose(self, *args: str) -> str:
        """Run a plain `docker compose` in the clone with its .env; the project has a name even without one."""
        argv = ["docker", "compose", "--project-name", self.project, *args]
        engine = {name: value for name, value in self.env.items() if name == "DOCKER_HOST"}
        return command.run(argv, cwd=self.root, env={**_without_settings(), **engine}).decode()

    def container(self, service: str) -> Any:
        return self.docker.containers.get(f"{self.project}-{service}-1")

    def agent(self) -> AgentClient:
        """Return a new client of the stack's agent."""
        return AgentClient(self.container("agent").name)

    @contextlib.contextmanager
    def locked(self, purpose: str) -> Iterator[AgentClient]:
        """Hold the stack's cutover lock for the block; yield the client that carries its epoch."""
        agent = self.agent()
        with CutoverLock(agent).held(purpose):
            yield agent

    def live_app(self) -> Any:
        """Return the first container of the live colour."""
        return self.container(f"app-{self.status()['live']}")

    def containers(self) -> dict[str, tuple[str, str]]:
        """Return ID and start time of every container of the project, by name."""
        ours = {"label": f"com.docker.compose.project={self.project}"}
        found = self.docker.containers.list(all=True, filters=ours, ignore_removed=True)
        return {str(app.name): (str(app.id), app.attrs["State"]["StartedAt"]) for app in found}

    def journal(self) -> list[dict[str, Any]]:
        code, output = self.container("agent").exec_run(["cat", "/var/lib/cutover/journal.jsonl"])
        assert code == 0, output
        return [json.loads(line) for line in output.splitlines()]

    def close(self) -> None:
        """Remove containers, network, volumes, the images of its commits, and the clone."""
        sweep(self.docker, only=self.project)
        for sha in self.releases:
            for listed in self._listed_images(label=f"org.opencontainers.image.revision={sha}"):
                with contextlib.suppress(docker.errors.APIError):
                    self.docker.images.remove(listed["Id"], force=True)
        for listed in self._listed_images():
            for name in [*(listed["RepoTags"] or []), *(listed["RepoDigests"] or [])]:
                if name.startswith(tuple(f"{registry}/" for registry in self.registries)):
                    with contextlib.suppress(docker.errors.APIError):
                        self.docker.images.remove(name)
        shutil.rmtree(self.root, ignore_errors=True)

    def _listed_images(self, **filters: str) -> list[dict[str, Any]]:
        """List images in one call: `images.list` asks for each, and fails if another test has removed it meanwhile."""
        found: list[dict[str, Any]] = self.docker.api.images(filters=filters)
        return found


def _without_settings() -> dict[str, str]:
    """Return the environment without the settings of another stack."""
    ours = ("CUTOVER_", "COMPOSE_")
    names = {"PORT", "PUBLISH", "KEYS_FOLDER", "SUBNET_PREFIX", "PROXY_IMAGE", "BLUE_IMAGE", "GREEN_IMAGE"}
    return {key: value for key, value in os.environ.items() if not key.startswith(ours) and key not in names}


def clone(into: Path) -> Path:
    """Clone the repository; HEAD of the clone has the working tree, including uncommitted changes."""
    command.run(["git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(into)])
    for key, value in (("user.name", "Test"), ("user.email", "test@example.invalid")):
        command.run(["git", "config", key, value], cwd=into)
    if changed := git.changed(REPOSITORY):
        for path in changed:
            source, copy = REPOSITORY / path, into / path
            copy.unlink(missing_ok=True)
            if source.is_file():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)
        command.run(["git", "add", "--all"], cwd=into)
        command.run(["git", "commit", "--quiet", "--allow-empty", "-m", "uncommitted changes"], cwd=into)
    return into


@contextlib.contextmanager
def fresh_stack(scratch: Path, beside: Stack | None = None) -> Iterator[Stack]:
    """Yield a separate stack without a release; remove it at the end.

    It reuses the verifications of `beside`, mainly of the base image.
    """
    client = docker.from_env()
    sweep(client)
    project = f"{PREFIX}{os.getpid()}-{random.randrange(16**4):04x}"
    port = free_port()
    env = {
        **_without_settings(),
        "COMPOSE_PROJECT_NAME": project,
        "PORT": str(port),
        "SUBNET_PREFIX": free_subnet(client),
        # Tests of the other steps would only take longer.
        "CUTOVER_SOAK_S": "0",
    }
    stack = Stack(clone(scratch / "clone"), project, port, env, client)
    if beside:
        shutil.copytree(beside.root / FOLDER, stack.root / FOLDER)
    try:
        yield stack
    finally:
        stack.close()
        client.close()


@contextlib.contextmanager
def hooks(stack: Stack, table: str) -> Iterator[None]:
    """Add a table of hooks to the clone's settings for the block."""
    settings = stack.root / "pyproject.toml"
    before = settings.read_text()
    settings.write_text(f"{before}\n[tool.cutover.hooks]\n{table}\n")
    try:
        yield
    finally:
        settings.write_text(before)
