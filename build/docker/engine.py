"""The Docker engine through its API: containers, images, exec. A remote one works unchanged (build.docker.daemon)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
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

API_TIMEOUT_S = 300
NVIDIA = "nvidia"  # as NVIDIA's toolkit registers its runtime
STDOUT, STDERR = 1, 2
FRAME = Struct(">BxxxL")  # whose the bytes are that follow, and how many
NO_REFERENCE = 400  # what was asked for cannot be the name of an image


@dataclass(frozen=True)
class Answer:
    """What a command inside a container answered."""

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
def explained() -> Iterator[None]:
    """Turns a daemon that is away into the error that says what to do; other API errors keep their own words."""
    try:
        yield
    except APIError as error:  # first: it is one of requests' too
        raise CommandFailedError(f"Docker refused: {error.explanation or error}") from None
    except (RequestException, OSError) as error:
        raise EngineUnreachableError(
            f"the Docker daemon does not answer: {error}", remedy="run `scripts/bootstrap`"
        ) from None
    except DockerException as error:
        raise EngineUnreachableError(
            f"the Docker daemon cannot be reached: {error}",
            remedy="run `scripts/bootstrap` as root, or check DOCKER_HOST and the Docker group",
        ) from None


def _unix(engine_time: str) -> float:
    """The engine's RFC 3339 time (nanoseconds and all) in seconds since 1970."""
    whole, _, fraction = engine_time.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00").timestamp()


def demultiplexed(stream: bytes) -> tuple[bytes, bytes]:
    """What a command said on stdout and stderr, out of the frames in which the engine sends both.

    Raises:
        ValueError: it breaks off, or is none: what the command said is not known.
    """
    said, at = {STDOUT: b"", STDERR: b""}, 0
    while at < len(stream):
        kind, length = FRAME.unpack_from(stream.ljust(at + FRAME.size, b"\0"), at)
        at += FRAME.size
        if kind not in said or at + length > len(stream):
            raise ValueError("the stream of what a command said broke off")
        said[kind] += stream[at : at + length]
        at += length
    return said[STDOUT], said[STDERR]


class Engine:
    """One engine. Every method raises EngineUnreachableError when it is away."""

    @cached_property
    def client(self) -> docker.DockerClient:
        if daemon.address().startswith("ssh://"):
            from build.docker import ssh  # noqa: PLC0415 - it needs what build.docker leaves out otherwise

            ssh.close_like_sockets()
        with explained():
            where = daemon.environment(os.environ)
            return docker.from_env(timeout=API_TIMEOUT_S, use_ssh_client=True, use_context=False, environment=where)

    def info(self) -> dict[str, object]:
        with explained():
            return dict(self.client.info())

    @property
    def gpu_runtime(self) -> str:
        """The runtime that gives containers GPUs; empty where the engine knows of none."""
        return NVIDIA if NVIDIA in dict(cast(Any, self.info().get("Runtimes") or {})) else ""

    def container(self, name: str) -> Container | None:
        """The container of that name, fresh; None when there is none."""
        with explained():
            try:
                return self.client.containers.get(name)
            except NotFound:
                return None

    def names(self, prefix: str) -> frozenset[str]:
        """The names of all containers that begin like that, running or not."""
        with explained():
            found = self.client.api.containers(all=True, filters={"name": [f"^/{prefix}"]})
        return frozenset(name.removeprefix("/") for each in found for name in each["Names"])

    def image(self, reference: str) -> Image | None:
        """The image of that name, tag, digest or ID if it is on the engine."""
        with explained():
            try:
                return self.client.images.get(reference)
            except ImageNotFound:
                return None
            except APIError as error:
                if error.status_code == NO_REFERENCE:
                    return None
                raise

    def images(self, repository: str) -> list[Image]:
        """Images tagged in a repository, newest first."""
        with explained():
            found: list[Image] = self.client.images.list(name=repository)
        return sorted(found, key=lambda image: str(image.attrs.get("Created", "")), reverse=True)

    def history(self, image: Image) -> list[dict[str, Any]]:
        """The layers of an image, newest first, with `Created` (seconds since 1970) and `Size` (bytes)."""
        with explained():
            found: list[dict[str, Any]] = image.history()
        return found

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository's images on the engine."""
        with explained():
            found = self.client.api.images(name=repository)
        names = [name for image in found for name in image.get("RepoTags") or []]
        return [tag for name, _, tag in (each.rpartition(":") for each in names) if name == repository]

    def execute(self, container: str, argv: Sequence[str]) -> Answer:
        """Runs a command in a running container, to its end.

        Raises:
            CommandFailedError: the container is not there or does not run.
        """
        with explained():
            api, target = self.client.api, self.client.containers.get(container)
            started = api.exec_create(target.id, list(argv))["Id"]
            # Not docker-py's exec_start: it reads the bare socket, and loses what came along with the headers.
            url = f"{api.base_url}/v{api.api_version}/exec/{started}/start"
            said = api.post(url, json={"Detach": False, "Tty": False}, timeout=api.timeout)
            try:
                said.raise_for_status()
            except HTTPError as error:
                create_api_error_from_http_exception(error)
            code = api.exec_inspect(started)["ExitCode"]
        try:
            stdout, stderr = demultiplexed(said.content)
        except ValueError as error:
            return Answer(1, b"", str(error).encode())
        # No code: the container ended under the command.
        return Answer(1 if code is None else code, stdout, stderr)

    def begin(self, container: str, argv: Sequence[str]) -> None:
        """Starts a command in a running container and does not wait for its end."""
        with explained():
            api, target = self.client.api, self.client.containers.get(container)
            api.exec_start(api.exec_create(target.id, list(argv))["Id"], detach=True)

    def pids(self, container: Container) -> frozenset[int]:
        """A running container's processes, as the host numbers them."""
        with explained():
            table = container.top(ps_args="-eo pid")
        return frozenset(int(row[0]) for row in table["Processes"])

    def containers(self) -> list[Container]:
        """Those that run."""
        with explained():
            found: list[Container] = self.client.containers.list(ignore_removed=True)
        return found

    def logs(self, container: Container, lines: int = 30) -> str:
        """The newest lines of a container's log."""
        with explained():
            text: bytes = container.logs(tail=lines)
        return text.decode(errors="replace").strip()

    def log_between(self, container: Container, since: float, until: float) -> list[str]:
        """The lines of a container's log of a time (seconds since 1970), each behind the engine's own time stamp."""
        with explained():
            text: bytes = container.logs(since=since, until=until, timestamps=True)
        return text.decode(errors="replace").splitlines()

    def exit_code(self, container: Container) -> int | None:
        """What the container's process last exited with, also when the restart policy has started it again.

        Its state forgets that on the restart; the engine's events do not. Times are the engine's own.
        """
        with explained():
            ended = self.client.events(
                since=_unix(container.attrs["Created"]),
                until=_unix(self.client.info()["SystemTime"]),
                filters={"container": container.id, "event": "die"},
                decode=True,
            )
            codes = [int(event["Actor"]["Attributes"]["exitCode"]) for event in ended]
        return codes[-1] if codes else None

    def now(self) -> float:
        """Seconds since 1970 by the engine's clock."""
        return _unix(str(self.info()["SystemTime"]))

    def age_s(self, container: Container) -> float:
        """Seconds since a container was created, by the engine's own clock."""
        return self.now() - _unix(container.attrs["Created"])

    def remove(self, container: Container) -> None:
        """Removes a container by its ID, running or not; one that has gone already is fine."""
        with explained():
            try:
                container.remove(force=True)
            except NotFound:
                return
