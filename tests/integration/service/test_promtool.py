"""The metrics of the service, checked by the linter of Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import requests

from harness import gpu
from harness.promtool import promtool
from harness.stack import Stack

SCRAPE = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:7860/metrics').read().decode(), end='')"


def complaints(metrics: str) -> str:
    done = promtool(["check", "metrics"], metrics)
    assert done.returncode in (0, 1, 3), done
    return (done.stdout + done.stderr).strip()


def test_the_live_release_passes_the_linter_and_bad_names_do_not(stack: Stack) -> None:
    live = stack.live_app()
    code, output = live.exec_run(["python", "-c", SCRAPE])
    assert code == 0, output
    assert "tts_inference_duration_seconds_bucket" in output.decode()
    assert complaints(output.decode()) == ""
    assert "abbreviated" in complaints(output.decode().replace("tts_audio_seconds", "tts_audio_ms"))


def test_the_gpu_metrics_pass_the_linter(tmp_path: Path) -> None:
    gpus, folder = gpu.make(tmp_path / "gpus", devices=2), tmp_path / "service"
    folder.mkdir()
    argv = [sys.executable, "-m", "tests.unit.service.serving", str(folder)]
    environment = {**os.environ, **gpus.environment}
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        metrics = requests.get(f"{process.stdout.readline().strip()}/metrics", timeout=30).text
        process.communicate(timeout=30)
    assert "tts_gpu_power_watts" in metrics
    assert complaints(metrics) == ""
