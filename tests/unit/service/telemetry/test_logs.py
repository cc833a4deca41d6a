"""Lines of the log as text and as JSON."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.telemetry.logs import JsonFormatter
from service.telemetry.record import RequestRecord, Step
from service.telemetry.trace_context import from_header
from tests.unit.service.telemetry.conftest import Log
from tests.unit.service.telemetry.test_trace_context import PARENT

HARD = 'one\ntwo\r\nthree\u2028four "quoted" \\ \x1b[31m 喂 {}'


@pytest.mark.parametrize("message", [HARD, "", "plain", "%s %d"], ids=["hard", "empty", "plain", "percent"])
def test_each_entry_is_one_line_of_json(log: Log, message: str) -> None:
    before = datetime.now(UTC)
    logging.getLogger("some.part").warning(message)
    (entry,) = log.entries
    assert (entry["level"], entry["logger"], entry["message"]) == ("WARNING", "some.part", message)
    assert entry["timestamp"][-5] == "."
    written = datetime.fromisoformat(entry["timestamp"])
    assert before.replace(microsecond=0) <= written <= datetime.now(UTC)


def test_a_lone_surrogate_is_written_as_ascii() -> None:
    line = JsonFormatter().format(logging.makeLogRecord({"msg": "a \ud800 b"}))
    assert line.isascii()
    assert json.loads(line)["message"] == "a \ud800 b"


def test_the_guide_lists_every_field() -> None:
    record = RequestRecord(
        "GET", "/", "id", from_header(PARENT), "/", 499, "code", "key anna", "short", "joe", "mp3", 1
    )
    record.audio_s = record.first_audio_s = 1.0
    for step in Step:
        record.add(step, 0.0)
    record.end("short", "completed")
    guide = Path("docs/guides/logs-and-traces.md").read_text()
    fields = record.attributes() | record.identity()
    assert len(fields) == 21
    assert [name for name in fields if f"`{name}`" not in guide] == []


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TTS_", "OTEL_"))}
    argv = [sys.executable, "-c", code]
    return subprocess.run(argv, env=inherited | environment, capture_output=True, text=True, check=False)


def test_errors_of_settings_are_in_the_chosen_format() -> None:
    done = python("from service.__main__ import main; exit(main())", TTS_LOG_FORMAT="json", TTS_QUEUE="0")
    assert done.returncode == 2
    (entry,) = map(json.loads, done.stderr.splitlines())
    assert entry["message"].startswith("invalid setting TTS_QUEUE=0")
    done = python("from service.__main__ import main; exit(main())", TTS_LOG_FORMAT="jsn")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert " ERROR root: invalid setting TTS_LOG_FORMAT=jsn: must be text or json" in done.stderr


def test_warnings_and_uncaught_errors_are_lines_too() -> None:
    code = """
import threading, warnings
from service.telemetry import logs
logs.configure("json")
warnings.warn("old")
def fail(): raise ValueError("in a thread")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
raise KeyError("at the end")
"""
    done = python(code)
    assert done.returncode == 1
    warning, thread, end = map(json.loads, done.stderr.splitlines())
    assert (warning["logger"], "UserWarning: old" in warning["message"]) == ("py.warnings", True)
    assert (thread["exception.type"], thread["exception.message"]) == ("ValueError", "in a thread")
    assert (end["exception.type"], end["level"]) == ("KeyError", "CRITICAL")


def test_a_service_without_an_endpoint_imports_no_exporter() -> None:
    code = """
import asyncio, sys
from service.app import Service
from service.settings import Settings
from tests.unit.service.support import FakeEngine
async def main():
    service = Service(Settings.from_env({}), FakeEngine())
    await service.close()
asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""
    done = python(code)
    assert done.stdout == "[]\n", done.stderr
