"""Threads of an inference: one beside others, all processors alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.engine import Utterance
from service.engines.onnx.runtime import Onnxruntime
from service.engines.piper import PiperEngine
from service.hardware import cpu
from service.hardware.pressure import CpuPressure

PROCESSORS = 3


class Session:
    """A session that notes its runs."""

    def __init__(self, real: Any, threads: int, runs: list[int]) -> None:
        self._real = real
        self._threads = threads
        self._runs = runs

    def get_providers(self) -> Any:
        return self._real.get_providers()

    def get_inputs(self) -> Any:
        return self._real.get_inputs()

    def run(self, *arguments: Any) -> Any:
        self._runs.append(self._threads)
        return self._real.run(*arguments)


class Noted(Onnxruntime):
    """The real onnxruntime; `runs` has the number of threads of each inference."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def session(self, model: Path, options: Any, provider: str) -> Any:
        return Session(super().session(model, options, provider), options.intra_op_num_threads, self.runs)


@pytest.mark.parametrize(("waiting", "threads"), [(0.1, PROCESSORS), (0.9, 1)])
def test_a_lone_inference_uses_idle_processors(waiting: float, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "available", lambda: PROCESSORS)
    monkeypatch.setattr(CpuPressure, "share", lambda _self: waiting)
    onnx = Noted()
    engine = PiperEngine(1, device="cpu", onnx=onnx)
    engine.load(lambda _step: None)
    assert set(onnx.runs) == {1, PROCESSORS}, "both sessions take their memory at load"
    onnx.runs.clear()
    (chunk,) = engine.plan(Utterance("Yes.", "joe"))
    assert engine.speak(chunk, alone=True).any()
    assert engine.speak(chunk).any()
    assert onnx.runs == [threads, 1]
