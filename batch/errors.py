"""Every way a batch command can end other than well: one tree, one exit code per class (docs/guides/batch.md)."""

from __future__ import annotations

from typing import ClassVar


class BatchError(Exception):
    """What happened and why; `remedy` says what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class SettingsError(BatchError):
    """The settings file or a value of it makes no sense."""

    exit_code = 3


class TasksError(BatchError):
    """The task file has bad lines, or changed while it was worked on."""

    exit_code = 4


class FailedItemsError(BatchError):
    """All is done that can be; failed.jsonl has the rest."""

    exit_code = 5


class OutputError(BatchError):
    """The output cannot be written or read, or another run is at it."""

    exit_code = 6


class EndpointError(BatchError):
    """The service cannot be reached, or refuses every request alike."""

    exit_code = 7


class VerifyError(BatchError):
    """An output is not what its tasks ask for."""

    exit_code = 8


class BookError(BatchError):
    """The book or its characters file cannot be used."""

    exit_code = 9


class StoppedError(BatchError):
    """Ctrl-C or SIGTERM; the same command goes on where it stopped."""

    exit_code = 130
