"""Classification of registry errors as transient or permanent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from build.registry.transient_errors import is_transient_message, is_transient_status, retry_after_s

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_transient_statuses_are_retried(status: int) -> None:
    assert is_transient_status(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 416, 501, 505])
def test_permanent_statuses_are_not_retried(status: int) -> None:
    assert not is_transient_status(status)


@pytest.mark.parametrize(
    "words",
    [
        "write tcp 127.0.0.1:5000: connection reset by peer",
        "received unexpected HTTP status: 503 Service Unavailable",
        "toomanyrequests: too many requests",
        "net/http: TLS handshake timeout",
        'Get "http://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused',
    ],
)
def test_transient_messages_are_retried(words: str) -> None:
    assert is_transient_message(words)


@pytest.mark.parametrize(
    "words",
    [
        "denied: requested access to the resource is denied",
        "unauthorized: authentication required",
        "no basic auth credentials",
        "name unknown: repository name not known to registry",
        "manifest invalid: manifest invalid",
        "denied: too many requests of this kind",
        "an unknown message",
    ],
)
def test_permanent_and_unknown_messages_are_not_retried(words: str) -> None:
    assert not is_transient_message(words)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Fri, 02 Jan 2026 12:00:30 GMT", 30.0),
        ("Fri, 02 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after_is_parsed_as_seconds_or_date(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, NOON) == seconds
