"""The .env that Compose reads, derived from what runs; nobody edits it and everybody can delete it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from build.model.colours import Colour
from build.model.placement import Place

HEADER = "# Derived by the orchestrator from what runs on the target; rewritten by every command of it.\n"


def parse(text: str) -> dict[str, str]:
    """KEY=value lines; comments and blank lines are skipped.

    Raises:
        ValueError: a line is none of these.
    """
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ValueError(f"line {number} is not KEY=value: {line!r}")
        values[key.strip()] = value.strip()
    return values


def render(values: dict[str, str]) -> str:
    """The file's text, keys in the order given."""
    return HEADER + "".join(f"{key}={value}\n" for key, value in values.items() if value)


def derive(
    *,
    project: str,
    place: Place,
    proxy_image: str,
    images: dict[Colour, str],
    profiles: Iterable[str],
    runtime: str,
    speech: Mapping[str, str],
) -> dict[str, str]:
    """The variables of compose.yaml. Only the live colour's profiles are on, so `up` starts and stops no other.

    `speech` has those by which the service's engine is chosen and finds what it needs, and what a client may ask for,
    by name.
    """
    return {
        # A plain `docker compose up` in the clone takes no override either: it never changes what is live.
        "COMPOSE_FILE": "compose.yaml",
        "COMPOSE_PROJECT_NAME": project,
        "COMPOSE_PROFILES": ",".join(profiles),
        "PORT": str(place.port),
        "PUBLISH": place.publish,
        "KEYS_FOLDER": place.keys_folder,
        "SUBNET_PREFIX": place.subnet_prefix,
        "PROXY_IMAGE": proxy_image,
        "BLUE_IMAGE": images.get(Colour.BLUE, ""),
        "GREEN_IMAGE": images.get(Colour.GREEN, ""),
        "APP_RUNTIME": runtime,
        **speech,
    }
