"""A separate Docker engine in a privileged container: an empty builder, or an engine that tests kill."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import docker

from build.errors import CommandFailedError
from build.system import command
from harness import images
from harness.stack import PREFIX, REPOSITORY, wait_for

TAG = "glm-tts-test-engine"
# The engine that bootstrap installs, by bootstrap's script: pinned, from the mirror of the OS image.
ENGINE = """FROM {os_image}
RUN --mount=target=/scripts bash -euc 'ROOT=/ LOG=/tmp/log; . /scripts/lib/common.sh; . /scripts/lib/engine.sh; \\
    install_packages docker.io containerd iptables' \\
 && rm -rf /var/lib/apt/lists/* /tmp/log
"""
INSIDE = "/run/nested"  # path in the container of the folder shared with the host
SETTINGS = "daemon.json"
PATIENCE_S = 60
STOP_S = 200  # a stop waits for the containers, which have 160 s to exit
LIMIT_S = 600  # loading and removing gigabytes


@dataclass
class Nested:
    """A running engine; `host` is its DOCKER_HOST."""

    container: str
    folder: Path
    options: Sequence[str] = ()
    outside: dict[str, str] = field(default_factory=lambda: dict(os.environ))  # reaches the engine that runs it

    @cached_property
    def client(self) -> docker.DockerClient:
        """API client of the engine."""
        return docker.DockerClient(base_url=self.host, timeout=LIMIT_S)

    @property
    def address(self) -> str:
        """Address from this machine of the ports that its containers publish."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return self._outside("inspect", "--format", template, self.container)

    @property
    def pid(self) -> str:
        """Process ID of dockerd in its container."""
        return self._inside("cat", "/var/run/docker.pid")

    @property
    def host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def env(self) -> dict[str, str]:
        """The environment of a command that uses this engine."""
        environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        return {**environment, "DOCKER_HOST": self.host}

    def run(self, *argv: str, limit_s: float = LIMIT_S) -> str:
        """Run a command on this engine, such as `docker build`; return its stdout."""
        return command.run(argv, env=self.env, timeout_s=limit_s).decode()

    def load(self, *images: str) -> None:
        """Copy images from the host's engine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "load", "--quiet"], stdin=save.stdout, env=self.env, check=True, capture_output=True
            )
        assert save.returncode == 0, f"docker save {' '.join(images)} exited with {save.returncode}"

    def start(self) -> None:
        """Start dockerd, and wait until it responds."""
        host, group = f"unix://{INSIDE}/docker.sock", str(os.getgid())
        argv = ["dockerd", "--host", host, "--group", group, "--config-file", f"{INSIDE}/{SETTINGS}", *self.options]
        script = f'exec "$@" >>{INSIDE}/dockerd.log 2>&1'
        self._outside("exec", "--detach", self.container, "sh", "-c", script, "sh", *argv)
        try:
            wait_for("the nested engine", self.answers, PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def kill(self, signal: str = "KILL") -> None:
        """Stop dockerd by a signal, and wait for its exit; after SIGKILL its containers continue."""
        pid = self.pid
        self._inside("sh", "-c", f"kill -{signal} {pid}")
        wait_for("the exit of dockerd", lambda: not self._runs(pid), STOP_S)

    def restart(self) -> None:
        """Kill dockerd, as a crash does, and start it again."""
        self.kill()
        self.start()

    def cut_power(self) -> None:
        """End every process of the engine's machine at once, and start it again as a machine boots."""
        self._outside("kill", self.container)
        self._outside("start", self.container)
        self._inside("sh", "-c", "rm -rf /run/docker* /run/containerd")  # on a machine they are in memory
        self.start()

    def answers(self) -> bool:
        return not _fails(lambda: self.run("docker", "version"))

    def has(self, path: str) -> bool:
        """Return whether the engine's container has that file or folder."""
        return not _fails(lambda: self._inside("test", "-e", path))

    def log(self, lines: int = 20) -> str:
        """Return the newest lines of dockerd's log."""
        path = self.folder / "dockerd.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"

    def _runs(self, pid: str) -> bool:
        return self.has(f"/proc/{pid}")

    def _inside(self, *argv: str) -> str:
        return self._outside("exec", self.container, *argv)

    def _outside(self, *argv: str) -> str:
        return command.run(["docker", *argv], env=self.outside).decode().strip()


def _fails(act: Callable[[], object]) -> bool:
    try:
        act()
    except CommandFailedError:
        return True
    return False


@contextlib.contextmanager
def nested_engine(
    *options: str, project: str = "", settings: Mapping[str, object] = MappingProxyType({})
) -> Iterator[Nested]:
    """Run an empty engine until the end of the context; only its image stays, for the next one.

    Args:
        options: additional options of dockerd, such as `--live-restore`.
        settings: content of its daemon.json.
        project: Compose project whose sweep removes the engine if this process is killed; by default a new one.
    """
    client = docker.from_env(timeout=LIMIT_S)
    try:
        images.build(TAG, ENGINE, REPOSITORY / "scripts")
        labels = {"com.docker.compose.project": project or f"{PREFIX}{os.getpid()}-{random.randrange(16**4):04x}"}
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch, SETTINGS).write_text(json.dumps(dict(settings)))
            container = client.containers.run(
                TAG,
                ["sleep", "infinity"],
                detach=True,
                init=True,
                privileged=True,
                labels=labels,
                # A volume, because overlayfs does not work on the container's overlay.
                volumes=["/var/lib/docker", f"{scratch}:{INSIDE}"],
            )
            try:
                nested = Nested(container.id, Path(scratch), options)
                nested.start()
                with contextlib.closing(nested.client):
                    yield nested
            finally:
                container.remove(force=True, v=True)
    finally:
        client.close()
