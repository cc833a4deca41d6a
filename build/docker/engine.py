"""Docker engine API: containers, images, exec. It works the same for a remote engine (build.docker.daemon)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Any, cast

import docker
from docker.errors import (
    APIError,
    DockerException,
    ImageNotFound,
    NotFound,
    create_api_error_from_http_exception,
)
from docker.models.containers import Container
from docker.models.images import Image
from requests.exceptions import HTTPError, RequestException

from build.docker import daemon
from build.errors import CommandFailedError, EngineUnreachableError
from build.model import timestamps

# Between two bytes of an answer: the engine of a busy machine is silent while it removes an image or runs a command.
API_TIMEOUT_S = 300
NVIDIA = "nvidia"  # the name under which NVIDIA's toolkit registers its runtime
STDOUT, STDERR = 1, 2
FRAME = Struct(">BxxxL")  # stream number and length of the bytes that follow
INVALID_REFERENCE = 400  # HTTP status if the reference is not a valid image name


@dataclass(frozen=True)
class ExecResult:
    """Exit code and output of a command in a container."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def error(self) -> str:
        return self.stderr.decode(errors="replace").strip()


@contextmanager
def convert_errors() -> Iterator[None]:
    """Convert docker-py's exceptions: EngineUnreachableError if the daemon does not answer, else CommandFailedError."""
    try:
        yield
    except APIError as error:  # first, because it is also a RequestException
        raise CommandFailedError(f"the Docker engine refused the request: {error.explanation or error}") from None
    except (RequestException, OSError) as error:
        raise EngineUnreachableError(f"{_peer()} does not answer: {error}", remedy=_remedy()) from None
    except DockerException as error:
        raise EngineUnreachableError(
            f"{_peer()} cannot be reached: {error}",
            remedy=_remedy(),
        ) from None


def _peer() -> str:
    return f"the Docker daemon behind {daemon.address()}" if daemon.is_behind_ssh() else "the Docker daemon"


def _remedy() -> str:
    if daemon.is_local(os.environ):
        return "run `scripts/bootstrap` as root, or check DOCKER_HOST and the Docker group"
    return f"check {daemon.address(os.environ)} with `docker info`: the network, ssh's key and the daemon there"


def demultiplexed(stream: bytes) -> tuple[bytes, bytes]:
    """Split the engine's multiplexed exec stream into stdout and stderr.

    Raises:
        ValueError: the stream is truncated or is not in this format.
    """
    content, offset = {STDOUT: b"", STDERR: b""}, 0
    while offset < len(stream):
        kind, length = FRAME.unpack_from(stream.ljust(offset + FRAME.size, b"\0"), offset)
        offset += FRAME.size
        if kind not in content or offset + length > len(stream):
            raise ValueError("the output stream of the command is incomplete")
        content[kind] += stream[offset : offset + length]
        offset += length
    return content[STDOUT], content[STDERR]


class DockerEngine:
    """One Docker engine. Every method raises EngineUnreachableError if the daemon does not answer."""

    @cached_property
    def client(self) -> docker.DockerClient:
        if daemon.is_behind_ssh():
            from build.docker import ssh  # noqa: PLC0415 - needs paramiko, blocked for other engines

            ssh.fix_transport()
        with convert_errors():
            variables = daemon.environment(os.environ)
            return docker.from_env(timeout=API_TIMEOUT_S, use_ssh_client=True, use_context=False, environment=variables)

    def info(self) -> dict[str, object]:
        with convert_errors():
            return dict(self.client.info())

    @property
    def runtimes(self) -> frozenset[str]:
        """Names of the container runtimes that the engine knows."""
        return frozenset(cast(Any, self.info().get("Runtimes") or {}))

    @property
    def gpu_runtime(self) -> str:
        """The container runtime with GPU support; empty if the engine has none."""
        return NVIDIA if NVIDIA in self.runtimes else ""

    def container(self, name: str) -> Container | None:
        """Get a container by name or ID with its current state; None if there is none."""
        with convert_errors():
            try:
                return self.client.containers.get(name)
            except NotFound:
                return None

    def ids(self, prefix: str) -> dict[str, str]:
        """IDs of all containers, running or not, whose names start with `prefix`, by name."""
        with convert_errors():
            found = self.client.api.containers(all=True, filters={"name": [f"^/{prefix}"]})
        return {name.removeprefix("/"): container["Id"] for container in found for name in container["Names"]}

    def container_labels(self, filtered: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the labels of each container, running or not, that has all of the given labels."""
        filters = {"label": [f"{name}={value}" for name, value in filtered.items()]}
        with convert_errors():
            return [dict(found["Labels"]) for found in self.client.api.containers(all=True, filters=filters)]

    def image(self, reference: str) -> Image | None:
        """Get an image by name, tag, digest or ID; None if it is not on the engine."""
        with convert_errors():
            try:
                return self.client.images.get(reference)
            except ImageNotFound:
                return None
            except APIError as error:
                if error.status_code == INVALID_REFERENCE:
                    return None
                raise

    def images(self, repository: str) -> list[Image]:
        """List the images tagged in a repository, newest first; without those that are removed meanwhile."""
        with convert_errors():
            ids = [str(listed["Id"]) for listed in self.client.api.images(name=repository)]
        found = [image for image in map(self.image, ids) if image]
        return sorted(found, key=lambda image: str(image.attrs.get("Created", "")), reverse=True)

    def history(self, image: Image) -> list[dict[str, Any]]:
        """List an image's layers, newest first, with `Created` (seconds since 1970) and `Size` (bytes)."""
        with convert_errors():
            found: list[dict[str, Any]] = image.history()
        return found

    def tags(self, repository: str) -> list[str]:
        """List the tags of a repository's images on the engine."""
        with convert_errors():
            found = self.client.api.images(name=repository)
        names = [name for image in found for name in image.get("RepoTags") or []]
        return [
            tag
            for found_repository, _, tag in (name.rpartition(":") for name in names)
            if found_repository == repository
        ]

    def execute(self, container: str, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> ExecResult:
        """Run a command in a running container (a name or an ID) and wait for it to exit.

        Raises:
            CommandFailedError: the container does not exist or is not running.
        """
        with convert_errors():
            api, target = self.client.api, self.client.containers.get(container)
            started = api.exec_create(target.id, list(argv), environment=dict(environment or {}))["Id"]
            # Do not use docker-py's exec_start: it reads the raw socket and loses bytes that arrive with the headers.
            url = f"{api.base_url}/v{api.api_version}/exec/{started}/start"
            response = api.post(url, json={"Detach": False, "Tty": False}, timeout=api.timeout)
            try:
                response.raise_for_status()
            except HTTPError as error:
                create_api_error_from_http_exception(error)
            code = api.exec_inspect(started)["ExitCode"]
        try:
            stdout, stderr = demultiplexed(response.content)
        except ValueError as error:
            return ExecResult(1, b"", str(error).encode())
        # There is no exit code if the container stopped while the command ran.
        return ExecResult(1 if code is None else code, stdout, stderr)

    def begin(self, container: str, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a command in a running container (a name or an ID) without waiting for it."""
        with convert_errors():
            api, target = self.client.api, self.client.containers.get(container)
            started = api.exec_create(target.id, list(argv), environment=dict(environment or {}))["Id"]
            api.exec_start(started, detach=True)

    @cached_property
    def cores(self) -> int:
        """CPU cores of the engine's machine; 0 if it does not say."""
        return int(cast(Any, self.info().get("NCPU") or 0))

    def processes(self, container: Container, *columns: str) -> list[list[str]]:
        """Columns of ps(1) of a running container's processes; pids are the host's. The first must be pid."""
        with convert_errors():
            table = container.top(ps_args=f"-eo {','.join(columns)}")
        found: list[list[str]] = table["Processes"]
        return found

    def pids(self, container: Container) -> frozenset[int]:
        """Host process IDs of a running container."""
        return frozenset(int(row[0]) for row in self.processes(container, "pid"))

    def containers(self) -> list[Container]:
        """List the running containers."""
        with convert_errors():
            found: list[Container] = self.client.containers.list(ignore_removed=True)
        return found

    def logs(self, container: Container, lines: int = 30) -> str:
        """Return the newest lines of a container's log."""
        with convert_errors():
            text: bytes = container.logs(tail=lines)
        return text.decode(errors="replace").strip()

    def log_between(self, container: Container, since: float, until: float) -> list[str]:
        """Return a container's log lines between two times (seconds since 1970), with the engine's timestamps."""
        with convert_errors():
            text: bytes = container.logs(since=since, until=until, timestamps=True)
        return text.decode(errors="replace").splitlines()

    def exit_code(self, container: Container) -> int | None:
        """Return the last exit code of a container's process; None if it never exited.

        It is read from the engine's events, because the container's state loses it when the restart policy starts the
        process again. Times are the engine's.
        """
        with convert_errors():
            events = self.client.events(
                since=timestamps.unix(container.attrs["Created"]),
                until=timestamps.unix(self.client.info()["SystemTime"]),
                filters={"container": container.id, "event": "die"},
                decode=True,
            )
            codes = [int(event["Actor"]["Attributes"]["exitCode"]) for event in events]
        return codes[-1] if codes else None

    def now(self) -> float:
        """Current time by the engine's clock in seconds since 1970."""
        return timestamps.unix(str(self.info()["SystemTime"]))

    def age_s(self, container: Container) -> float:
        """Age of a container in seconds, by the engine's clock."""
        return self.now() - timestamps.unix(container.attrs["Created"])

    def remove(self, container: Container) -> None:
        """Remove a container by ID, running or not; do nothing if it no longer exists."""
        with convert_errors():
            try:
                container.remove(force=True)
            except NotFound:
                return
