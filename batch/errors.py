"""All errors of the batch commands, with one exit code per class (docs/guides/batch.md)."""

from __future__ import annotations

from typing import ClassVar


class BatchError(Exception):
    """What failed and why; `remedy` states what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class SettingsError(BatchError):
    """The settings file or one of its values is invalid."""

    exit_code = 3


class TasksError(BatchError):
    """The task file has invalid lines, or it changed during the run."""

    exit_code = 4


class FailedItemsError(BatchError):
    """The run is complete; failed.jsonl has the items that failed."""

    exit_code = 5


class OutputError(BatchError):
    """The output cannot be written or read, or another run uses it."""

    exit_code = 6


class EndpointError(BatchError):
    """The service is unreachable or rejects every request."""

    exit_code = 7


class VerifyError(BatchError):
    """An output does not match its tasks."""

    exit_code = 8


class BookError(BatchError):
    """The book or its characters file is unusable."""

    exit_code = 9


class StoppedError(BatchError):
    """Ctrl-C or SIGTERM; the same command continues where it stopped."""

    exit_code = 130
