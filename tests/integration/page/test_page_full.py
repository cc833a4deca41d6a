"""The page on a full disk: errors are shown, finished files stay complete, and it recovers when space is free."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import soundfile

from harness.disk import Disk, small_disk
from harness.page import PageClient

KIB, MIB = 1024, 2**20
NO_ROOM = "There is no space for another file. Try again in 60 s."


@dataclass
class Full(PageClient):
    """A page whose files are on a small disk."""

    disk: Disk


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    folder = tmp_path_factory.mktemp("full")
    with small_disk(folder / "disk", 4 * MIB) as disk:
        environment = {**os.environ, "GRADIO_TEMP_DIR": str(disk.own), "TMPDIR": str(disk.own)}
        argv = [*disk.inside, sys.executable, "-m", "harness.page", str(folder)]
        with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as page:
            assert page.stdout
            with httpx.Client(base_url=page.stdout.readline().strip(), timeout=30) as client:
                yield Full(client, disk)
            page.communicate()
            assert page.returncode == 0


@pytest.fixture
def page(serving: Full) -> Iterator[Full]:
    yield serving
    serving.disk.make_room()


def sentences(count: int) -> str:
    """Return a text of `count` sentences, each of 1600 bytes of audio."""
    return "One. " * count


def spoken(page: Full, count: int) -> tuple[Any, str]:
    *_, (_, values) = page.speak(sentences(count))
    return values[0], values[1]


def test_a_text_on_a_full_disk_shows_an_error_and_leaves_no_file(page: Full) -> None:
    page.disk.leave(100 * KIB)
    assert spoken(page, 5)[1].startswith("<p>0.5 seconds")
    before = page.disk.free
    for _ in range(2):
        assert f"<p>{NO_ROOM}</p>" in spoken(page, 200)[1]
    assert page.disk.free == before
    download, _ = spoken(page, 6)
    assert soundfile.info(io.BytesIO(page.file(download["value"]))).duration == pytest.approx(0.6)


def batch(page: Full, lines: int) -> tuple[str, zipfile.ZipFile | None]:
    """Run a batch; return its final note and the zip, if there is one."""
    tasks = "".join(json.dumps({"output_name": f"n{n}", "input_text": sentences(20)}) + "\n" for n in range(lines))
    *_, (_, values) = page.ask("batch", page.upload("tasks.jsonl", tasks.encode()), "wav")
    button, note = values
    return note, zipfile.ZipFile(io.BytesIO(page.file(button["value"]))) if button["visible"] else None


def test_a_batch_on_a_full_disk_keeps_its_clips_and_lists_the_remaining_lines(page: Full) -> None:
    page.disk.leave(200 * KIB)
    note, file = batch(page, 9)
    assert f"{NO_ROOM} The zip has the finished clips, and a task file with the remaining lines." in note
    assert file
    assert file.testzip() is None
    *clips, rest = file.namelist()
    assert len(clips) >= 4
    assert clips == [f"n{n}.wav" for n in range(len(clips))]
    remaining = [json.loads(line)["output_name"] for line in file.read(rest).splitlines()]
    assert remaining == [f"n{n}" for n in range(len(clips), 9)]
    assert all(soundfile.info(io.BytesIO(file.read(clip))).duration == pytest.approx(2) for clip in clips)
    page.disk.make_room()
    page.disk.leave(2 * MIB)
    note, file = batch(page, 9)
    assert note.endswith("<p>Done.</p>")
    assert file
    assert len(file.namelist()) == 9


def test_an_upload_to_a_full_disk_gets_503(page: Full) -> None:
    page.disk.leave(0)
    response = page.client.post("/gradio_api/upload", files={"files": ("prompt.wav", bytes(MIB))})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_room")
    assert response.headers["retry-after"] == "60"
    assert page.client.get("/readyz").status_code == 200
