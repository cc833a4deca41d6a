"""Log lines as text or JSON. A line that belongs to a request carries its request ID and trace ID."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from service.telemetry.record import RequestRecord, current_record

access = logging.getLogger("service.access")

_SHORT = {
    "error.type": "error",
    "tts.total_seconds": "total_s",
    "tts.client": "client",
    "tts.class": "class",
    "tts.voice": "voice",
    "tts.format": "format",
    "tts.characters": "characters",
    "tts.audio_seconds": "audio_s",
    "tts.queue_seconds": "queue_s",
    "tts.inference_seconds": "inference_s",
    "tts.encode_seconds": "encode_s",
    "tts.first_audio_seconds": "first_audio_s",
    "tts.client_left": "client_left",
    "tts.outcome": "outcome",
}
"""Fields of a line of text, by their standard names; the others are in its message."""


def configure(form: str) -> None:
    """Log to stderr in `form`, including warnings and errors that no code catches."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    if sys.excepthook is sys.__excepthook__:  # otherwise service.interpreter explains a failed import
        sys.excepthook = _log_uncaught
    threading.excepthook = lambda caught: _log_uncaught(caught.exc_type, caught.exc_value, caught.exc_traceback)


def log_access(record: RequestRecord) -> None:
    """Log the line of a request that has ended."""
    # The page loads fifty files; do not log each at INFO.
    file = record.route == "page" and record.status < 400 and not record.characters
    level = logging.DEBUG if file else logging.INFO
    message = f"{record.method or 'TAB'} {printable(record.path)} {record.status}"
    access.log(level, "%s", message, extra={"fields": record.attributes()})


def printable(text: str) -> str:
    """Return the text escaped, so that it cannot forge a log line."""
    return text.encode("unicode_escape").decode()


class TextFormatter(logging.Formatter):
    """Lines for people: time (UTC), level, logger, message, and fields as name=value."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line without its traceback."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        shown = {_SHORT[name]: value for name, value in fields.items() if name in _SHORT} | current_record().identity()
        ends = "".join(f" {name}={_value(value)}" for name, value in shown.items())
        return f"{_time(record)} {record.levelname} {record.name}: {record.message}{ends}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line; the names of requests and exceptions are OpenTelemetry's."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. It is ASCII, so that no character of a message can end it."""
        line: dict[str, Any] = {
            "timestamp": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= current_record().identity() | getattr(record, "fields", {})
        if record.exc_info and (error := record.exc_info[1]):
            line |= {
                "exception.type": type(error).__qualname__,
                "exception.message": str(error),
                "exception.stacktrace": "".join(traceback.format_exception(error)),
            }
        return json.dumps(line, default=str)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.removesuffix("+00:00") + "Z"


def _value(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if text.isascii() and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    found = error or kind()
    logging.critical("uncaught error", exc_info=(kind, found, trace))
