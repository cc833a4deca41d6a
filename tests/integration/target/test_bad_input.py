"""Bad input through the proxy: a 4xx with a reason, never a 500, never a stuck queue."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import requests

from harness.audio_asserts import fault_in_wav
from harness.stack import Stack, wait_for

JSON = {"Content-Type": "application/json"}


def speech(text: Any, **more: Any) -> bytes:
    return json.dumps({"model": "tts-1", "voice": "joe", "input": text, **more}).encode()


def predict(*data: Any) -> bytes:
    return json.dumps({"data": list(data)}).encode()


SPEECH, PREDICT = "/v1/audio/speech", "/api/predict"

WRONG: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "empty text": (SPEECH, speech(""), JSON, 400, "input"),
    "only spaces": (SPEECH, speech("  \n "), JSON, 400, "input"),
    "100,000 characters": (SPEECH, speech("a " * 50_000), JSON, 400, "4096"),
    "emoji": (SPEECH, speech("well done 😀", strict=True), JSON, 400, "U+1F600"),
    "another language": (SPEECH, speech("你好"), JSON, 400, "U+4F60"),
    "no text at all": (SPEECH, b"{}", JSON, 400, "missing"),
    "unknown field": (SPEECH, speech("Hi.", spead=2, strict=True), JSON, 400, "speed"),
    "speed out of range": (SPEECH, speech("Hi.", speed=9), JSON, 400, "4"),
    "unknown format": (SPEECH, speech("Hi.", response_format="ogg"), JSON, 400, "wav"),
    "wrong type": (SPEECH, speech(7), JSON, 400, "input"),
    "wrong content type": (SPEECH, speech("Hi."), {"Content-Type": "text/plain"}, 415, "application/json"),
    "broken JSON": (SPEECH, b'{"input": "Hi', JSON, 400, "JSON"),
    "not an object": (SPEECH, b"[]", JSON, 400, "object"),
    "prompt that is no audio": (
        PREDICT,
        predict("README.md", "", "test"),
        JSON,
        400,
        "not readable audio",
    ),
    "prompt outside the folder": (PREDICT, predict("../../etc/passwd", "", "test"), JSON, 400, "data[0]"),
    "prompt by URL": (PREDICT, predict("http://127.0.0.1/x.wav", "", "test"), JSON, 400, "data[0]"),
    "too few fields": (PREDICT, predict("", ""), JSON, 400, "data"),
    "body too large": (SPEECH, b"x" * 26_300_000, JSON, 413, "bytes"),
    "unknown path": ("/v1/audio/sing", speech("Hi."), JSON, 404, "does not exist"),
    "internal path": ("/metrics", b"", JSON, 404, "does not exist"),
}


@pytest.mark.parametrize(("path", "body", "headers", "status", "reason"), WRONG.values(), ids=WRONG)
def test_bad_input_gets_a_reason(
    stack: Stack, path: str, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = requests.post(stack.url + path, data=body, headers=headers, timeout=30)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert reason.lower() in f"{error['message']} {error['param']}".lower(), error
    assert "output" not in answer.text
    assert answer.headers["X-Request-Id"]


def control(stack: Stack) -> dict[str, Any]:
    """Return the status of the live colour."""
    app = stack.live_app()
    status: dict[str, Any] = json.loads(app.exec_run(["python", "-m", "service.control", "status"]).output)
    return status


@pytest.mark.parametrize("stream", [{}, {"stream_format": "audio"}], ids=["file", "stream"])
def test_a_synthesis_stops_when_its_client_disconnects_from_the_proxy(stack: Stack, stream: dict[str, str]) -> None:
    wait_for("an idle service", lambda: control(stack)["jobs"] == 0)
    before = control(stack)["completed"]
    body = speech("This is a sentence of a long text. " * 110, **stream)
    with socket.create_connection((stack.host, stack.port)) as client:
        headers = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        client.sendall(f"POST {SPEECH} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body)
        wait_for("the text to be spoken", lambda: control(stack)["jobs"] == 1)
    wait_for("an idle service", lambda: (control(stack)["jobs"], control(stack)["requests"]) == (0, 0), 10)
    assert control(stack)["completed"] == before


def test_after_bad_input_the_service_is_idle_and_serves(stack: Stack) -> None:
    def at_rest() -> bool:
        status = control(stack)
        return bool(status["phase"] == "ready" and status["requests"] == status["jobs"] == 0)

    wait_for("an idle service", at_rest)
    answer = requests.post(
        stack.url + SPEECH, data=speech("Still here.", response_format="wav"), headers=JSON, timeout=60
    )
    assert fault_in_wav(answer.content, 0.4) == ""
    assert len(answer.headers["X-Release"]) == 40


def test_the_response_of_predict_contains_the_word_output(stack: Stack) -> None:
    answer = requests.post(
        stack.url + PREDICT, data=predict("examples/sample.wav", "", "test"), headers=JSON, timeout=60
    )
    assert answer.status_code == 200
    sound, message = answer.json()["data"]
    assert sound["data"].startswith("data:audio/wav;base64,")
    assert "output" in message


def test_the_page_is_served_through_the_proxy_and_sticks(stack: Stack) -> None:
    answer = requests.get(stack.url, timeout=30)
    assert answer.status_code == 200
    assert "gradio" in answer.text
    assert answer.cookies["COLOUR"] in {"blue-1", "green-1"}
    assert len(answer.headers["X-Release"]) == 40
