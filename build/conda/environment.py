"""Parser for environment.yml: the direct dependencies of a conda environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from build.conda import CondaError


@dataclass(frozen=True)
class CondaEnvironment:
    """Direct dependencies of one environment: channels, conda specs, and pip requirements installed after them."""

    name: str
    channels: tuple[str, ...]
    specs: tuple[str, ...]
    pip: tuple[str, ...]


def load(paths: Sequence[Path]) -> CondaEnvironment:
    """Read one environment from one or more files.

    Each further file extends the first, like `conda env update --file`: its dependencies are added, its channels are
    appended, and its name must be the same.

    Raises:
        CondaError: a file is missing, is not YAML, or lacks a name or dependencies; or the names differ.
    """
    documents = [_document(path) for path in paths]
    names = {document["name"] for document in documents}
    if len(names) != 1:
        raise CondaError(
            f"{', '.join(map(str, paths))} name different environments: {', '.join(sorted(names))}",
            remedy="give all files that extend environment.yml the same name",
        )
    dependencies = [item for document in documents for item in document["dependencies"]]
    channels = [channel for document in documents for channel in document.get("channels") or []]
    return CondaEnvironment(
        name=names.pop(),
        channels=_unique(channel for channel in channels if channel != "nodefaults"),
        specs=_unique(item for item in dependencies if isinstance(item, str)),
        pip=_unique(line for item in dependencies if isinstance(item, dict) for line in item.get("pip", [])),
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CondaError(
            f"{path} cannot be read: {error.strerror}", remedy="run the command in the root of the clone"
        ) from None
    except yaml.YAMLError as error:
        raise CondaError(f"{path} is not YAML: {error}", remedy="correct it") from None
    if not isinstance(document, dict) or not document.get("name") or not isinstance(document.get("dependencies"), list):
        raise CondaError(f"{path} has no name or no list of dependencies", remedy="write it like `conda env export`")
    return document


def _unique(items: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
