"""BuildKit through buildx's command line (docker-py cannot drive it). Progress goes straight to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from build.drivers import command


@dataclass(frozen=True)
class Recipe:
    """How an image is made from its context.

    Attributes:
        file: the Dockerfile, relative to the exported tree; its folder is the context when `own_folder` is set.
        contexts: named build contexts, such as `{"channel": "docker-image://name:tag"}`.
    """

    file: str
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    own_folder: bool = False


def build(tree: Path, recipe: Recipe, *, tag: str, secrets: Sequence[str] = ()) -> None:
    """Builds one image from an exported tree into the engine's store.

    Args:
        secrets: BuildKit secrets, such as `id=ca,src=/path`.

    Raises:
        CommandFailedError: the build failed; its output has been shown by then.
    """
    dockerfile = tree / recipe.file
    options = {
        "--build-arg": _pairs(recipe.args),
        "--build-context": _pairs(recipe.contexts),
        "--label": _pairs(recipe.labels),
        "--secret": secrets,
        "--target": [recipe.target] if recipe.target else [],
    }
    argv = ["docker", "buildx", "build", "--load", "--progress", "auto" if sys.stderr.isatty() else "plain"]
    argv += [word for name, values in options.items() for value in values for word in (name, value)]
    argv += ["--tag", tag, "--file", str(dockerfile), str(dockerfile.parent if recipe.own_folder else tree)]
    command.show(argv, what=f"the build of {tag}")


def _pairs(values: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]
