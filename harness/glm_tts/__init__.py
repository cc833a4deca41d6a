"""Stand-ins for the mounts of engine glm_tts: upstream's code, weights, voices, packages, torch."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from service.engines.glm_tts import manifest, mounts, upstream
from service.settings import Settings

HERE = Path(__file__).parent
WEIGHTS = (
    "llm/config.json",
    "llm/model.safetensors",
    "flow/flow.pt",
    "flow/config.yaml",
    "speech_tokenizer/config.json",
    "vq32k-phoneme-tokenizer/tokenizer.json",
    "hift/hift.pt",
    "vocos2d/generator_jit.ckpt",
)
VARIABLES = (*upstream._OFFLINE, *upstream._CACHES)


@dataclass(frozen=True)
class Mounted:
    """Folders and files of the mounts, which tests use and damage."""

    root: Path

    @property
    def code(self) -> Path:
        return self.root / "code"

    @property
    def models(self) -> Path:
        """/models in a container."""
        return self.root / "models"

    @property
    def weights(self) -> Path:
        return self.models / "GLM-TTS"

    @property
    def voices(self) -> Path:
        return self.models / "voices/voices.jsonl"

    @property
    def packages(self) -> Path:
        return self.models / "env/lib/python3.11/site-packages"

    @property
    def torch(self) -> Any:
        """The imported stand-in of torch."""
        import torch  # noqa: PLC0415

        return torch

    @property
    def module(self) -> Any:
        """Upstream's module, after the engine imported it."""
        return sys.modules["glmtts_inference"]

    def settings(self, **more: str) -> Settings:
        own = {
            "TTS_ENGINE": "glm_tts",
            "TTS_CONTROL": str(self.root / "c.sock"),
            "TTS_GLM_CODE": str(self.code),
            "TTS_GLM_WEIGHTS": str(self.weights),
            "TTS_GLM_VOICES": str(self.voices),
            "TTS_GLM_PACKAGES": str(self.packages),
        }
        return Settings.from_env(own | more)

    def record(self, name: str, seconds: float = 4, level: float = 0.3, rate: int = 22050) -> Path:
        """Write a recording beside the voices file; return its path."""
        path = self.voices.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, level * np.sin(np.arange(int(seconds * rate)) / 20), rate)
        return path

    def add_voice(self, name: str, **fields: str) -> None:
        line = {"name": name, "wav": f"{name}.wav", "transcript": f"I am {name}, and this is me."} | fields
        with self.voices.open("a") as file:
            file.write(json.dumps(line) + "\n")


@contextmanager
def mounted(root: Path) -> Iterator[Mounted]:
    """Yield complete mounts; remove the imported modules afterwards and restore the working directory."""
    before, path = Path.cwd(), list(sys.path)
    found = make(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.setenv(name, "")
            patch.delenv(name)
        patch.setattr(tempfile, "tempdir", str(root / "tmp"))
        sys.path[:] = [str(root / "torch"), *path]
        try:
            yield found
        finally:
            os.chdir(before)
            sys.path[:] = path
            sys.modules.pop("service.engines.torch_device", None)
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None) or "").startswith(str(root)):
                    del sys.modules[name]


def make(root: Path) -> Mounted:
    """Create complete folders and files."""
    found = Mounted(root)
    shutil.copytree(HERE / "upstream", found.code)
    for folder in (found.packages, found.root / "torch", found.root / "tmp"):
        folder.mkdir(parents=True)
    shutil.copy(HERE / "torch.py", found.root / "torch")
    for name in mounts.PACKAGES:
        (found.packages / f"{name}.py").touch()
    (found.packages / "tn.py").unlink()
    shutil.copytree(HERE / "tn", found.packages / "tn")
    for name in ("frontend/campplus.onnx", "configs/spk_prompt_dict.yaml"):
        (found.code / name).parent.mkdir()
        (found.code / name).write_text(name)
    for name in WEIGHTS:
        (found.weights / name).parent.mkdir(parents=True, exist_ok=True)
        (found.weights / name).write_text(name)
    manifest.write(found.weights)
    for name, level in (("anna", 0.3), ("bert", 0.1)):
        found.record(f"{name}.wav", level=level)
        found.add_voice(name)
    return found
