"""Adapter for upstream's code, github.com/zai-org/GLM-TTS; all knowledge of its names and constraints is here.

- It computes on CUDA's current GPU, and its paths are relative to the working directory.
- It is not thread-safe (global random generators, caches of its modules).
- Its caches support one sample rate per process.
- Its file I/O needs a torchaudio with FFmpeg, so recordings go in as tensors and samples come out as arrays.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import shutil
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.audio.resample import resample
from service.engine import EngineError, Sentence, Utterance, VoiceReference
from service.engines.glm_tts import grammar
from service.engines.glm_tts.mounts import Mounts
from service.engines.glm_tts.sentences import paused

T = TypeVar("T")

_MODULE = "glmtts_inference"
_REQUIRED_PARAMETERS = {
    "load_models": ("use_phoneme", "sample_rate"),
    "generate_long": ("frontend", "text_frontend", "llm", "flow", "text_info", "cache", "device", "embedding", "seed",
                      "sample_method", "flow_prompt_token", "speech_feat", "use_phoneme"),
}  # fmt: skip
# Module-level caches of upstream that hold GPU memory after a model is dropped.
_MODULE_CACHES = (("utils.audio", "mel_basis"), ("utils.audio", "hann_window"))
_TOKENIZER_HZ = 16000
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
# Where its libraries write compiled or copied files: the image is read-only except for the temporary folder.
_CACHES = ("HF_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")
_SPEAKERS = 64


def configure_imports(packages: Path) -> None:
    """Make upstream's libraries importable from the folder `packages`, offline, with caches in a writable folder.

    Call it before any of them is imported: they read the environment on import.
    """
    if packages.is_dir() and str(packages) not in sys.path:
        sys.path.append(str(packages))  # last: the image's own packages take precedence
    for name, value in _OFFLINE.items():
        os.environ.setdefault(name, value)
    for name in _CACHES:
        os.environ.setdefault(name, str(Path(tempfile.gettempdir(), "glm-tts", name.lower())))


class _Models(NamedTuple):
    frontend: Any
    text_frontend: Any
    llm: Any
    flow: Any


class _Speaker(NamedTuple):
    """Upstream's features of a prompt; independent of the text and never modified."""

    text_token: Any  # int [1, n] on the GPU
    speech_token: tuple[int, ...]
    flow_token: Any  # the same tokens, int32 [1, n] on the GPU
    speech_feat: Any  # float [1, frames, 80] on the GPU
    embedding: Any  # float [1, n] on the GPU


@dataclass(frozen=True)
class SynthesisState:
    """One text in progress: its pieces in order, and the state that upstream keeps between them."""

    stretches: list[Sentence]
    seed: int
    name: str
    speaker: _Speaker
    cache: dict[str, Any]


class Upstream:
    """Upstream's code with its models. Methods may be called from any thread; a lock serializes them."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts
        self._lock = threading.Lock()
        self._directory = _WorkingDirectory(
            {"ckpt": mounts.weights, **{name: mounts.code / name for name in ("frontend", "configs")}}
        )
        self._models: _Models | None = None
        self._speakers: OrderedDict[bytes, _Speaker] = OrderedDict()
        self._texts_begun = 0

    def prepare(self) -> ModuleType:
        """Import the code without allocating GPU memory; raise EngineError for an unknown version of it."""
        if str(self._mounts.code) not in sys.path:
            sys.path.insert(0, str(self._mounts.code))
        try:
            module = importlib.import_module(_MODULE)
        except ImportError as error:
            message = f"cannot import GLM-TTS's code: {error}; docs/engines/glm-tts.md lists what it needs"
            raise EngineError(message) from error
        source = str(module.__file__)
        if not Path(source).is_relative_to(self._mounts.code):
            raise EngineError(f"Python imported {_MODULE} from {source} instead of {self._mounts.code}")
        missing = [
            f"{function}({parameter})"
            for function, required in _REQUIRED_PARAMETERS.items()
            for parameter in _missing_parameters(module, function, required)
        ]
        if missing:
            raise EngineError(f"this engine does not support the version of GLM-TTS in {self._mounts.code}: "
                              f"it lacks {', '.join(missing)}")  # fmt: skip
        grammar.prepare(grammar.cache_folder())
        return module

    def load(self) -> None:
        """Load the models onto the GPU. Until `close` the process works in a folder that matches upstream's paths."""
        module = self.prepare()
        with self._lock:
            self._directory.enter()
            models = module.load_models(use_phoneme=False, sample_rate=self._mounts.sample_rate)
            frontend, text_frontend, _tokenizer, llm, flow = models
            self._models = _Models(frontend, text_frontend, llm, flow)

    def prepare_voice(self, prompt: VoiceReference) -> None:
        """Compute the features of a prompt in advance, so that the first text in its voice does not wait for them."""
        self._run(lambda models: self._speaker(models, prompt))

    def begin(self, utterance: Utterance, prompt: VoiceReference, seed: int) -> SynthesisState:
        """Split a text for a voice; the same `seed` gives the same speech."""
        given = utterance.sentences or (Sentence(utterance.text),)

        def work(models: _Models) -> SynthesisState:
            speaker = self._speaker(models, prompt)
            self._texts_begun += 1
            # Upstream appends each piece to the cache as a prompt for the next: another text must never share it.
            cache = {"cache_text": [prompt.text], "cache_text_token": [speaker.text_token],
                     "cache_speech_token": [list(speaker.speech_token)], "use_cache": True}  # fmt: skip
            normalize = models.text_frontend.text_normalize
            parts = paused(Sentence(normalize(sentence.text), sentence.pause_s) for sentence in given)
            return SynthesisState(parts, seed, f"text-{self._texts_begun}", speaker, cache)

        return self._run(work)

    def speak(self, state: SynthesisState, stretch: str) -> NDArray[np.float32]:
        """Return the samples [n] of the text's next piece, within about -1..1."""

        def work(models: _Models) -> NDArray[np.float32]:
            module = sys.modules[_MODULE]
            wav, *_ = module.generate_long(
                frontend=models.frontend, text_frontend=models.text_frontend, llm=models.llm, flow=models.flow,
                text_info=[state.name, stretch], cache=state.cache, device=module.DEVICE,
                embedding=state.speaker.embedding, seed=state.seed, sample_method="ras",
                flow_prompt_token=state.speaker.flow_token, speech_feat=state.speaker.speech_feat, use_phoneme=False,
            )  # fmt: skip
            return np.asarray(wav.cpu().numpy(), np.float32).reshape(-1)

        return self._run(work)

    def close(self) -> None:
        """Drop the models and everything else that holds GPU memory, and leave the folder. Idempotent."""
        with self._lock:
            self._models = None
            self._speakers.clear()
            for module, name in _MODULE_CACHES:
                getattr(sys.modules.get(module), name, {}).clear()
            self._directory.leave()

    def _run(self, work: Callable[[_Models], T]) -> T:
        import torch

        with self._lock, torch.inference_mode():
            if self._models is None:
                raise EngineError("the model is not loaded")
            return work(self._models)

    def _speaker(self, models: _Models, prompt: VoiceReference) -> _Speaker:
        key = hashlib.sha256(f"{prompt.sample_rate}:{prompt.text}\n".encode() + prompt.samples.tobytes()).digest()
        if key not in self._speakers:
            self._speakers[key] = self._extract_features(models, prompt)
        self._speakers.move_to_end(key)
        if len(self._speakers) > _SPEAKERS:
            self._speakers.popitem(last=False)
        return self._speakers[key]

    def _extract_features(self, models: _Models, prompt: VoiceReference) -> _Speaker:
        import torch

        front, rate = models.frontend, self._mounts.sample_rate
        audio = _tensor(prompt, _TOKENIZER_HZ)
        transcript = models.text_frontend.text_normalize(prompt.text) + " "
        tokens = front._extract_speech_token([(audio, _TOKENIZER_HZ)]).reshape(-1).tolist()
        return _Speaker(
            text_token=front._extract_text_token(transcript),
            speech_token=tuple(tokens),
            flow_token=torch.tensor([tokens], dtype=torch.int32).to(sys.modules[_MODULE].DEVICE),
            speech_feat=front._extract_speech_feat(_tensor(prompt, rate), sample_rate=rate),
            embedding=front._extract_spk_embedding(audio),
        )


class _WorkingDirectory:
    """Working directory for upstream's relative paths: a folder of links to the mounts.

    The working directory is global to the process: nothing else in the service may depend on it, and the settings'
    paths are absolute.
    """

    def __init__(self, links: dict[str, Path]) -> None:
        self._links = links
        self._before: Path | None = None
        self._folder: Path | None = None

    def enter(self) -> None:
        if self._folder:
            return
        folder = Path(tempfile.mkdtemp(prefix="glm-tts-"))
        for name, target in self._links.items():
            (folder / name).symlink_to(target)
        self._before, self._folder = Path.cwd(), folder
        os.chdir(folder)

    def leave(self) -> None:
        if not (self._folder and self._before):
            return
        os.chdir(self._before)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None


def _tensor(prompt: VoiceReference, rate: int) -> Any:
    """Return the recording in upstream's format: float32 [1, n] in -1..1 at `rate` Hz."""
    import torch

    samples = resample(prompt.samples, prompt.sample_rate, rate)
    return torch.from_numpy(samples.astype(np.float32)[None] / 32768)


def _missing_parameters(module: ModuleType, name: str, required: tuple[str, ...]) -> list[str]:
    """Return the parameters that an upstream function lacks; all of them if the function does not exist."""
    function = getattr(module, name, None)
    known = inspect.signature(function).parameters if callable(function) else {}
    return [parameter for parameter in required if parameter not in known]
