"""The GPU probe through the real nvidia-ml-py, on fake GPUs (harness/gpu.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import gpu
from harness.gpu import GIB
from service.hardware.gpu import is_mine


def probe(environment: dict[str, str]) -> dict[str, Any]:
    argv = [sys.executable, "-m", "service.probe", "gpu"]
    done = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, check=True)
    state: dict[str, Any] = json.loads(done.stdout)
    return state


def test_without_nvml_there_are_no_devices_and_a_reason(tmp_path: Path) -> None:
    state = probe({"LD_LIBRARY_PATH": str(tmp_path)})
    if state["devices"]:  # a machine with a GPU
        assert state["why"] == ""
    else:
        assert "NVML" in state["why"] or "river" in state["why"]


def test_devices_and_the_processes_on_them(tmp_path: Path) -> None:
    gpus = gpu.make(tmp_path / "gpus", devices=2)
    claim = (
        "import ctypes, sys; library = ctypes.CDLL('libnvidia-ml.so.1');"
        f"library.fake_claim.argtypes = [ctypes.c_uint, ctypes.c_uint64]; print(library.fake_claim(1, {10 * GIB}),"
        f" library.fake_claim(1, {7 * GIB}), flush=True);"
        "library.fake_drop.argtypes = [ctypes.c_uint64, ctypes.c_double];"
        "sys.stdin.readline(); library.fake_drop(0, 3600); print(flush=True);"
        "sys.stdin.readline(); library.fake_drop(0, 0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", claim],
        env={**os.environ, **gpus.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == "0 1\n", "the second claim must exceed the memory"
        state = probe(gpus.environment)
        assert state["driver"] == "570.00"
        first, second = state["devices"]
        assert (first["uuid"], first["free"], first["processes"]) == ("GPU-fake-0", 16 * GIB, [])
        assert (second["index"], second["total"], second["used"], second["free"]) == (1, 16 * GIB, 10 * GIB, 6 * GIB)
        assert [(process["pid"], process["used"]) for process in second["processes"]] == [(holder.pid, 10 * GIB)]
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.stdout.readline()
        assert probe(gpus.environment)["devices"][1]["used"] == 10 * GIB, (
            "memory with a delayed release still counts as used"
        )
        holder.kill()
    assert probe(gpus.environment)["devices"][1]["used"] == 0, "the memory of an ended process must be free"


def test_a_process_is_mine_by_its_cgroup(tmp_path: Path) -> None:
    for pid, cgroup in (("self", "0::/"), ("7", "0::/"), ("8", "0::/../other")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cgroup").write_text(cgroup)

    def proc(*parts: str) -> Path:
        return tmp_path.joinpath(*parts)

    assert [is_mine(pid, proc) for pid in (7, 8, 4242)] == [True, False, False]
