"""The engine and the service after errors of torch."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch

from harness import gpu
from service.app import Service
from service.engine import EngineError, EngineFatalError, NoMemoryError, Utterance, spoken
from service.engines.torch_device import is_fatal, is_out_of_memory
from service.engines.vits import VitsEngine
from service.engines.vits.model import Vits
from service.settings import Settings
from service.synthesis.lifecycle import Phase
from tests.torch.support import fail_in_decoder
from tests.unit.service.support import at_rest, client_of, until

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 8.00 GiB in all.")
ILLEGAL = torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might")
GIB = 1 << 30


def speak(engine: VitsEngine) -> int:
    return sum(samples.size for samples in spoken(engine, Utterance("Good morning.", "joe")))


def test_out_of_memory_fails_one_utterance_and_frees_its_memory(vits: VitsEngine) -> None:
    inputs, hook = fail_in_decoder(vits, FULL)
    with pytest.raises(NoMemoryError, match=r"sentence of \d+ phonemes"):
        speak(vits)
    assert [reference() for reference in inputs] == [None], "the failed inference freed its memory"
    hook.remove()
    assert speak(vits) > 0


def test_a_broken_device_is_a_fatal_engine_error(vits: VitsEngine) -> None:
    fail_in_decoder(vits, ILLEGAL)
    with pytest.raises(
        EngineFatalError, match=r"AcceleratorError: CUDA error: an illegal memory access was encountered$"
    ):
        speak(vits)


def test_any_other_error_is_raised_unchanged(vits: VitsEngine) -> None:
    fail_in_decoder(vits, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        speak(vits)


@pytest.mark.parametrize(
    ("error", "short", "fatal"),
    [
        (FULL, True, False),
        (torch.AcceleratorError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes"), True, False),
        (ILLEGAL, False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), False, True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False, False),
    ],
)
def test_classification_of_errors(error: RuntimeError, short: bool, fatal: bool) -> None:
    assert (is_out_of_memory(error), is_fatal(error)) == (short, fatal)


def test_a_load_without_enough_memory_reports_the_size_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FULL

    engine = VitsEngine(1, "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Vits, "to", full)
        with pytest.raises(EngineError, match="too little memory for the model: it needs 60 MiB"):
            engine.load(lambda _step: None)
    assert engine.describe().device == ""
    engine.load(lambda _step: None)
    assert speak(engine) > 0


def test_without_a_gpu_the_service_exits_with_a_remedy(tmp_path: Path) -> None:
    own = {"TTS_PORT": "0", "TTS_CONTROL": str(tmp_path / "c.sock"), "CUDA_VISIBLE_DEVICES": ""}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TTS_")}
    done = subprocess.run(
        [sys.executable, "-m", "service"],
        env=inherited | own, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "torch cannot use a GPU (CUDA_VISIBLE_DEVICES=): " in done.stderr
    assert "set TTS_DEVICE=cpu to run on the CPU" in done.stderr


def test_the_size_of_the_context_is_measured_by_nvml(tmp_path: Path) -> None:
    gpus = gpu.make(tmp_path / "gpus", devices=2)
    measure = f"""
import ctypes
from service.engines import torch_device
library = ctypes.CDLL("libnvidia-ml.so.1")
library.fake_claim.argtypes = [ctypes.c_uint, ctypes.c_uint64]
cuda = torch_device.choose("cuda")
cuda._before, cuda._uuid = torch_device._used(), "GPU-fake-1"
assert library.fake_claim(1, {GIB // 2}) == 0
torch_device.choose("cuda")._measure()  # measure a later load
print(cuda.context_bytes)
cuda._uuid = "GPU-unknown"
cuda._measure()
print(cuda.context_bytes)
"""
    done = subprocess.run(
        [sys.executable, "-c", measure], env={**os.environ, **gpus.environment}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(GIB // 2), "None"]


@pytest.fixture
async def service(vits: VitsEngine, tmp_path: Path) -> AsyncIterator[Service]:
    settings = dataclasses.replace(Settings.from_env({"TTS_DEVICE": "cpu"}), control=tmp_path / "c.sock")
    assert settings.engine == "vits", "the default where torch is"
    service = Service(settings, vits)
    service.lifecycle._enter(Phase.READY)
    yield service
    service.scheduler.close()


@pytest.mark.anyio
async def test_the_service_reports_out_of_memory_and_continues(service: Service, vits: VitsEngine) -> None:
    _, hook = fail_in_decoder(vits, FULL)
    async with client_of(service) as client:
        short = await client.post("/v1/audio/speech", json={"input": "Good morning."})
        assert (short.status_code, short.json()["error"]["code"]) == (503, "out_of_memory")
        assert "too little memory" in short.json()["error"]["message"]
        assert int(short.headers["retry-after"]) >= 1
        hook.remove()
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/v1/audio/speech", json={"input": "Good morning."})).status_code == 200
    await until(lambda: at_rest(service))


@pytest.mark.anyio
async def test_the_service_fails_when_its_device_is_broken(service: Service, vits: VitsEngine) -> None:
    fail_in_decoder(vits, ILLEGAL)
    async with client_of(service) as client:
        assert (await client.post("/v1/audio/speech", json={"input": "Good morning."})).status_code == 500
        await until(service.lifecycle.failed.is_set)
        assert (await client.get("/readyz")).status_code == 503
    assert "illegal memory access" in str(service.status()["error"])
