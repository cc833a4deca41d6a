"""Read YAML files that people write, with clear errors; a repeated key is an error."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from batch import textfile

_MAX_BYTES = 1024 * 1024


class _Loader(yaml.SafeLoader):
    """SafeLoader that rejects a repeated key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping with each key once."""
        keys = set()
        for key, _ in node.value:
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is repeated", key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def text(path: Path) -> str:
    """Return the text of a small UTF-8 file; raise ValueError with the problem."""
    return textfile.read(path, _MAX_BYTES, "UTF-8")


def load(path: Path) -> Any:
    """Return the content of a YAML file; raise ValueError with the problem."""
    try:
        return yaml.load(text(path), _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
