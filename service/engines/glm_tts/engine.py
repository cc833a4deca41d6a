"""The GLM-TTS engine: one model on a GPU that synthesizes one sentence at a time.

It clones recorded voices: those of the voices file, and the reference of a request.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.engine import Audio, Chunk, Description, EngineError, Utterance, Voice
from service.engines.glm_tts import mounts, reading, voices
from service.engines.glm_tts.mounts import Mounts
from service.engines.glm_tts.upstream import SynthesisState, Upstream, configure_imports
from service.fields import SEED

if TYPE_CHECKING:
    from service.engines.torch_device import Cpu, Cuda
    from service.settings import Settings

logger = logging.getLogger(__name__)

# Placeholder: the API description needs a voice before a load can report an invalid voices file.
_NO_VOICE = (Voice("none", "no voice", "en"),)


_CHARACTERS_PER_S = 30.0  # at half of real time

T = TypeVar("T")


class _Stretch(NamedTuple):
    state: SynthesisState
    text: str


class GlmTtsEngine:
    """GLM-TTS: one inference at a time, one sample rate for the process."""

    def __init__(self, paths: Mounts, voices_file: Path, device: str, concurrency: int = 0) -> None:
        """Take `device` and `concurrency` from the settings; `load` rejects values that the engine does not support."""
        self.sample_rate = paths.sample_rate
        self._paths = paths
        self._requested_device = device
        self._concurrency = concurrency
        recorded, self._problems = voices.read(voices_file)
        self._voices = {voice.voice.id: voice for voice in recorded}
        self._upstream = Upstream(paths)
        self._device: Cpu | Cuda | None = None  # open, with a model on it

    @classmethod
    def from_settings(cls, settings: Settings) -> GlmTtsEngine:
        """Create the engine from the mounts that the settings name."""
        configure_imports(settings.glm_packages)
        paths = Mounts(settings.glm_code, settings.glm_weights, settings.glm_sample_rate)
        return cls(paths, settings.glm_voices, settings.processor or "cuda", settings.concurrency)

    def prepare(self) -> None:
        """Check everything that a load needs and import the code; raise EngineError with all problems."""
        problems = mounts.problems(self._paths, self._requested_device) + self._problems
        if self._concurrency > 1:
            problems.append(
                f"TTS_CONCURRENCY={self._concurrency}: engine glm_tts runs one inference at a time; leave it unset"
            )
        if problems:
            raise EngineError("engine glm_tts cannot start:\n" + "\n".join(f"- {problem}" for problem in problems))
        self._upstream.prepare()

    def load(self, progress: Callable[[str], None]) -> None:
        """Load the models and process the voices; raise EngineError with all problems."""
        with reading.report_reads(progress):
            self._load(progress)

    def _load(self, progress: Callable[[str], None]) -> None:
        self.prepare()
        progress("checked the code, the weights and the voices")
        from service.engines.torch_device import choose, guarded

        device = choose("cuda")
        progress(device.open())
        try:
            guarded(device, self._upstream.load, "the models (about 9 GiB)")
            progress("loaded the models")
            for recorded in self._voices.values():
                prepare = functools.partial(self._upstream.prepare_voice, recorded.prompt)
                guarded(device, prepare, f"voice {recorded.voice.id}")
                progress(f"prepared voice {recorded.voice.id}")
        except BaseException:
            self._upstream.close()
            device.empty()
            raise
        self._device = device

    def plan(self, utterance: Utterance) -> Sequence[Chunk]:
        """Return one chunk per sentence (long sentences are split, very short ones merged).

        Raise NoMemoryError if memory is too small for the recording, EngineFatalError if only a new process helps.
        """
        prompt = utterance.prompt or self._voices[utterance.voice].prompt
        seed = secrets.randbelow(SEED[1]) if utterance.seed is None else utterance.seed
        begin = functools.partial(self._upstream.begin, utterance, prompt, seed)
        state = self._guarded(begin, "a recording")
        return [Chunk(_Stretch(state, part.text), len(part.text), part.pause_s) for part in state.stretches]

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:  # noqa: ARG002 - it uses the whole GPU anyway
        """Return the speech of the text's next chunk; raises as `plan`."""
        state, text = chunk.payload
        work = functools.partial(self._upstream.speak, state, text)
        return _to_int16(self._guarded(work, f"a sentence of {len(text)} characters"))

    def _guarded(self, work: Callable[[], T], task: str) -> T:
        from service.engines.torch_device import guarded

        if self._device is None:
            raise EngineError("the model is not loaded")
        return guarded(self._device, work, task)

    def unload(self) -> None:
        """Drop the models and free their memory except the CUDA context; raise EngineError if some stays allocated."""
        device, self._device = self._device, None
        if device is None:
            return
        self._upstream.close()
        logger.info("%s", device.close())

    def describe(self) -> Description:
        """Return the engine's properties, its voices and its GPU."""
        return Description(
            "glm_tts", "GLM-TTS", self._device.name if self._device else "",
            tuple(recorded.voice for recorded in self._voices.values()) or _NO_VOICE,
            concurrency=1, seeds=True, prompts=True, transcripts=True, speeds=False, parallel=False,
            characters_per_s=_CHARACTERS_PER_S,
        )  # fmt: skip


def _to_int16(samples: NDArray[np.float32]) -> Audio:
    """Convert to int16 without normalising: otherwise the loudness of a sentence would depend on its peak."""
    if not np.isfinite(samples).all():
        raise EngineError("GLM-TTS returned samples that are not finite numbers")
    return (np.clip(samples, -1, 1) * 32767).astype(np.int16)
