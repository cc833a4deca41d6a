"""All metrics, on fake GPUs (harness/gpu.py): values, names, and the table in the documentation."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import gpu
from harness.gpu import GIB, FakeGpus
from tests.unit.service.serving import Scrape, parsed

UNITS = ("seconds", "bytes", "ratio", "celsius", "watts")
# Words that promtool's linter treats as a unit other than the base unit, or as an abbreviated unit.
NOT_BASE = re.compile(
    r"(pico|nano|micro|milli|centi|kilo|kibi|mega|giga|gibi|tera)\w+|minutes|hours|days|weeks|kelvins?|fahrenheit|bits"
    r"|s|ms|us|ns|sec|b|kb|mb|gb|tb|pb|m|h|d|percent"
)
TYPES = {"gauge", "counter", "histogram", "summary", "metric", "metrics"}
# Names without a unit: counts, states, and metrics that only have labels.
BARE = re.compile(
    r"tts_(build_info|device_info|gpu_info|ready|phase|jobs|queue_depth|queue_capacity|class_in_flight|process_threads"
    r"|gpu_read_success)|process_(open|max)_fds"
)
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ?([^|]*) \| ([^|]*) \|$", re.MULTILINE)
PATIENCE_S = 30.0


@dataclass
class Served:
    """A service in a separate process that has spoken once and rejected an empty text."""

    gpus: FakeGpus
    url: str

    def scrape(self) -> Scrape:
        response = httpx.get(f"{self.url}/metrics", timeout=PATIENCE_S)
        assert response.status_code == 200
        return parsed(response.text)

    def until(self, condition: Callable[[Scrape], Any]) -> Scrape:
        """Scrape until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition(now := self.scrape()):
            assert time.monotonic() < deadline, now.series
        return now


@contextlib.contextmanager
def started(folder: Path, gpus: FakeGpus, **environment: str) -> Iterator[Served]:
    folder.mkdir()
    argv = [sys.executable, "-m", "tests.unit.service.serving", str(folder)]
    full = {**os.environ, **gpus.environment, **environment}
    with subprocess.Popen(argv, env=full, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            url = process.stdout.readline().strip()
            assert httpx.post(f"{url}/v1/audio/speech", json={"input": "x."}, timeout=PATIENCE_S).status_code == 200
            assert httpx.post(f"{url}/v1/audio/speech", json={"input": ""}, timeout=PATIENCE_S).is_client_error
            yield Served(gpus, url)
            process.stdin.close()
            assert process.wait(timeout=PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("gpus")
    with started(folder / "service", gpu.make(folder / "gpus", devices=2)) as running:
        yield running


def test_each_gpu_reports_the_values_that_it_supports(running: Served) -> None:
    running.gpus.sense(0, percent=87, celsius=66, watts=312.5)
    running.gpus.sense(1, percent=None, celsius=31, watts=None)
    now = running.scrape()
    assert now("tts_gpu_read_success") == 1
    assert now("tts_gpu_info", uuid="GPU-fake-1", name="Fake GPU") == 1
    expected = {
        "tts_gpu_utilization_ratio": (0.87, None),
        "tts_gpu_memory_used_bytes": (0, 0),
        "tts_gpu_memory_size_bytes": (16 * GIB, 16 * GIB),
        "tts_gpu_temperature_celsius": (66, 31),
        "tts_gpu_power_watts": (312.5, None),
    }
    for name, values in expected.items():
        assert tuple(now(name, uuid=f"GPU-fake-{index}") for index in range(2)) == values, name
    running.gpus.sense(0, percent=0, celsius=0, watts=0)
    now = running.scrape()
    assert [now(name, uuid="GPU-fake-0") for name in expected] == [0, 0, 16 * GIB, 0, 0], (
        "zero must not be reported as unknown"
    )


def test_concurrent_scrapes_all_report_the_gpus(running: Served) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as scrapers:
        for now in scrapers.map(lambda _: running.scrape(), range(200)):
            assert now("tts_gpu_read_success") == 1
            assert now("tts_gpu_memory_size_bytes", uuid="GPU-fake-1") == 16 * GIB


def test_gpu_memory_of_other_processes_is_reported(running: Served) -> None:
    claim = f"import ctypes; ctypes.CDLL('libnvidia-ml.so.1').fake_claim(1, ctypes.c_uint64({10 * GIB})); input()"
    environment = {**os.environ, **running.gpus.environment}
    with subprocess.Popen([sys.executable, "-c", claim], env=environment, stdin=subprocess.PIPE) as holder:
        running.until(lambda now: now("tts_gpu_memory_used_bytes", uuid="GPU-fake-1") == 10 * GIB)
        holder.kill()
    assert running.scrape()("tts_gpu_memory_used_bytes", uuid="GPU-fake-1") == 0


def test_a_lost_gpu_does_not_hide_the_others(running: Served) -> None:
    running.gpus.sense(0, code=gpu.LOST)
    now = running.scrape()
    assert now("tts_gpu_read_success") == 0
    assert now("tts_gpu_memory_size_bytes", uuid="GPU-fake-0") is None
    assert now("tts_gpu_memory_size_bytes", uuid="GPU-fake-1") == 16 * GIB
    running.gpus.sense(0)
    assert running.scrape()("tts_gpu_read_success") == 1


def test_a_hanging_driver_delays_neither_scrapes_nor_speech(running: Served) -> None:
    threads = running.scrape()("tts_process_threads") or 0
    with running.gpus.hanging(), concurrent.futures.ThreadPoolExecutor(1) as aside:
        began = time.monotonic()
        first = aside.submit(running.scrape)
        answers = 0
        while not first.done():
            httpx.get(f"{running.url}/livez", timeout=PATIENCE_S).raise_for_status()
            answers += 1
        assert answers >= 3, "the service must respond while a scrape waits for the driver"
        assert time.monotonic() - began > 0.4, "the scrape must wait for the driver"
        for now in (first.result(), running.scrape(), running.scrape()):
            assert now("tts_gpu_read_success") == 0
            assert not [name for name, _ in now.series if re.match("tts_gpu_(memory|power|info)", name)]
            assert now("tts_ready") == 1
            assert (now("tts_process_threads") or 0) <= threads + 1, "no second thread may start"
        assert httpx.post(f"{running.url}/v1/audio/speech", json={"input": "x."}, timeout=PATIENCE_S).status_code == 200
    running.until(lambda now: now("tts_gpu_read_success") == 1 and now("tts_gpu_power_watts", uuid="GPU-fake-0") == 0)


def test_a_service_with_a_hanging_driver_still_exits(tmp_path: Path) -> None:
    gpus = gpu.make(tmp_path / "gpus")
    with gpus.hanging(), started(tmp_path / "service", gpus) as running:
        assert running.scrape()("tts_gpu_read_success") == 0


def test_without_nvml_there_are_no_gpu_metrics(tmp_path: Path) -> None:
    gpus = gpu.make(tmp_path / "gpus")
    with started(tmp_path / "service", gpus, FAKE_NVML="") as running:  # a library without a driver
        now = running.scrape()
    assert not [name for name in now.families if "gpu" in name]
    assert now("tts_ready") == 1


def test_metric_names_follow_the_conventions_of_prometheus(running: Served) -> None:
    families = running.scrape().families
    for name, family in families.items():
        words = name.split("_")
        assert re.fullmatch(r"(tts|process)(_[a-z]+)+", name), name
        assert family.documentation, f"{name} has no HELP"
        assert not [word for word in words if NOT_BASE.fullmatch(word)], name
        assert not TYPES & set(words), name
        assert words[-1] not in ("total", "count", "sum", "bucket", "created"), (
            f"{name} ends with a suffix of Prometheus"
        )
        if family.type == "counter":
            assert all(sample.name == f"{name}_total" for sample in family.samples), name
        else:
            assert family.type in ("gauge", "histogram"), f"{name} is of type {family.type}"
            assert words[-1] in UNITS or BARE.fullmatch(name), f"{name} has no unit"
            assert family.type == "gauge" or not name.endswith("_timestamp_seconds"), name
        labels = {label for sample in family.samples for label in sample.labels}
        assert ("le" in labels) == (family.type == "histogram"), name
        assert all(re.fullmatch("[a-z]+", label) and label != "quantile" for label in labels), name


def test_the_documented_table_matches_the_exposed_metrics(running: Served) -> None:
    """Compare name, type, labels and meaning; the message has the row of a new metric."""
    exposed = set()
    for family in running.scrape().families.values():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        assert family.samples, f"{name} has no samples, so its labels are unknown"
        exposed.add((name, family.type, ", ".join(f"`{label}`" for label in labels), family.documentation))
    written = {row.groups() for row in ROW.finditer(Path("docs/reference/metrics.md").read_text())}
    lacking = "\n".join(
        "| `{}` | {} | {} | {} |".format(*row).replace("|  |", "| |") for row in sorted(exposed - written)
    )
    assert written == exposed, (
        f"docs/reference/metrics.md lacks\n{lacking}\nand has superfluous rows {sorted(written - exposed)}"
    )
