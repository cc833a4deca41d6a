"""The .env that Compose reads. It is derived from the running stack, never edited by hand, and safe to delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from build.model.colours import Colour
from build.model.placement import StackAddress

HEADER = "# Derived by the orchestrator from the running stack; every command rewrites it. Do not edit.\n"
NO_RELEASE = "no-release-in-{colour}"  # image of a colour without a release


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


def render(values: Mapping[str, str]) -> str:
    """Render the file's text with the keys in the given order; omit empty values."""
    return HEADER + "".join(f"{key}={value}\n" for key, value in values.items() if value)


def address(place: StackAddress) -> dict[str, str]:
    """Return the variables of the proxy's address."""
    return {
        "PORT": str(place.port),
        "PUBLISH": place.publish,
        "KEYS_FOLDER": place.keys_folder,
        "SUBNET_PREFIX": place.subnet_prefix,
    }


def derive(
    *,
    file: str,
    project: str,
    place: StackAddress,
    proxy_image: str,
    images: Mapping[Colour, str],
    profiles: Iterable[str],
    hold_budget_s: float,
) -> dict[str, str]:
    """Derive the variables of .env.

    Args:
        file: the Compose file that a plain `docker compose` uses. With one named here, override files have no effect.
        profiles: profiles to enable, the live colour's. With only these, `up` does not touch the other colour.
    """
    return {
        "COMPOSE_FILE": file,
        "COMPOSE_PROJECT_NAME": project,
        "COMPOSE_PROFILES": ",".join(profiles),
        **address(place),
        "PROXY_IMAGE": proxy_image,
        "HOLD_BUDGET_S": f"{hold_budget_s:g}",
        "BLUE_IMAGE": images.get(Colour.BLUE, ""),
        "GREEN_IMAGE": images.get(Colour.GREEN, ""),
    }


def template_variables(
    values: Mapping[str, str], images: Mapping[Colour, str], runtime: str, speech: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of compose.yaml, which only the orchestrator renders.

    Args:
        values: the variables of .env.
        runtime: the container runtime of a release that starts now; "" for Docker's default.
        speech: variables by name that select and configure the service's engine, and what a client may request.
    """
    releases = {
        f"LINE_{colour.name}_IMAGE": images.get(colour) or NO_RELEASE.format(colour=colour) for colour in Colour
    }
    stack = {name: value for name, value in values.items() if name not in {"COMPOSE_FILE", "COMPOSE_PROFILES"}}
    return {**stack, **releases, "APP_RUNTIME": runtime, **speech}
