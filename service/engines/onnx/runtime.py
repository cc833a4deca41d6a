"""onnxruntime: choose and verify the provider, create a model's sessions, and classify errors."""

# ruff: noqa: PLC0415

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from service.engine import EngineError, EngineFatalError, NoMemoryError
from service.engines import error_messages
from service.engines.onnx import memory

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions  # type: ignore[import-untyped]
    from piper import PiperVoice, SynthesisConfig
    from piper.config import PiperConfig

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# Every sentence has a different length. cuDNN's default search tries all algorithms for each length, and an arena that
# doubles would keep twice the memory of the longest one.
_OPTIONS: dict[str, dict[str, str]] = {
    CPU: {},
    CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"},
}
_INPUTS = {"input", "input_lengths", "scales"}
_SPEAKER = "sid"


_seeding = threading.Lock()
"""onnxruntime's seed is global to the process: hold this lock from setting the seed until a session has consumed it."""


class ProviderError(EngineError):
    """Another provider than the requested one is in use."""


class Onnx(Protocol):
    """The functions of onnxruntime that create a session."""

    def offered(self) -> Sequence[str]:
        """Return the providers of this onnxruntime build."""

    def session(self, model: Path, options: SessionOptions, provider: str) -> InferenceSession:
        """Create a session of the model file; it may use another provider than the requested one."""


class Onnxruntime:
    """The real onnxruntime."""

    def offered(self) -> Sequence[str]:
        """Return the providers of this build, whether or not there is a GPU."""
        import onnxruntime

        found: list[str] = onnxruntime.get_available_providers()
        return found

    def session(self, model: Path, options: SessionOptions, provider: str) -> InferenceSession:
        """Create a session. If the provider's libraries do not load, onnxruntime logs it and falls back to the CPU."""
        import onnxruntime

        if provider == CUDA:
            onnxruntime.preload_dlls()  # CUDA's libraries if they are installed as packages
        # onnxruntime's own fallback also switches to the CPU after an error of a later inference, and only prints a
        # message.
        return onnxruntime.InferenceSession(
            str(model), options, providers=[(provider, _OPTIONS[provider])], enable_fallback=0
        )


def choose(device: str, offered: Sequence[str]) -> str:
    """Return the provider for a device.

    `cpu` and `cuda` select it; "" selects the GPU with a GPU build of onnxruntime, otherwise the CPU. Raise
    ProviderError if the build lacks the requested one.
    """
    if device == "cpu" or (not device and CUDA not in offered):
        return CPU
    if CUDA not in offered:
        raise ProviderError(
            f"TTS_DEVICE=cuda, but the installed onnxruntime supports only {', '.join(offered)}. Install "
            "onnxruntime-gpu instead, use engine vits (TTS_ENGINE=vits), or unset TTS_DEVICE to run on the CPU"
        )
    return CUDA


def check(session: InferenceSession, provider: str) -> None:
    """Raise ProviderError unless the session uses this provider."""
    active = session.get_providers()
    if active[:1] == [provider]:
        return
    remedy = ""
    if provider == CUDA:
        remedy = (
            ". The lines of onnxruntime above have the reason. Give the container a GPU (Docker's runtime nvidia and a "
            "recent driver) and the CUDA and cuDNN versions that onnxruntime-gpu needs, or set TTS_DEVICE=cpu to run "
            "on the CPU"
        )
    raise ProviderError(f"onnxruntime uses {', '.join(active)} instead of {provider}{remedy}")


class Model:
    """Loaded network of a voice; thread-safe."""

    def __init__(self, onnx: Onnx, path: Path, config: PiperConfig, provider: str, processors: int = 1) -> None:
        """Load the network; raise EngineError for another file, ProviderError for another provider.

        On the CPU, a second session computes a lone inference on all `processors`. It has its own copy of the weights:
        onnxruntime can share them only from a model of its own format, and then crashes (1.32).
        """
        from piper import PiperVoice

        self._onnx = onnx
        self._path = path
        session = self._session(_options(), provider)
        _check_inputs(session, config.num_speakers)
        self.front = PiperVoice(session=session, config=config)
        """Converts text to phonemes, and phonemes to samples."""
        self._wide = self.front
        if processors > 1 and provider == CPU:
            self._wide = PiperVoice(session=self._session(_wide_options(processors), provider), config=config)

    @property
    def provider(self) -> str:
        """Provider in use."""
        active: str = self.front.session.get_providers()[0]
        return active

    def speak(self, ids: list[int], config: SynthesisConfig, *, alone: bool = False) -> NDArray[np.float32]:
        """Return the samples [n] of phoneme ids; `alone`, on all processors.

        Raise NoMemoryError if memory is too small for them, EngineFatalError if the engine can no longer work.
        """
        return _run(self._wide if alone else self.front, ids, config)

    def speak_seeded(self, ids: list[int], config: SynthesisConfig, seed: int, number: int) -> NDArray[np.float32]:
        """Return the samples of piece `number`, with noise derived from `seed`; always on the CPU.

        onnxruntime seeds a graph's noise once, at session creation, and its CUDA kernels share one generator per
        process. So each piece gets a session. Without graph optimization it costs 0.1 s of CPU, and a copy of the
        weights until the piece is done.
        """
        import onnxruntime
        from piper import PiperVoice

        options = _options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        mixed = hashlib.sha256(f"{seed}:{number}".encode()).digest()
        with _seeding:
            onnxruntime.set_seed(int.from_bytes(mixed[:4]) >> 1)
            session = self._session(options, CPU)
        return _run(PiperVoice(session=session, config=self.front.config), ids, config)

    def empty_arena(self) -> None:
        """Free the arena of all models, except the memory of one phoneme. No inference may be running.

        Call it on a model with one speaker.
        """
        inputs = {
            "input": np.ones((1, 1), np.int64),
            "input_lengths": np.ones(1, np.int64),
            "scales": np.ones(3, np.float32),
        }
        self.front.session.run(None, inputs, memory.shrink_options())

    def _session(self, options: SessionOptions, provider: str) -> InferenceSession:
        memory.share(options)
        try:
            session = self._onnx.session(self._path, options, provider)
        except Exception as error:  # onnxruntime's errors have no common base class
            raise _engine_error(error) or EngineError(
                f"onnxruntime cannot load the file: {_first_line(error)}"
            ) from error
        check(session, provider)
        return session


def _options() -> SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread only: as many inferences in parallel as processors give the highest throughput.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # onnxruntime keeps a memory plan for each input length, and sentences have any length: 300 MB more after 200
    # sentences in two threads, without a speed-up.
    options.enable_mem_pattern = False
    return options


def _wide_options(processors: int) -> SessionOptions:
    """Return the options of the session for a lone inference.

    Its threads spin while they wait for work, since sleeping ones make it no faster.
    """
    options = _options()
    options.intra_op_num_threads = processors
    return options


def _check_inputs(session: InferenceSession, speakers: int) -> None:
    actual = {node.name for node in session.get_inputs()}
    expected = _INPUTS | {_SPEAKER} if speakers > 1 else _INPUTS
    if actual != expected:
        count = "1 speaker" if speakers == 1 else f"{speakers} speakers"
        raise EngineError(
            f"the file is not a Piper model for {count}: its inputs are {', '.join(sorted(actual))} instead of "
            f"{', '.join(sorted(expected))}"
        )


def _run(voice: PiperVoice, ids: list[int], config: SynthesisConfig) -> NDArray[np.float32]:
    try:
        return np.asarray(voice.phoneme_ids_to_audio(ids, config))
    except Exception as error:
        if known := _engine_error(error, f"a sentence of {len(ids)} phonemes"):
            raise known from error
        raise


def _engine_error(error: Exception, task: str = "a session") -> EngineError | None:
    """Translate an onnxruntime error to an EngineError; None for an error that fails its request alone."""
    if isinstance(error, MemoryError) or error_messages.means_out_of_memory(str(error)):
        return NoMemoryError(f"too little memory for {task}")
    if error_messages.means_broken_cuda(str(error)):
        return EngineFatalError(_first_line(error))
    return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
