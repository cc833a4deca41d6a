"""Pages of the settings: orchestrator and service."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import annotated_types

from build import settings
from build.model import hook_points
from scripts.reference.markdown import code, fill, table
from service import settings as service_settings

ROOT = Path(__file__).resolve().parents[2]
BOUNDS = ((annotated_types.Ge, "ge", ">="), (annotated_types.Gt, "gt", ">"), (annotated_types.Le, "le", "<="))


def orchestrator() -> str:
    """Return the page of the orchestrator's settings, hooks and variables."""
    return fill(
        "settings.md.in",
        settings=table(("setting", "environment", "default", "bounds", "meaning"), _settings()),
        hooks=table(("hook", "runs when"), ((code(point), meaning) for point, meaning in hook_points.MEANINGS.items())),
        hook_variables=table(
            ("variable", "value"), ((code(name), meaning) for name, meaning in hook_points.FACTS.items())
        ),
    )


def _settings() -> Iterator[tuple[str, ...]]:
    for name, field in settings.Settings.model_fields.items():
        if name == "root":
            continue
        default = field.default.get_secret_value() if hasattr(field.default, "get_secret_value") else field.default
        shown = "" if default in ((), None) else code(default)
        yield code(name), code(settings.environment_name(name)), shown, _bounds(field), field.description or ""


def _bounds(field: Any) -> str:
    bounds = [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for kind, name, sign in BOUNDS
        if isinstance(limit, kind)
    ]
    return ", ".join(bounds)


def service() -> str:
    """Return the page of the service's settings."""
    return fill("service-settings.md.in", settings=table(("variable", "default", "meaning"), _service_settings()))


def _service_settings() -> Iterator[tuple[str, ...]]:
    for option in dataclasses.fields(service_settings.Settings):
        default = str(option.metadata["default"]).replace(f"{ROOT}/", "/app/")
        yield code(option.metadata["env"]), code(default), option.metadata["meaning"]
