"""The log of the service as it is written to stderr."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from service.telemetry.logs import JsonFormatter, TextFormatter


class Log:
    """Everything that is logged, as text and as JSON."""

    def __init__(self) -> None:
        self.text, self._json = io.StringIO(), io.StringIO()
        self.handlers = [logging.StreamHandler(self.text), logging.StreamHandler(self._json)]
        for handler, form in zip(self.handlers, (TextFormatter(), JsonFormatter()), strict=True):
            handler.setFormatter(form)
            handler.addFilter(lambda entry: not entry.name.startswith(("httpx", "uvicorn")))  # this test's own

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._json.getvalue().splitlines()]

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["logger"] == logger]

    def access(self) -> list[dict[str, Any]]:
        return self.of("service.access")


@pytest.fixture
def log() -> Iterator[Log]:
    log, root = Log(), logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    for handler in log.handlers:
        root.addHandler(handler)
    yield log
    for handler in log.handlers:
        root.removeHandler(handler)
    root.setLevel(level)
