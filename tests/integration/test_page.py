"""The page over real HTTP: progress, stopping, prompts, batches, and how the service is."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import io
import json
import socket
import threading
import time
import uuid
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import soundfile
import uvicorn

from service.app import Service
from service.engines.base import Description, Piece, Utterance
from service.lifecycle import Phase
from service.page.tasks import MAX_CHARS, MAX_LINES, BadTasksError, read_tasks
from service.settings import Settings
from service.traffic import Class
from tests.unit.service.support import FakeEngine, at_rest

# Gradio's import leaves event loops open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """No later test finds them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Imitator(FakeEngine):
    """One that can use a prompt, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Utterance] = []

    def synthesize(self, utterance: Utterance) -> Iterator[Piece]:
        self.given.append(utterance)
        return super().synthesize(utterance)

    def describe(self) -> Description:
        return dataclasses.replace(super().describe(), prompts=True)


@dataclass
class Visit:
    """A served page, and calls as a tab makes them."""

    service: Service
    engine: Imitator
    loop: asyncio.AbstractEventLoop
    client: httpx.Client

    def post(self, name: str, *data: Any, session: str) -> str:
        """Ask, and do not wait for the answer; the event's id."""
        asked = self.client.post(f"/gradio_api/call/{name}", json={"data": data, "session_hash": session})
        return str(asked.json()["event_id"])

    def ask(self, name: str, *data: Any, session: str = "") -> Iterator[tuple[str, Any]]:
        """Each thing that the page is told: ("generating", values), ..., ("complete", values) or ("error", problem)."""
        # Calls of one session share their answers' queue, so each has one of its own unless it is about that.
        event = self.post(name, *data, session=session or uuid.uuid4().hex)
        with self.client.stream("GET", f"/gradio_api/call/{name}/{event}") as lines:
            kind = ""
            for line in lines.iter_lines():
                key, _, value = line.partition(": ")
                kind = value if key == "event" else kind
                if key == "data" and kind != "heartbeat":
                    yield kind, json.loads(value)

    def speak(
        self, text: str, form: str = "wav", prompt: Any = None, transcript: str = ""
    ) -> Iterator[tuple[str, Any]]:
        return self.ask("speak", text, "joe", 1.0, form, prompt, transcript)

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        paths = self.client.post("/gradio_api/upload", files={"files": (name, content)}).json()
        return {"path": paths[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def file(self, value: dict[str, Any]) -> bytes:
        return self.client.get(f"/gradio_api/file={value['path']}").content

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def until_busy_with(self, jobs: int) -> None:
        self.until(lambda: self.service.scheduler.jobs == jobs)

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """The whole service on a port of its own, in a thread with its own loop."""
    folder = tmp_path_factory.mktemp("page")
    settings = dataclasses.replace(Settings.from_env({}), control=folder / "c.sock", release="test-1")
    listener = socket.create_server(("127.0.0.1", 0))
    made: dict[str, Any] = {}
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        engine = Imitator()
        service = Service(settings, engine)
        await service.start()
        config = uvicorn.Config(service.asgi, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        made.update(service=service, engine=engine, loop=asyncio.get_running_loop())
        up.set()
        await asyncio.to_thread(down.wait)
        server.should_exit = server.force_exit = True
        await task
        await service.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert up.wait(60)
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield Visit(**made, client=client)
    finally:
        down.set()
        thread.join()


@pytest.fixture
def visit(serving: Visit) -> Iterator[Visit]:
    serving.engine.spoken.clear()
    serving.engine.given.clear()
    yield serving
    serving.engine.gate.set()
    serving.until(lambda: at_rest(serving.service))


def wav(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, [0.1] * int(8000 * seconds), 8000, format="WAV")
    return file.getvalue()


def test_it_tells_sentence_by_sentence_and_gives_the_format_that_was_chosen(visit: Visit) -> None:
    visit.engine.gate.clear()
    told = visit.speak("One. Two. Three.", form="flac")
    assert next(told)[1][1] == "Next in the queue."
    visit.engine.gate.set()
    *rest, (kind, (audio, note)) = told
    assert kind == "complete" or (audio, note) == (None, None)
    assert any("Sentence" in values[1] for _, values in rest if isinstance(values[1], str))
    files = [values[0] for _, values in rest if values and isinstance(values[0], dict) and "path" in values[0]]
    content = visit.file(audio if isinstance(audio, dict) and "path" in audio else files[-1])
    assert content.startswith(b"fLaC")
    assert soundfile.info(io.BytesIO(content)).duration == pytest.approx(0.3)


def test_it_tells_the_place_in_the_queue(visit: Visit) -> None:
    visit.engine.gate.clear()
    threads = [threading.Thread(target=list, args=(visit.speak(f"Number {n}."),)) for n in range(2)]
    for number, thread in enumerate(threads):
        thread.start()
        visit.until_busy_with(number + 1)
    told = visit.speak("Last.")
    assert next(told)[1][1] == "Waiting in the queue, with 1 ahead."
    visit.engine.gate.set()
    notes = [values[1] for _, values in told]
    assert any("seconds at 8000 Hz" in str(note) for note in notes)
    for thread in threads:
        thread.join()


def test_stop_ends_the_work_of_its_own_tab_alone(visit: Visit) -> None:
    visit.engine.gate.clear()
    visit.post("speak", "One. Two.", "joe", 1.0, "wav", None, "", session="a-tab")
    visit.until(lambda: visit.service.scheduler.jobs == 1)
    list(visit.ask("stop_text", session="another"))
    assert visit.service.scheduler.jobs == 1
    visit.post("stop_text", session="a-tab")
    visit.until(lambda: visit.service.scheduler.jobs == 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x" * 5000, "The text has 5000 characters, at most 4096 are allowed. Shorten it"),
        (" ", "The text is empty. Type something"),
        ("Привет", "CYRILLIC"),
        ("<b>🙂", "SMILING FACE. Take these characters out"),
    ],
)
def test_bad_input_is_told_with_a_remedy(visit: Visit, text: str, wanted: str) -> None:
    [(kind, problem)] = visit.speak(text)
    assert kind == "error"
    assert wanted in problem["error"]


def test_a_service_that_is_not_ready_or_is_full_says_when_to_try_again(visit: Visit) -> None:
    visit.service.lifecycle.phase = Phase.WARMING
    try:
        [(_, problem)] = visit.speak("Hello.")
    finally:
        visit.service.lifecycle.phase = Phase.READY
    assert problem["error"] == "The service is warming. Try again in 2 s."
    visit.service.scheduler.queue_limit = 0
    try:
        [(_, problem)] = visit.speak("Hello.")
    finally:
        visit.service.scheduler.queue_limit = 128
    assert "The queue is full" in problem["error"]
    assert "Try again in" in problem["error"]


def test_a_prompt_reaches_an_engine_that_can_use_it(visit: Visit) -> None:
    prompt = visit.upload("prompt.wav", wav(1.0))
    list(visit.speak("Hello.", prompt=prompt, transcript="What was said."))
    heard = visit.engine.given[0].prompt
    assert heard
    assert (heard.samples.size, heard.sample_rate, heard.text) == (8000, 8000, "What was said.")
    [(_, problem)] = visit.speak("Hello.", prompt=visit.upload("prompt.wav", b"no audio"))
    assert "is not audio that can be read. Choose a wav" in problem["error"]


def test_prompts_are_asked_for_with_such_an_engine(visit: Visit) -> None:
    parts = visit.client.get("/config").json()["components"]
    assert [part["props"]["visible"] for part in parts if part["props"].get("label") == "Voice to imitate"] == [True]


def task(name: str, text: str = "Good morning.", **more: str) -> str:
    return json.dumps({"input_text": text, "output_name": name} | more) + "\n"


def zip_of(visit: Visit, told: list[tuple[str, Any]]) -> zipfile.ZipFile:
    values = [values[0] for _, values in told if values and isinstance(values[0], dict)]
    value = next(each["value"] for each in reversed(values) if each.get("value"))
    return zipfile.ZipFile(io.BytesIO(visit.file(value)))


def test_a_batch_gives_a_zip_of_all_its_lines_one_at_a_time(visit: Visit) -> None:
    tasks = visit.upload("tasks.jsonl", "".join(task(f"line-{n}") for n in range(5)).encode())
    told = list(visit.ask("batch", tasks, "flac"))
    with zip_of(visit, told) as file:
        assert file.namelist() == [f"line-{n}.flac" for n in range(5)]
        assert file.read("line-0.flac").startswith(b"fLaC")
    assert "All is spoken" in str(told[-1]) or "All is spoken" in str(told[-2])


def test_a_bad_batch_is_told_by_line_and_nothing_is_spoken(visit: Visit) -> None:
    lines = (
        task("a") + "{]\n" + task("a") + task("b", "🙂") + task("c", speed="2") + task("../d") + task("e", voice="x")
    )
    told = str(list(visit.ask("batch", visit.upload("tasks.jsonl", lines.encode()), "wav")))
    assert not visit.engine.spoken
    assert [f"Line {n}:" in told for n in range(1, 8)] == [False, *[True] * 6]
    assert "Choose a" not in told
    assert "no task file" in str(list(visit.ask("batch", None, "wav")))


def test_a_batch_that_a_drain_cuts_keeps_what_is_spoken_and_says_what_is_left(visit: Visit) -> None:
    tasks = visit.upload("tasks.jsonl", "".join(task(f"line-{n}", f"Text {n}.") for n in range(3)).encode())
    told = visit.ask("batch", tasks, "wav")
    visit.engine.gate.clear()
    collected = [next(told)]
    visit.until(lambda: visit.service.scheduler.jobs == 1)
    assert visit.service.traffic.by_class()["batch"]["in_flight"] == 1
    visit.run(visit.service.traffic.cut(Class.BATCH))
    collected += told
    with zip_of(visit, collected) as file:
        left = file.read("rest.jsonl").decode().splitlines()
    assert [json.loads(line)["output_name"] for line in left] == ["line-0", "line-1", "line-2"]
    assert "being replaced" in str(collected)


def test_a_batch_waits_until_nobody_else_does(visit: Visit) -> None:
    visit.engine.gate.clear()
    others = [threading.Thread(target=list, args=(visit.speak(f"Other {n}."),)) for n in range(2)]
    for number, thread in enumerate(others):
        thread.start()
        visit.until_busy_with(number + 1)
    told = visit.ask("batch", visit.upload("tasks.jsonl", task("a", "Batch.").encode()), "wav")
    assert "0 of 1" in str(next(told))
    assert visit.service.scheduler.jobs == 2
    visit.engine.gate.set()
    list(told)
    assert visit.engine.spoken[-1] == "Batch"
    for thread in others:
        thread.join()


def test_a_batch_is_bounded(visit: Visit) -> None:
    with pytest.raises(BadTasksError, match=f"{MAX_LINES + 1} tasks"):
        read_tasks("".join(task(f"n{n}") for n in range(MAX_LINES + 1)).encode(), visit.service.speech)
    with pytest.raises(BadTasksError, match=f"at most {MAX_CHARS}"):
        read_tasks("".join(task(f"n{n}", "x" * 4000) for n in range(6)).encode(), visit.service.speech)
    with pytest.raises(BadTasksError, match="Line 2: is not UTF-8"):
        read_tasks(task("a").encode() + b"\xff\n", visit.service.speech)
    with pytest.raises(BadTasksError, match="0 tasks"):
        read_tasks(b"\n", visit.service.speech)


def test_the_status_is_told_and_is_nothing_that_a_tab_waits_for(visit: Visit) -> None:
    before = visit.service.traffic._page_ended
    rows = dict(visit.client.get("/status.json").json()["rows"])
    assert (rows["Release"], rows["Engine"], rows["Device"], rows["Phase"]) == ("test-1", "fake", "CPU", "ready")
    assert rows["Waiting"] == "0 of at most 128"
    assert visit.service.traffic._page_ended == before
    assert not [part for part in visit.client.get("/config").json()["components"] if part["type"] == "timer"]
