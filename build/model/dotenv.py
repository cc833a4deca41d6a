"""The .env that Compose reads. It is derived from the running stack, never edited by hand, and safe to delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from build.model.colours import Colour
from build.model.placement import StackAddress

HEADER = "# Derived by the orchestrator from the running stack; every command rewrites it. Do not edit.\n"


def parse(text: str) -> dict[str, str]:
    """Parse KEY=value lines; skip comments and blank lines.

    Raises:
        ValueError: a line is something else.
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
    """Render the file's text with the keys in the given order; omit empty values."""
    return HEADER + "".join(f"{key}={value}\n" for key, value in values.items() if value)


def derive(
    *,
    project: str,
    place: StackAddress,
    proxy_image: str,
    images: dict[Colour, str],
    profiles: Iterable[str],
    runtime: str,
    hold_budget_s: float,
    speech: Mapping[str, str],
) -> dict[str, str]:
    """Derive the variables of compose.yaml.

    Args:
        profiles: profiles to enable, the live colour's. With only these, `up` does not touch the other colour.
        speech: variables by name that select and configure the service's engine, and what a client may request.
    """
    return {
        # Without override files, a plain `docker compose up` in the clone cannot change the live release.
        "COMPOSE_FILE": "compose.yaml",
        "COMPOSE_PROJECT_NAME": project,
        "COMPOSE_PROFILES": ",".join(profiles),
        "PORT": str(place.port),
        "PUBLISH": place.publish,
        "KEYS_FOLDER": place.keys_folder,
        "SUBNET_PREFIX": place.subnet_prefix,
        "PROXY_IMAGE": proxy_image,
        "HOLD_BUDGET_S": f"{hold_budget_s:g}",
        "BLUE_IMAGE": images.get(Colour.BLUE, ""),
        "GREEN_IMAGE": images.get(Colour.GREEN, ""),
        "APP_RUNTIME": runtime,
        **speech,
    }
