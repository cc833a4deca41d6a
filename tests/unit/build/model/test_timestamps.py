"""Unit tests of build.model.timestamps: RFC 3339 times of Docker and of registries."""

from __future__ import annotations

import pytest

from build.model.timestamps import unix


def test_a_time_keeps_its_microseconds_and_its_zone() -> None:
    assert unix("2026-01-02T03:04:05.123456789Z") == pytest.approx(1767323045.123456)
    assert unix("2026-01-02T03:04:05.5+01:00") == pytest.approx(1767319445.5)
    assert unix("2026-01-02T03:04:05Z") == 1767323045


def test_a_time_that_is_not_set_is_0() -> None:
    assert unix("0001-01-01T00:00:00Z") == unix("") == 0


def test_a_text_that_is_no_time_raises() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        unix("yesterday")
