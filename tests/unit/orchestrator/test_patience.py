"""How often and how long another attempt is made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from build.drivers.patience import PassingError, Patience
from build.errors import RegistryError

FAILURE = RegistryError("503", remedy="wait")


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


def test_what_passes_is_waited_out_with_growing_bounded_waits() -> None:
    waits: list[float] = []
    notes: list[str] = []
    patience = Patience(sleep=waits.append, note=notes.append)
    assert patience.run(failing(*[PassingError(FAILURE)] * 5)) == "done"
    assert len(waits) == len(notes) == 5
    assert all(0 <= wait <= 0.5 * 2**index for index, wait in enumerate(waits))
    assert notes[0].startswith("503; another attempt in ")


def test_what_lasts_is_raised_at_once() -> None:
    waits: list[float] = []
    with pytest.raises(RegistryError) as raised:
        Patience(sleep=waits.append).run(failing(FAILURE))
    assert raised.value is FAILURE
    assert not waits


def test_the_last_failure_is_said_with_the_number_of_attempts() -> None:
    with pytest.raises(RegistryError, match=r"^503 \(given up after 6 attempts\)$") as raised:
        Patience(sleep=lambda _: None).run(failing(*[PassingError(FAILURE)] * 6))
    assert raised.value.remedy == "wait"


def test_the_wait_that_is_asked_for_is_kept() -> None:
    waits: list[float] = []
    assert Patience(sleep=waits.append).run(failing(PassingError(FAILURE, 42))) == "done"
    assert waits == [42]


def test_a_wait_beyond_all_patience_is_not_begun() -> None:
    waits: list[float] = []
    with pytest.raises(RegistryError, match="given up after 1 attempts"):
        Patience(sleep=waits.append).run(failing(PassingError(FAILURE, 3600)))
    assert not waits
