"""OpenAI's clients for Python and Node, unchanged, with the first example of their documentation."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.decoding import seconds_of
from service.engine import Engine
from service.keys import new
from service.settings import Settings
from tests.unit.service.support import served

KEY, LINE = new("anna", {})
NODE = Path(__file__).with_name("openai_node")
PYTHON_EXAMPLE = """
from pathlib import Path
from openai import OpenAI

client = OpenAI()
speech_file_path = Path(__file__).parent / "speech.mp3"

with client.audio.speech.with_streaming_response.create(
    model="gpt-4o-mini-tts",
    voice="coral",
    input="Today is a wonderful day to build something people love!",
    instructions="Speak in a cheerful and positive tone.",
) as response:
    response.stream_to_file(speech_file_path)
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, piper: Engine) -> Iterator[str]:
    """The base URL of a service with the embedded voice and an API key."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "keys").write_text(LINE)
    settings = dataclasses.replace(Settings.from_env({}), control=folder / "c.sock", api_keys=folder / "keys")
    with served(settings, piper) as found:
        yield f"{found.url}/v1"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Node client, installed from its lock, and the scripts."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.fail("node and npm are missing; this test runs OpenAI's client for Node; run scripts/bootstrap --node")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(NODE, folder, dirs_exist_ok=True)
    run(folder, {}, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return folder


def run(folder: Path, environ: dict[str, str], *argv: str) -> str:
    done = subprocess.run(
        argv, cwd=folder, env=os.environ | environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def openai_settings(address: str) -> dict[str, str]:
    return {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": KEY}


def check_mp3(file: Path) -> None:
    content = file.read_bytes()
    assert content[:2] == b"\xff\xf3", "a frame of MP3 at 16 to 24 kHz"
    assert 2 < seconds_of(content) < 6


def test_the_first_example_of_the_python_client(address: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(PYTHON_EXAMPLE)
    run(tmp_path, openai_settings(address), sys.executable, "example.py")
    check_mp3(tmp_path / "speech.mp3")


def test_the_first_example_of_the_node_client(address: str, node: Path) -> None:
    run(node, openai_settings(address), "node", "example.js")
    check_mp3(node / "speech.mp3")


def test_lists_streams_and_errors_of_the_node_client(address: str, node: Path) -> None:
    found = json.loads(run(node, openai_settings(address), "node", "more.js"))
    assert found["models"] == ["en_US-joe-medium", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    assert 1.0 < found["bytes"] / 2 / 24_000 < 4
    assert found["refusal"] == {"name": "BadRequestError", "status": 400, "code": "empty_text", "param": "input"}
