"""Every way a command can end other than well.

One tree, one exit code per class, one place that exits (build.console.main). A message says what happened and why it
matters; `remedy` says what to do about it. Codes are stable:
scripts may rely on them. docs/reference/exit-codes.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from build.conda.redaction import redact


class LineError(Exception):
    """Base of all expected failures; prints as message, optional detail (logs, a table), remedy.

    Other programs' words may hold URLs with credentials: the texts are redacted here.
    `facts` is what was measured on the way there, for the journal.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, remedy: str = "", detail: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        self.message = redact(message)
        self.remedy = redact(remedy)
        self.detail = redact(detail)
        super().__init__(self.message)
        self.facts = dict(facts or {})


class UsageError(LineError):
    """An unknown option or a value that makes no sense (2 is what shells and typer use for it)."""

    exit_code = 2


class SettingsError(LineError):
    """pyproject.toml, .env or the environment hold settings that contradict each other or do not parse."""

    exit_code = 3


class NoRepositoryError(LineError):
    """Not inside a git repository, or one without a commit."""

    exit_code = 4


class MissingFileError(LineError):
    """A file that the command cannot work without is not there, or not whole."""

    exit_code = 5


class EngineUnreachableError(LineError):
    """No Docker daemon answers, or it is too old, or Compose or buildx is missing."""

    exit_code = 6


class CommandFailedError(LineError):
    """An outside command (git, docker build, docker compose) ended with an error or ran out of time."""

    exit_code = 7


class DiskFullError(LineError):
    """Not enough free disk for what is about to be written; nothing was written."""

    exit_code = 8


class PortTakenError(LineError):
    """The port or the subnet of the proxy is already used by something else on the host."""

    exit_code = 9


class DirtyTreeError(LineError):
    """Uncommitted changes where only a commit may go on (a push)."""

    exit_code = 10


class StandinRefusedError(LineError):
    """An image built on stand-ins was about to be pushed for production."""

    exit_code = 11


class ImageNotFoundError(LineError):
    """The release asked for has no image here and cannot be pulled."""

    exit_code = 12


class LockHeldError(LineError):
    """Another cutover is in progress on this target."""

    exit_code = 13


class PreflightError(LineError):
    """Something known before the cutover began rules it out; nothing was touched."""

    exit_code = 14


class CandidateExitedError(LineError):
    """The candidate's container stopped by itself before it was ready."""

    exit_code = 15


class CandidateStalledError(LineError):
    """The candidate stopped making progress, or took longer than the start budget."""

    exit_code = 16


class GateRefusedError(LineError):
    """The candidate spoke, and what it said did not pass."""

    exit_code = 17


class ProxyError(LineError):
    """The proxy refused a command, or did not come to see a server as it is."""

    exit_code = 18


class DrainError(LineError):
    """The old colour could not be taken out of service as planned; the new one serves."""

    exit_code = 19


class NoLastGoodError(LineError):
    """There is no earlier good release to go back to."""

    exit_code = 20


class StateCorruptError(LineError):
    """The journal on the target cannot be read; it is never taken for empty."""

    exit_code = 21


class RegistryError(LineError):
    """The registry refused, was not reachable, or holds something other than what was pushed.

    `reason` is set where a caller may act on the refusal: build.registry.http lists the reasons.
    """

    exit_code = 22

    def __init__(self, message: str, *, remedy: str = "", detail: str = "", reason: str = "") -> None:
        super().__init__(message, remedy=remedy, detail=detail)
        self.reason = reason


class NotHealthyError(LineError):
    """doctor or status found something that needs attention."""

    exit_code = 23


class IdentityError(LineError):
    """What CI says it builds is not what the clone holds, or a tag cannot name an image."""

    exit_code = 24


class IncompatibleError(LineError):
    """Versions that cannot work together, known before anything is built."""

    exit_code = 25


class LockStaleError(LineError):
    """A lock does not belong to its inputs any more, or an image holds something else than its lock says."""

    exit_code = 26


class VerificationError(LineError):
    """An image was run and looked into, and something in it is not as it must be."""

    exit_code = 27


class RetentionRefusedError(LineError):
    """Nothing may be removed now: a cutover is under way, or the last one failed."""

    exit_code = 28


class RecordError(LineError):
    """A build record does not fit its schema, or there is none where one was asked for."""

    exit_code = 29


class LeaseLostError(LineError):
    """This cutover's lease on the target has ended: another one may be under way, so it changed nothing more."""

    exit_code = 30


class NothingToResumeError(LineError):
    """There is no cutover under way to resume or abort, or it has gone too far to be undone."""

    exit_code = 31


class LocksIncompleteError(LineError):
    """Some locks were written, and others could not be: a channel, an index or the engine was out of reach."""

    exit_code = 32


class GoldenError(LineError):
    """A golden set or its calibration does not parse, or holds what makes no sense."""

    exit_code = 35


class HookRefusedError(LineError):
    """The pre-switch hook failed, so the candidate was undone; live traffic was not touched."""

    exit_code = 36


class CanaryFailedError(LineError):
    """The candidate did worse on real traffic than the live release; traffic was given back."""

    exit_code = 37


class InconclusiveError(LineError):
    """A canary could be neither passed nor failed, or not be measured; it stays as it is, to be resumed or aborted."""

    exit_code = 38


class NoRoomError(LineError):
    """The GPU has not enough memory for the release, or did not get it back; the message has the arithmetic."""

    exit_code = 40


class HoldTooLongError(LineError):
    """Requests would have to wait in the proxy for longer than it keeps them."""

    exit_code = 41


class DriftRefusedError(LineError):
    """A production push of an image whose Debian packages are not as locked, without --accept-drift."""

    exit_code = 42


class UnverifiedError(LineError):
    """A release without a verification was about to go live."""

    exit_code = 43


class InputRefusedError(LineError):
    """An image's input is a submodule, a link, a Git LFS pointer or behind a filter: git lacks the file's own bytes."""

    exit_code = 44


class PlatformError(LineError):
    """An image that a build stands on is of another platform than the locks (linux/amd64)."""

    exit_code = 45


class InterpreterError(LineError):
    """The Python that runs the command is too old or lacks locked packages: run `scripts/bootstrap`."""

    exit_code = 54


class InterruptedByUserError(LineError):
    """Ctrl-C or SIGTERM; what had been begun was undone or is named in the message."""

    exit_code = 130
