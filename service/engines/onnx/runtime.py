"""onnxruntime: which provider computes, proof that it is that one, a model's sessions, and what its errors mean."""

# ruff: noqa: PLC0415

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from service.engine import BrokenError, EngineError, NoMemoryError
from service.engines.onnx import memory

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions  # type: ignore[import-untyped]
    from piper import PiperVoice, SynthesisConfig
    from piper.config import PiperConfig

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# Every sentence has another length. cuDNN's usual search tries all its algorithms for each, and an arena that grows by
# doubling would keep what the longest one took, twice.
_OPTIONS: dict[str, dict[str, str]] = {
    CPU: {},
    CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"},
}
_INPUTS = {"input", "input_lengths", "scales"}
_SPEAKER = "sid"

_NO_MEMORY = ("out of memory", "Failed to allocate memory", "bad_alloc", "smaller than requested bytes", "ALLOC_FAILED")
# Of a GPU: the context may be gone, and then every later call fails, too.
_BROKEN = ("CUDA failure", "CUDNN failure", "CUBLAS failure", "CUFFT failure", "CUDA error")


_seeding = threading.Lock()
"""onnxruntime's seed is the process's: held from setting it until a session has taken it over."""


class ProviderError(EngineError):
    """Another provider would compute than the one that was asked for."""


class Onnx(Protocol):
    """What is used of onnxruntime to get a session."""

    def offered(self) -> Sequence[str]:
        """The providers that this build of it has."""

    def session(self, model: Path, options: SessionOptions, provider: str) -> InferenceSession:
        """A session of the model's file, hopefully by the provider."""


class Onnxruntime:
    """The real one."""

    def offered(self) -> Sequence[str]:
        """The providers that it was built with; says nothing of whether there is a GPU."""
        import onnxruntime

        found: list[str] = onnxruntime.get_available_providers()
        return found

    def session(self, model: Path, options: SessionOptions, provider: str) -> InferenceSession:
        """A session; where the provider's libraries do not load, onnxruntime takes the CPU, and only logs it."""
        import onnxruntime

        if provider == CUDA:
            onnxruntime.preload_dlls()  # CUDA's libraries where they are packages
        # Its own fallback takes the CPU after any error, also of a later inference, and prints that.
        return onnxruntime.InferenceSession(
            str(model), options, providers=[(provider, _OPTIONS[provider])], enable_fallback=0
        )


def choose(device: str, offered: Sequence[str]) -> str:
    """The provider for a device: `cpu`, `cuda`, or "" for the GPU where onnxruntime is one for GPUs, else the CPU.

    Raise ProviderError where it was built without the one that is asked for.
    """
    if device == "cpu" or (not device and CUDA not in offered):
        return CPU
    if CUDA not in offered:
        raise ProviderError(
            f"TTS_DEVICE=cuda, and the installed onnxruntime has {', '.join(offered)} alone. Install onnxruntime-gpu "
            "instead of it, have engine vits speak (its GPU is torch's business), or leave TTS_DEVICE out for the CPU"
        )
    return CUDA


def check(session: InferenceSession, provider: str) -> None:
    """Raise ProviderError unless it is this provider that computes."""
    active = session.get_providers()
    if active[:1] == [provider]:
        return
    remedy = ""
    if provider == CUDA:
        remedy = (
            ". onnxruntime's lines above say why. Give the container a GPU (Docker's runtime nvidia, and a driver that "
            "is new enough) and the CUDA and cuDNN that onnxruntime-gpu was built with, or set TTS_DEVICE=cpu to have "
            "the CPU speak"
        )
    raise ProviderError(f"asked onnxruntime for {provider}, got {', '.join(active)}{remedy}")


class Model:
    """A voice's network, loaded. Safe to use from several threads."""

    def __init__(self, onnx: Onnx, path: Path, config: PiperConfig, provider: str) -> None:
        """Load it; raise EngineError when the file is no such network, ProviderError for another provider."""
        from piper import PiperVoice

        self._onnx = onnx
        self._path = path
        session = self._session(_options(), provider)
        _check_inputs(session, config.num_speakers)
        self.front = PiperVoice(session=session, config=config)
        """Turns text into phonemes, and those into samples."""

    @property
    def provider(self) -> str:
        """The one that computes."""
        active: str = self.front.session.get_providers()[0]
        return active

    def speak(self, ids: list[int], how: SynthesisConfig) -> NDArray[np.float32]:
        """The samples [n] of phoneme ids.

        Raise NoMemoryError when there was too little memory for it, BrokenError when nothing works any more.
        """
        return _run(self.front, ids, how)

    def speak_seeded(self, ids: list[int], how: SynthesisConfig, seed: int, number: int) -> NDArray[np.float32]:
        """The samples of the piece `number`, with noise that follows from `seed`; always by the CPU.

        onnxruntime seeds a graph's noise when the session is made, and never again; its CUDA kernels draw all noise of
        a process from one generator. Made without optimizing the graph, a session costs 0.1 s of CPU, and has weights
        of its own while its piece is spoken.
        """
        import onnxruntime
        from piper import PiperVoice

        options = _options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        mixed = hashlib.sha256(f"{seed}:{number}".encode()).digest()
        with _seeding:
            onnxruntime.set_seed(int.from_bytes(mixed[:4]) >> 1)
            session = self._session(options, CPU)
        return _run(PiperVoice(session=session, config=self.front.config), ids, how)

    def empty_arena(self) -> None:
        """Give back what inferences of all models worked in, but for what one sound takes. None may be under way.

        Of a model with one speaker.
        """
        inputs = {
            "input": np.ones((1, 1), np.int64),
            "input_lengths": np.ones(1, np.int64),
            "scales": np.ones(3, np.float32),
        }
        self.front.session.run(None, inputs, memory.emptying())

    def _session(self, options: SessionOptions, provider: str) -> InferenceSession:
        memory.share(options)
        try:
            session = self._onnx.session(self._path, options, provider)
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise _meaning(error) or EngineError(f"it cannot be loaded: {_line(error)}") from error
        check(session, provider)
        return session


def _options() -> SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A second thread that waits asleep brings a lone request nothing; one that spins, onnxruntime's usual way, takes a
    # processor from others (docs/engines/piper.md).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # A plan of memory is kept for each length of input that there has been, which for speech is any: 300 MB more after
    # 200 sentences in two threads, and not a bit faster.
    options.enable_mem_pattern = False
    return options


def _check_inputs(session: InferenceSession, speakers: int) -> None:
    found = {each.name for each in session.get_inputs()}
    wanted = _INPUTS | ({_SPEAKER} if speakers > 1 else set())
    if found != wanted:
        raise EngineError(
            f"it is no network of piper's for {speakers} speaker{'s' * (speakers > 1)}: it takes "
            f"{', '.join(sorted(found))}, and should take {', '.join(sorted(wanted))}"
        )


def _run(voice: PiperVoice, ids: list[int], how: SynthesisConfig) -> NDArray[np.float32]:
    try:
        return np.asarray(voice.phoneme_ids_to_audio(ids, how))
    except Exception as error:
        if known := _meaning(error, f"a sentence of {len(ids)} phonemes"):
            raise known from error
        raise


def _meaning(error: Exception, what: str = "a session") -> EngineError | None:
    """What an error of onnxruntime's is to the service; None for one that costs its request alone."""
    said = str(error)
    if isinstance(error, MemoryError) or any(mark in said for mark in _NO_MEMORY):
        return NoMemoryError(f"too little memory for {what}")
    if any(mark in said for mark in _BROKEN):
        return BrokenError(_line(error))
    return None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
