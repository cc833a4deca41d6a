"""Exit codes of the batch client."""

from __future__ import annotations

from collections.abc import Iterator

from batch import errors
from batch.errors import BatchError


def every_error(top: type[BatchError] = BatchError) -> Iterator[type[BatchError]]:
    yield top
    for below in top.__subclasses__():
        yield from every_error(below)


def test_exit_codes_are_unique_and_documented() -> None:
    codes = {error.exit_code: error.__name__ for error in every_error()}
    assert len(codes) == len(list(every_error()))
    assert set(vars(errors)) >= set(codes.values())
    with open("docs/guides/batch.md", encoding="utf-8") as page:  # noqa: PTH123
        table = page.read()
    assert all(f"| {code} | " in table for code in codes if code != BatchError.exit_code)
