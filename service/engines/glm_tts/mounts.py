"""Checks of the engine's mounts: code, weights, packages and GPU, before a model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from service.engines.glm_tts import manifest

logger = logging.getLogger(__name__)

_VOCODERS = {24000: "hift/hift.pt", 32000: "vocos2d/generator_jit.ckpt"}

# Packages that upstream's inference imports: module name to package name. Its requirements.txt lists many more.
PACKAGES = {
    "torchaudio": "torchaudio",
    "transformers": "transformers",
    "peft": "peft",
    "librosa": "librosa",
    "scipy": "scipy",
    "einops": "einops",
    "x_transformers": "x-transformers",
    "hyperpyyaml": "HyperPyYAML",
    "safetensors": "safetensors",
    "inflect": "inflect",
    "contractions": "contractions",
    "pronouncing": "pronouncing",
    "emoji": "emoji",
    "jieba": "jieba",
    "pypinyin": "pypinyin",
    "tn": "WeTextProcessing",
}


class Mounts(NamedTuple):
    """Absolute paths of upstream's code and weights, and the sample rate (Hz), which selects the vocoder."""

    code: Path
    weights: Path
    sample_rate: int


def problems(mounts: Mounts, device: str) -> list[str]:
    """Return a line with remedy for each missing item; empty if a model can be loaded. Allocates no GPU memory.

    Blocking: it imports torch and hashes the weights whose times differ from the manifest.
    """
    return [*_device(device), *_code(mounts.code), *_packages(), *_weights(mounts)]


def _device(device: str) -> list[str]:
    if device != "cuda":
        return [f"TTS_DEVICE={device}: engine glm_tts runs only on a GPU; set TTS_DEVICE=cuda or choose another engine"]
    if not find_spec("torch"):
        return ["torch is not installed; engine glm_tts needs the cuda flavour"]
    from service.engines.torch_device import why_no_gpu  # noqa: PLC0415 - imports torch

    return [reason] if (reason := why_no_gpu()) else []


def _code(folder: Path) -> list[str]:
    needed = ("glmtts_inference.py", "frontend/campplus.onnx", "configs/spk_prompt_dict.yaml")
    return _missing(folder, needed, "TTS_GLM_CODE", "a clone of github.com/zai-org/GLM-TTS")


def _weights(mounts: Mounts) -> list[str]:
    needed = ("llm/config.json", "flow/flow.pt", "flow/config.yaml", "speech_tokenizer/config.json",
              "vq32k-phoneme-tokenizer", _VOCODERS[mounts.sample_rate])  # fmt: skip
    missing = _missing(mounts.weights, needed, "TTS_GLM_WEIGHTS", "the files of huggingface.co/zai-org/GLM-TTS")
    if not mounts.weights.is_dir():
        return missing
    try:
        comparison = manifest.check(mounts.weights)
    except manifest.ManifestError as error:
        return [*missing, str(error)]
    if comparison.hashed:
        logger.warning("hashed %d weight files because their times differ from the manifest; `%s write` avoids this",
                       comparison.hashed, manifest.COMMAND)  # fmt: skip
    remedy = f"restore the file, or record the present files with `{manifest.COMMAND} write {mounts.weights}`"
    return missing + [f"weights: {problem}; {remedy}" for problem in comparison.problems]


def _missing(folder: Path, needed: Iterable[str], setting: str, source: str) -> list[str]:
    if not folder.is_dir():
        return [f"{setting}={folder} is not a folder; mount {source} there, read-only"]
    absent = [name for name in needed if not (folder / name).exists()]
    return [f"{setting}={folder} lacks {', '.join(absent)}; mount all of {source} there"] if absent else []


def _packages() -> list[str]:
    absent = [package for module, package in PACKAGES.items() if not find_spec(module)]
    if not absent:
        return []
    return [
        f"GLM-TTS needs Python packages that are not installed: {', '.join(absent)}; install them as "
        "docs/engines/glm-tts.md describes, and set TTS_GLM_PACKAGES to their folder"
    ]
