"""A switch with requests of every class in flight: the journal counts what the clients got."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from build.docker.engine import DockerEngine
from build.errors import InterruptedByUserError, LockLostError
from build.system.interrupts import AGAIN
from build.target.container import ServiceContainer
from harness.audio_asserts import fault_in_wav
from harness.stack import PATIENCE_S, Stack, fresh_stack, hooks, wait_for
from harness.tab import open_tab

pytestmark = pytest.mark.alone

# Appended to the piper engine of a clone: a text that begins with Soon or Never waits for a file after each piece.
ENGINE = """

def _patient() -> None:
    import time
    from pathlib import Path

    plan, speak, describe = PiperEngine.plan, PiperEngine.speak, PiperEngine.describe

    def _plan(self, utterance):
        files = {"Soon": Path("/tmp/soon"), "Never": Path("/tmp/end")}
        until = next((path for word, path in files.items() if utterance.text.startswith(word)), None)
        return [
            replace(chunk, payload=(chunk, until if number else None))
            for number, chunk in enumerate(plan(self, utterance))
        ]

    def _speak(self, chunk, *, alone=False):
        own, until = chunk.payload
        while until and not until.exists():
            time.sleep(0.02)
        return speak(self, own, alone=alone)

    def _describe(self):
        return replace(describe(self), parallel=False)  # a text that waits holds one slot

    PiperEngine.plan, PiperEngine.speak, PiperEngine.describe = _plan, _speak, _describe


_patient()
"""
SLOTS = 4
SHORT = "Soon this sentence has an end. Then the next one is spoken."
LONG = "this goes on. " + "And it goes on with one more sentence. " * 12
# Drain budgets: requests are aborted after them, and a busy machine needs part of them for the other requests.
LONG_BUDGET_S, SHORT_BUDGET_S = 40, 120


@pytest.fixture(scope="module")
def patient(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose releases synthesize SLOTS texts at a time and wait within some of them."""
    with fresh_stack(tmp_path_factory.mktemp("drain"), beside=stack) as patient:
        for colour in ("blue", "green"):
            orders = f"TTS_ORDERS: /run/orders/{colour}}}"
            # No health check: it would synthesize a sentence, which counts as a request.
            with_slots = f'TTS_CONCURRENCY: "{SLOTS}", {orders}\n    healthcheck: {{interval: 1h}}'
            patient.edit_compose((orders, with_slots))
        engine = patient.root / "service/engines/piper.py"
        engine.write_text(engine.read_text() + ENGINE)
        patient.env["CUTOVER_GATE_SYNTHESES"] = "1"
        patient.release("the first one, which waits")
        patient.run("build.cutover", "switch")
        yield patient


class Clients:
    """Requests in flight, each in its own thread."""

    def __init__(self, stack: Stack, pool: ThreadPoolExecutor) -> None:
        self._stack = stack
        self._pool = pool
        self.first_chunk = threading.Event()

    def send(self, text: str, **headers: str) -> Future[requests.Response]:
        return self._pool.submit(self._post, {"input": text, "response_format": "wav"}, headers)

    def _post(self, body: dict[str, Any], headers: dict[str, str]) -> requests.Response:
        return requests.post(f"{self._stack.url}/v1/audio/speech", json=body, headers=headers, timeout=120)

    def stream(self, text: str) -> Future[tuple[int, bool]]:
        """Send a streamed request; return its status and whether the response ended properly."""

        def read() -> tuple[int, bool]:
            body = {"input": text, "stream_format": "audio", "response_format": "pcm"}
            with requests.post(f"{self._stack.url}/v1/audio/speech", json=body, stream=True, timeout=120) as response:
                try:
                    for _ in response.iter_content(1024):
                        self.first_chunk.set()
                except requests.exceptions.ChunkedEncodingError:
                    return response.status_code, False
                return response.status_code, True

        return self._pool.submit(read)


def in_flight(colour: Any) -> dict[str, int]:
    """Return the requests in flight by class, as counted by the service."""
    container = ServiceContainer(DockerEngine(), colour.name)
    classes = wait_for("an answer", lambda: container.status().classes)
    return {kind: count.in_flight for kind, count in classes.items() if count.in_flight}


def drained(stack: Stack) -> dict[str, dict[str, int]]:
    """Return the counts in the journal of the newest cutover."""
    facts = [record["facts"] for record in stack.journal()[-2:] if "drain" in record.get("facts", {})]
    found: dict[str, dict[str, int]] = facts[-1]["drain"]
    return found


def test_each_request_class_drains_by_its_own_rule_and_the_journal_counts_match(patient: Stack, tmp_path: Path) -> None:
    old, new = patient.releases[0], patient.release("to be switched to")
    blue = patient.container("app-blue")
    verified, go = tmp_path / "verified", tmp_path / "go"
    waits = f'["sh", "-c", "touch {verified}; until [ -e {go} ]; do sleep 0.1; done"]'
    budgets = {"CUTOVER_DRAIN_LONG_S": f"{LONG_BUDGET_S}", "CUTOVER_DRAIN_SHORT_S": f"{SHORT_BUDGET_S}"}
    with (
        ThreadPoolExecutor() as pool,
        open_tab(patient.url) as tab,
        hooks(patient, f"pre-switch = {waits}"),
        patient.start("build.cutover", "switch", new, **budgets) as process,
    ):
        wait_for("the gate's end", lambda: verified.exists() or process.poll() is not None, PATIENCE_S)
        assert process.poll() is None, process.communicate()[0]
        clients = Clients(patient, pool)
        short, long = clients.send(SHORT), clients.send(f"Soon {LONG}")
        broken, not_begun = clients.stream(f"Never {LONG}"), clients.send(f"Never {LONG}")
        wait_for("all requests in flight", lambda: in_flight(blue) == {"short": 1, "long": 3, "stream": 1})
        wait_for("the first audio", clients.first_chunk.is_set)
        batch = clients.send(f"Never {LONG}", **{"X-TTS-Class": "batch"})
        wait_for("the batch item", lambda: in_flight(blue).get("batch") == 1)
        go.touch()
        retry = batch.result(60)
        assert (retry.status_code, retry.headers["X-Release"]) == (503, old)
        assert int(retry.headers["Retry-After"]) >= 1
        assert retry.json()["error"]["code"] == "draining"
        assert {"short", "long"} <= set(in_flight(blue)), "only batch items that had not begun are aborted at once"
        second_try = requests.post(retry.url, json={"input": "Now."}, headers={"X-TTS-Class": "batch"}, timeout=60)
        assert (second_try.status_code, second_try.headers["X-Release"]) == (200, new)
        blue.exec_run(["touch", "/tmp/soon"])  # noqa: S108 - in its container
        for answer in (short.result(60), long.result(60)):
            assert (answer.status_code, answer.headers["X-Release"]) == (200, old)
            assert fault_in_wav(answer.content, 0.5) == ""
        wait_for("the tab on the new colour", lambda: tab.releases[-1] == new)
        assert (tab.releases, tab.broken) == ([old, new], [])
        assert broken.result(60) == (200, False), "a broken body, not a valid short one"
        assert (not_begun.result(60).status_code, not_begun.result().json()["error"]["code"]) == (503, "draining")
        output, _ = process.communicate(timeout=120)
    blue.exec_run(["touch", "/tmp/end"])  # noqa: S108 - in its container
    print(output)
    assert process.returncode == 0
    assert "blue: 1 short and 1 long finished, 1 stream closed, 2 long and 1 batch aborted" in " ".join(output.split())
    assert drained(patient) == {
        "short": {"completed": 1, "cut": 0, "unfinished": 0},
        "long": {"completed": 1, "cut": 2, "unfinished": 0},
        "stream": {"completed": 0, "cut": 1, "unfinished": 0},
        "batch": {"completed": 0, "cut": 1, "unfinished": 0},
    }
    page = (patient.root / patient.run("build.cutover", "report").stdout.strip().splitlines()[-1]).read_text()
    assert '<td>long</td><td>1</td><td class="bad">2</td>' in page
    assert "2 long and 1 batch" in patient.run("build.cutover", "history", COLUMNS="300").stdout


def test_a_second_interrupt_aborts_the_requests_that_a_rollback_waits_for(patient: Stack) -> None:
    before = patient.status()
    idle = "green" if before["live"] == "blue" else "blue"
    new = patient.release("to be interrupted in its soak")
    budget_s = 140  # without the second interrupt the rollback waits for so long
    lines: list[str] = []

    def read(output: IO[str]) -> None:
        lines.extend(iter(output.readline, ""))

    with (
        ThreadPoolExecutor() as pool,
        patient.start("build.cutover", "switch", new, "--soak", "3600", CUTOVER_DRAIN_LONG_S=f"{budget_s}") as process,
    ):
        assert process.stdout
        pool.submit(read, process.stdout)

        def shown(text: str) -> bool:
            found = any(text in line for line in lines)
            assert found or process.poll() is None, "".join(lines)
            return found

        wait_for("the soak", lambda: shown("soaking for"), PATIENCE_S)
        request = Clients(patient, pool).send(f"Never {LONG}")
        wait_for("the request on the candidate", lambda: in_flight(patient.container(f"app-{idle}")).get("long") == 1)
        assert patient.status()["colours"][before["live"]]["standby"], "the old colour is the backup of the soak"
        process.send_signal(signal.SIGINT)
        wait_for("the drain of the candidate", lambda: shown(f"draining {idle}"))
        assert shown("interrupt again to stop waiting")

        def interrupt() -> bool:
            process.send_signal(signal.SIGINT)
            return shown(AGAIN)

        wait_for("the second interrupt", interrupt)
        answer = request.result(60)
        process.wait(120)
    output = "".join(lines)
    print(output)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
    assert process.returncode == InterruptedByUserError.exit_code
    assert patient.journal()[-1]["state"] == "rolled-back"
    assert drained(patient)["long"]["cut"] == 1
    assert patient.journal()[-1]["facts"]["drain_s"] < budget_s
    status = patient.status()
    assert (status["live"], status["in_progress"], status["lock"]) == (before["live"], None, None)


def test_a_rollback_takes_over_while_the_old_colour_drains(patient: Stack, tmp_path: Path) -> None:
    before = patient.status()
    old, new = before["colours"][before["live"]]["release"]["sha"], patient.release("to be left at once")
    app, verified, go = patient.live_app(), tmp_path / "verified", tmp_path / "go"
    waits = f'["sh", "-c", "touch {verified}; until [ -e {go} ]; do sleep 0.1; done"]'
    with (
        ThreadPoolExecutor() as pool,
        hooks(patient, f"pre-switch = {waits}"),
        patient.start("build.cutover", "switch", new, CUTOVER_DRAIN_LONG_S=f"{SHORT_BUDGET_S}") as process,
    ):
        wait_for("the gate's end", lambda: verified.exists() or process.poll() is not None, PATIENCE_S)
        assert process.poll() is None, process.communicate()[0]
        app.exec_run(["rm", "-f", "/tmp/end"])  # noqa: S108 - another test's, in its container
        request = Clients(patient, pool).send(f"Never {LONG}")
        wait_for("the request", lambda: in_flight(app).get("long") == 1)
        go.touch()
        wait_for("the drain", lambda: patient.journal()[-1].get("step") == "retire")
        patient.run("build.cutover", "rollback")
        assert in_flight(app).get("long") == 1, "the drain had not ended"
        app.exec_run(["touch", "/tmp/end"])  # noqa: S108 - in its container
        answer = request.result(60)
        output, _ = process.communicate(timeout=60)
    assert (answer.status_code, answer.headers["X-Release"]) == (200, old)
    assert process.returncode == LockLostError.exit_code, output
    status = patient.status()
    assert status["colours"][status["live"]]["release"]["sha"] == old
    assert [record["state"] for record in patient.journal() if record["event"] == "end"][-2:] == ["switched", "retired"]
