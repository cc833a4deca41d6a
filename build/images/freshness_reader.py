"""Queries for the freshness of images: the engine for the age of OS packages, the archive for security updates."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from docker.models.images import Image

from build.docker import oneshot
from build.docker.engine import DockerEngine
from build.errors import OrchestratorError
from build.host.findings import Finding
from build.images import freshness
from build.images.freshness import ImageAge, Security
from build.model.labels import APT_MOMENT_LABEL, PROXY_REPOSITORY, base_repository
from build.settings import Settings

_SCRIPT = Path(__file__).parent / "in_image/security-updates"
LIMIT_S = 60.0
_EXITS = {3: "the image's apt sources name no security suite", 4: "apt downloaded no package list"}
_SERVICES = ("proxy", "app-blue", "app-green")


def judge_host(settings: Settings, engine: DockerEngine) -> list[Finding]:
    """Judge age and security updates of the newest base and proxy on the engine and of the running images."""
    ages = [_age(engine, subject, image) for subject, image in _on_host(settings, engine)]
    with ThreadPoolExecutor() as pool:
        updates = pool.map(lambda age: read_security(engine, age.name), ages)
    images = [replace(age, security=security) for age, security in zip(ages, updates, strict=True)]
    return freshness.judge(images, engine.now(), settings.base_max_age_days)


def notes_of_build(
    settings: Settings, engine: DockerEngine, *, base: Image, proxy: Image, check_security: bool
) -> list[str]:
    """Lines for a build's summary about images older than the limit; empty if there are none. It never fails a build.

    Args:
        check_security: also query the security suites, which takes seconds.
    """
    try:
        now = engine.now()
        ages = [_age(engine, subject, image) for subject, image in (("base", base), ("proxy", proxy))]
        old = [age for age in ages if freshness.is_old(age, now, settings.base_max_age_days)]
        if check_security:
            old = [replace(age, security=read_security(engine, age.name)) for age in old]
        found = freshness.judge(old, now, settings.base_max_age_days)
    except OrchestratorError as error:
        return [f"the age of the images is unknown: {error.message}"]
    return [f"{finding.message}{f'; {finding.remedy}' if finding.remedy else ''}" for finding in found]


def of_records(engine: DockerEngine, image_ids: list[str], max_days: float) -> dict[str, tuple[str, bool]]:
    """Age of base images as text and whether it exceeds the limit, by image ID; only for images on the engine."""
    try:
        now = engine.now()
        found = {image_id: engine.image(image_id) for image_id in dict.fromkeys(image_ids)}
        ages = {image_id: _age(engine, "base", image) for image_id, image in found.items() if image}
    except OrchestratorError:
        return {}
    return {
        image_id: (freshness.describe(age, now), freshness.is_old(age, now, max_days)) for image_id, age in ages.items()
    }


def read_security(engine: DockerEngine, image: str) -> Security:
    """Query the security suites of an image's own apt sources; a failure is returned in the result."""
    try:
        answer = oneshot.run(
            engine,
            image,
            ["-c", _SCRIPT.read_text()],
            limit_s=LIMIT_S,
            network=True,
            entrypoint=["/bin/sh"],
            user="0:0",
            tmpfs={"/tmp": "size=512m,mode=1777"},  # noqa: S108 - the container's own
        )
    except OrchestratorError as error:
        return Security(failed=error.message)
    if answer.exit_code:
        errors = [line[3:].strip() for line in answer.error.splitlines() if line.startswith(("E: ", "W: "))]
        reason = errors[0] if errors else f"exit code {answer.exit_code}"
        return Security(failed=_EXITS.get(answer.exit_code, reason))
    try:
        return Security(freshness.security_updates(answer.text))
    except ValueError as error:
        return Security(failed=str(error))


def _age(engine: DockerEngine, subject: str, image: Image) -> ImageAge:
    # The shortest name is the local one; an image may also have names with a registry.
    name = min(image.tags, key=len, default=str(image.id))
    return ImageAge(subject, name, freshness.taken(engine.history(image), image.labels.get(APT_MOMENT_LABEL, "")))


def _on_host(settings: Settings, engine: DockerEngine) -> Iterator[tuple[str, Image]]:
    """Yield the newest base and proxy, then each running image of the stack that is built on neither of them."""
    reported: list[list[str]] = []
    for subject, repository in (("base", base_repository(settings.flavour)), ("proxy", PROXY_REPOSITORY)):
        if built := engine.images(repository):
            reported.append(_layers(built[0]))
            yield subject, built[0]
    for service in _SERVICES:
        container = engine.container(settings.container(service))
        if container is None or container.status != "running":
            continue
        image = engine.image(str(container.attrs["Image"]))
        if image and not any(_layers(image)[: len(known)] == known for known in reported):
            reported.append(_layers(image))
            yield f"live-{service}", image


def _layers(image: Image) -> list[str]:
    found: list[str] = (image.attrs.get("RootFS") or {}).get("Layers") or [str(image.id)]
    return found
