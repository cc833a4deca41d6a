"""Push and pull of images between an engine and a registry, with retries of transient failures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from docker.errors import APIError
from docker.models.images import Image

from build.docker.engine import DockerEngine, convert_errors
from build.errors import RegistryError
from build.registry.http import IMMUTABLE
from build.registry.retry import RetryPolicy, TransientError
from build.registry.transient_errors import is_immutable_tag_message, is_transient_message

REMEDY = "run `docker login`, or check the registry's name, whether it is up, and whether its disk is full"
# The engine tries each layer five times, 5, 10, 15 and 20 s apart, and reports each wait. After the last one, this
# module does not retry.
LAST_WAIT = "Retrying in 20 "


def push(engine: DockerEngine, image: Image, repository: str, tag: str, retry: RetryPolicy) -> None:
    """Push an image as repository:tag; layers that the registry has are not sent again.

    Raises:
        RegistryError: the registry refused the push, or all attempts failed.
    """
    with convert_errors():
        image.tag(repository, tag)
    api = engine.client.api
    what = f"the push of {repository}:{tag}"
    _without_time_limit(retry).run(lambda: _follow(what, lambda: api.push(repository, tag, stream=True, decode=True)))


def pull(engine: DockerEngine, repository: str, digest: str, retry: RetryPolicy) -> Image:
    """Pull repository@digest and return the image.

    Raises:
        RegistryError: the registry refused the pull, or all attempts failed.
    """
    api = engine.client.api
    what = f"the pull of {repository}@{digest}"
    _without_time_limit(retry).run(
        lambda: _follow(what, lambda: api.pull(repository, tag=digest, stream=True, decode=True))
    )
    image = engine.image(f"{repository}@{digest}")
    if image is None:
        raise RegistryError(f"{what} succeeded, but the engine does not have the image")
    return image


def _without_time_limit(retry: RetryPolicy) -> RetryPolicy:
    """The same number of attempts without a time limit, because transferring gigabytes takes long."""
    return replace(retry, total_s=math.inf)


def _follow(what: str, start: Any) -> None:
    """Read an engine's progress stream to its end; raise the error that it contains."""
    message, exhausted = "", False
    with convert_errors():
        try:
            events: Iterable[dict[str, Any]] = start()
            for event in events:
                exhausted |= str(event.get("status", "")).startswith(LAST_WAIT)
                message = message or str(event.get("error", ""))
        except APIError as error:
            message = str(error.explanation or error)
    if message:
        reason = IMMUTABLE if is_immutable_tag_message(message) else ""
        failure = RegistryError(f"{what} failed: {message}", remedy=REMEDY, reason=reason)
        raise TransientError(failure) if is_transient_message(message) and not exhausted else failure
