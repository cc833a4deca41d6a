"""Batches of the page over real HTTP."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from gradio.utils import get_upload_folder

from harness.page import ServedPage
from harness.stack import wait_for
from service.page.batch_tab import MAX_FILE
from service.page.tasks import MAX_CHARS, MAX_LINES, BadTasksError, read_tasks
from service.synthesis.in_flight import Class
from service.web.body_limit import MAX_BODY
from tests.integration.page.test_page import served, serving

__all__ = ("served", "serving")  # fixtures
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's import leaves event loops open


def task(name: str, text: str = "Good morning.", **more: Any) -> str:
    return json.dumps({"input_text": text, "output_name": name} | more) + "\n"


def zip_of(served: ServedPage, events: list[tuple[str, Any]]) -> zipfile.ZipFile:
    values = [values[0] for _, values in events if values and isinstance(values[0], dict)]
    value = next(button["value"] for button in reversed(values) if button.get("value"))
    return zipfile.ZipFile(io.BytesIO(served.file(value)))


def test_a_batch_speaks_one_line_at_a_time_and_returns_a_zip(served: ServedPage) -> None:
    tasks = served.upload("tasks.jsonl", "".join(task(f"line-{n}") for n in range(5)).encode())
    events, jobs = [], []
    for event in served.ask("batch", tasks, "flac"):
        events.append(event)
        jobs.append(served.service.scheduler.jobs)
    assert max(jobs) <= 1
    with zip_of(served, events) as file:
        assert file.namelist() == [f"line-{n}.flac" for n in range(5)]
        assert file.read("line-0.flac").startswith(b"fLaC")
    assert events[-1][0] == "complete"
    assert "Done." in events[-1][1][1]


def test_an_invalid_batch_lists_every_bad_line_and_does_not_start(served: ServedPage) -> None:
    lines = (
        task("a") + "{]\n" + task("a") + task("b", "🙂") + task("c", speed="2") + task("../d") + task("e", voice="x")
    )
    events = str(list(served.ask("batch", served.upload("tasks.jsonl", lines.encode()), "wav")))
    assert not served.engine.spoken
    assert [f"Line {n}:" in events for n in range(1, 8)] == [False, *[True] * 6]
    assert "Choose a voice" not in events
    assert "Choose a task file first" in str(list(served.ask("batch", None, "wav")))


def test_a_file_above_the_size_limit_is_rejected(served: ServedPage) -> None:
    file = served.upload("tasks.jsonl", b" " * (MAX_FILE + 1))
    assert f"larger than {MAX_FILE // 1024} KiB" in str(list(served.ask("batch", file, "wav")))
    response = served.client.post("/gradio_api/upload", files={"files": ("tasks.jsonl", b" " * MAX_BODY)})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert not served.engine.spoken


def test_a_batch_aborted_by_a_drain_keeps_its_clips_and_lists_the_remaining_lines(served: ServedPage) -> None:
    tasks = served.upload("tasks.jsonl", "".join(task(f"line-{n}", f"Text {n}.") for n in range(3)).encode())
    events = served.ask("batch", tasks, "wav")
    served.engine.gate.clear()
    collected = [next(events)]
    served.until_busy_with(1)
    assert served.service.traffic.by_class()["batch"]["in_flight"] == 1
    served.run(served.service.traffic.cut(Class.BATCH))
    collected += events
    with zip_of(served, collected) as file:
        remaining = file.read("rest.jsonl").decode().splitlines()
    assert [json.loads(line)["output_name"] for line in remaining] == ["line-0", "line-1", "line-2"]
    assert "being updated" in str(collected)


def zips() -> set[Path]:
    return set(Path(get_upload_folder()).glob("*/speech.zip"))


def test_a_disconnect_ends_a_batch_and_deletes_its_files(served: ServedPage) -> None:
    lines = "".join(task(f"line-{n}", f"Text {n}.") for n in range(MAX_LINES))
    tasks, before = served.upload("tasks.jsonl", lines.encode()), zips()
    served.engine.gate.clear()
    served.engine.ungated = 0
    with served.opened("batch", tasks, "wav"):
        served.until_busy_with(1)
    served.engine.gate.set()
    wait_for("an end of the batch", lambda: not served.service.traffic.by_class()["batch"]["in_flight"], 20)
    assert len(served.engine.spoken) < MAX_LINES
    wait_for("its zip's end", lambda: zips() == before, 20)


def test_a_batch_waits_for_all_single_texts(served: ServedPage) -> None:
    served.engine.gate.clear()
    others = [threading.Thread(target=list, args=(served.speak(f"Other {n}."),)) for n in range(3)]
    others[0].start()
    served.until_busy_with(1)
    events = served.ask("batch", served.upload("tasks.jsonl", task("a", "Batch.").encode()), "wav")
    assert "0 of 1" in str(next(events))
    served.until_busy_with(2)
    for number, thread in enumerate(others[1:], start=3):
        thread.start()
        served.until_busy_with(number)
    served.engine.gate.set()
    list(events)
    for thread in others:
        thread.join()
    assert served.engine.spoken[-1] == "Batch"


def test_aborting_waiting_batch_items_spares_a_batch_in_progress(served: ServedPage) -> None:
    served.engine.gate.clear()
    events = served.ask("batch", served.upload("tasks.jsonl", task("a", "Begun.").encode()), "wav")
    collected = [next(events)]
    assert served.engine.entered.acquire(timeout=20)
    served.run(served.service.traffic.cut(Class.BATCH, waiting=True))
    served.engine.gate.set()
    collected += events
    with zip_of(served, collected) as file:
        assert file.namelist() == ["a.wav"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("".join(task(f"n{n}") for n in range(MAX_LINES + 1)).encode(), f"{MAX_LINES + 1} tasks"),
        ("".join(task(f"n{n}", "x" * 4000) for n in range(6)).encode(), f"at most {MAX_CHARS}"),
        (task("a").encode() + b"\xff\n", "Line 2: is not UTF-8"),
        (b"\n", "0 tasks"),
        (task("a").encode("utf-16"), "convert it"),
        (task("a", seed=7).encode(), "Line 1: has seed, which this page does not support"),
        (task("a.flac").encode(), "ends in .flac, but the clips are wav"),
    ],
)
def test_a_batch_has_limits_and_the_checks_of_the_batch_command(
    served: ServedPage, tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(content)
    with pytest.raises(BadTasksError, match=why):
        read_tasks(file, "wav", served.service.speech)
