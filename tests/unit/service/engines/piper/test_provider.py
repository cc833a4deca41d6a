"""Choice of the provider, without a silent fallback. The CPU build of onnxruntime simulates the GPU build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from service.engine import EngineError, EngineFatalError, NoMemoryError, Utterance, spoken
from service.engines.onnx.runtime import CPU, CUDA, Onnxruntime, ProviderError, choose
from service.engines.piper import PiperEngine

GPU_BUILD = ("TensorrtExecutionProvider", CUDA, CPU)
CPU_BUILD = ("AzureExecutionProvider", CPU)


class Session:
    """A CPU session that reports another provider and can be made to fail."""

    def __init__(self, real: Any, provider: str) -> None:
        self.real = real
        self.provider = provider
        self.error = ""

    def get_providers(self) -> list[str]:
        return list(dict.fromkeys([self.provider, CPU]))

    def get_inputs(self) -> Any:
        return self.real.get_inputs()

    def run(self, *arguments: Any) -> Any:
        if self.error:
            raise RuntimeError(self.error)
        return self.real.run(*arguments)


class Gpu(Onnxruntime):
    """A GPU build of onnxruntime; without a GPU it falls back to the CPU silently, like the real one."""

    real: ClassVar[dict[Path, Any]] = {}
    """One cached session per model: creating one takes half a second. Seeded sessions are never shared."""

    def __init__(self, *, available: bool = True) -> None:
        self.available = available
        self.made: list[Session] = []

    def offered(self) -> Sequence[str]:
        return GPU_BUILD

    def session(self, model: Path, options: Any, provider: str) -> Any:
        if provider == CPU:
            real = super().session(model, options, CPU)
        else:
            real = self.real[model] = self.real.get(model) or super().session(model, options, CPU)
        session = Session(real, provider if self.available else CPU)
        self.made.append(session)
        return session


@pytest.mark.parametrize(
    ("device", "offered", "provider"),
    [
        ("", CPU_BUILD, CPU),
        ("", GPU_BUILD, CUDA),
        ("cuda", GPU_BUILD, CUDA),
        ("cpu", GPU_BUILD, CPU),
        ("cpu", CPU_BUILD, CPU),
    ],
)
def test_the_provider_of_a_device(device: str, offered: Sequence[str], provider: str) -> None:
    assert choose(device, offered) == provider


def test_a_cpu_build_of_onnxruntime_rejects_cuda() -> None:
    engine = PiperEngine(1, device="cuda")  # with the real CPU build, as in flavour slim
    with pytest.raises(
        ProviderError, match=r"TTS_DEVICE=cuda, but the installed onnxruntime supports only .*\. Install"
    ):
        engine.load(lambda _step: None)
    assert engine.describe().device == ""


@pytest.mark.parametrize("device", ["", "cuda"])
def test_a_silent_fallback_is_an_error(device: str) -> None:
    engine = PiperEngine(device=device, onnx=Gpu(available=False))
    with pytest.raises(ProviderError, match=rf"onnxruntime uses {CPU} instead of {CUDA}.*set TTS_DEVICE=cpu"):
        engine.load(lambda _step: None)
    assert engine.describe().device == ""


@pytest.fixture(scope="module")
def loaded() -> tuple[Gpu, PiperEngine]:
    gpu = Gpu()
    engine = PiperEngine(device="", onnx=gpu)
    engine.load(lambda _step: None)
    return gpu, engine


def test_a_gpu_runs_one_inference_at_a_time_and_is_reported(loaded: tuple[Gpu, PiperEngine]) -> None:
    _, engine = loaded
    assert engine.describe().concurrency == 1
    assert engine.describe().device == CUDA
    assert sum(samples.size for samples in spoken(engine, Utterance("Yes.", "joe")))


def test_seeded_syntheses_run_on_the_cpu(loaded: tuple[Gpu, PiperEngine]) -> None:
    gpu, engine = loaded
    before = len(gpu.made)
    utterance = Utterance("Yes.", "joe", seed=3)
    first, repeated = (np.concatenate(list(spoken(engine, utterance))) for _ in "ab")
    assert np.array_equal(first, repeated)
    assert first.any()
    assert [session.provider for session in gpu.made[before:]] == [CPU, CPU]
    assert [session.provider for session in gpu.made].count(CUDA) == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);", NoMemoryError),
        ("BFCArena::AllocateRawInternal Available memory of 12 is smaller than requested bytes of 900", NoMemoryError),
        ("std::bad_alloc", NoMemoryError),
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", EngineFatalError),
        ("CUDNN failure 5003: CUDNN_STATUS_EXECUTION_FAILED", EngineFatalError),
        ("Non-zero status code returned while running Gather node: indices element out of data bounds", RuntimeError),
    ],
)
def test_onnxruntime_errors_are_classified(
    loaded: tuple[Gpu, PiperEngine], monkeypatch: pytest.MonkeyPatch, message: str, kind: type[Exception]
) -> None:
    gpu, engine = loaded
    monkeypatch.setattr(gpu.made[0], "error", message)
    with pytest.raises(kind) as error:
        list(spoken(engine, Utterance("Yes.", "joe")))
    assert type(error.value) is kind
    assert kind is not RuntimeError or not isinstance(error.value, EngineError), "the error must fail only this request"


def test_unload_drops_all_models_of_a_broken_device() -> None:
    gpu = Gpu()
    engine = PiperEngine(1, device="cuda", onnx=gpu)
    engine.load(lambda _step: None)
    gpu.made[0].error = "CUDA failure 700: an illegal memory access was encountered"
    with pytest.raises(RuntimeError, match="CUDA failure 700"):
        engine.unload()
    assert engine.describe().device == ""
    engine.unload()
