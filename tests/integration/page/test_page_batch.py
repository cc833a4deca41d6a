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

from harness.page import Visit
from harness.stack import wait_for
from service.page.batch_tab import MAX_FILE
from service.page.tasks import MAX_CHARS, MAX_LINES, BadTasksError, read_tasks
from service.synthesis.in_flight import Class
from service.web.body_limit import MAX_BODY
from tests.integration.page.test_page import serving, visit

__all__ = ("serving", "visit")  # fixtures
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's import leaves event loops open


def task(name: str, text: str = "Good morning.", **more: Any) -> str:
    return json.dumps({"input_text": text, "output_name": name} | more) + "\n"


def zip_of(visit: Visit, events: list[tuple[str, Any]]) -> zipfile.ZipFile:
    values = [values[0] for _, values in events if values and isinstance(values[0], dict)]
    value = next(button["value"] for button in reversed(values) if button.get("value"))
    return zipfile.ZipFile(io.BytesIO(visit.file(value)))


def test_a_batch_speaks_one_line_at_a_time_and_returns_a_zip(visit: Visit) -> None:
    tasks = visit.upload("tasks.jsonl", "".join(task(f"line-{n}") for n in range(5)).encode())
    events, jobs = [], []
    for event in visit.ask("batch", tasks, "flac"):
        events.append(event)
        jobs.append(visit.service.scheduler.jobs)
    assert max(jobs) <= 1
    with zip_of(visit, events) as file:
        assert file.namelist() == [f"line-{n}.flac" for n in range(5)]
        assert file.read("line-0.flac").startswith(b"fLaC")
    assert events[-1][0] == "complete"
    assert "Done." in events[-1][1][1]


def test_an_invalid_batch_lists_every_bad_line_and_does_not_start(visit: Visit) -> None:
    lines = (
        task("a") + "{]\n" + task("a") + task("b", "🙂") + task("c", speed="2") + task("../d") + task("e", voice="x")
    )
    events = str(list(visit.ask("batch", visit.upload("tasks.jsonl", lines.encode()), "wav")))
    assert not visit.engine.spoken
    assert [f"Line {n}:" in events for n in range(1, 8)] == [False, *[True] * 6]
    assert "Choose a voice" not in events
    assert "Choose a task file first" in str(list(visit.ask("batch", None, "wav")))


def test_a_file_above_the_size_limit_is_rejected(visit: Visit) -> None:
    file = visit.upload("tasks.jsonl", b" " * (MAX_FILE + 1))
    assert f"larger than {MAX_FILE // 1024} KiB" in str(list(visit.ask("batch", file, "wav")))
    response = visit.client.post("/gradio_api/upload", files={"files": ("tasks.jsonl", b" " * MAX_BODY)})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert not visit.engine.spoken


def test_a_batch_aborted_by_a_drain_keeps_its_clips_and_lists_the_remaining_lines(visit: Visit) -> None:
    tasks = visit.upload("tasks.jsonl", "".join(task(f"line-{n}", f"Text {n}.") for n in range(3)).encode())
    events = visit.ask("batch", tasks, "wav")
    visit.engine.gate.clear()
    collected = [next(events)]
    visit.until_busy_with(1)
    assert visit.service.traffic.by_class()["batch"]["in_flight"] == 1
    visit.run(visit.service.traffic.cut(Class.BATCH))
    collected += events
    with zip_of(visit, collected) as file:
        remaining = file.read("rest.jsonl").decode().splitlines()
    assert [json.loads(line)["output_name"] for line in remaining] == ["line-0", "line-1", "line-2"]
    assert "being updated" in str(collected)


def zips() -> set[Path]:
    return set(Path(get_upload_folder()).glob("*/speech.zip"))


def test_a_disconnect_ends_a_batch_and_deletes_its_files(visit: Visit) -> None:
    lines = "".join(task(f"line-{n}", f"Text {n}.") for n in range(MAX_LINES))
    tasks, before = visit.upload("tasks.jsonl", lines.encode()), zips()
    visit.engine.gate.clear()
    visit.engine.ungated = 0
    with visit.opened("batch", tasks, "wav"):
        visit.until_busy_with(1)
    visit.engine.gate.set()
    wait_for("an end of the batch", lambda: not visit.service.traffic.by_class()["batch"]["in_flight"], 20)
    assert len(visit.engine.spoken) < MAX_LINES
    wait_for("its zip's end", lambda: zips() == before, 20)


def test_a_batch_waits_for_all_single_texts(visit: Visit) -> None:
    visit.engine.gate.clear()
    others = [threading.Thread(target=list, args=(visit.speak(f"Other {n}."),)) for n in range(3)]
    others[0].start()
    visit.until_busy_with(1)
    events = visit.ask("batch", visit.upload("tasks.jsonl", task("a", "Batch.").encode()), "wav")
    assert "0 of 1" in str(next(events))
    visit.until_busy_with(2)
    for number, thread in enumerate(others[1:], start=3):
        thread.start()
        visit.until_busy_with(number)
    visit.engine.gate.set()
    list(events)
    for thread in others:
        thread.join()
    assert visit.engine.spoken[-1] == "Batch"


def test_aborting_waiting_batch_items_spares_a_batch_in_progress(visit: Visit) -> None:
    visit.engine.gate.clear()
    events = visit.ask("batch", visit.upload("tasks.jsonl", task("a", "Begun.").encode()), "wav")
    collected = [next(events)]
    assert visit.engine.entered.acquire(timeout=20)
    visit.run(visit.service.traffic.cut(Class.BATCH, waiting=True))
    visit.engine.gate.set()
    collected += events
    with zip_of(visit, collected) as file:
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
    visit: Visit, tmp_path: Path, content: bytes, why: str
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(content)
    with pytest.raises(BadTasksError, match=why):
        read_tasks(file, "wav", visit.service.speech)
