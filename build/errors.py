"""Every expected failure of a command: one class tree, a stable exit code per class (docs/reference/exit-codes.md).

`message` says what failed and why it matters; `remedy` says what to do. Only build.console.main exits.
"""

from __future__ import annotations

from build.reported import InterruptedByUserError, ReportedError

__all__ = ("InterruptedByUserError", "ReportedError")


class OrchestratorError(ReportedError, Exception):
    """Base of all expected failures."""


class UsageError(OrchestratorError):
    """An unknown option or an invalid value (shells and typer also use 2)."""

    exit_code = 2


class SettingsError(OrchestratorError):
    """pyproject.toml, .env or the environment holds invalid or contradictory settings."""

    exit_code = 3


class NoRepositoryError(OrchestratorError):
    """The current directory is not in a git repository, or the repository has no commit."""

    exit_code = 4


class MissingFileError(OrchestratorError):
    """A required file is missing or incomplete."""

    exit_code = 5


class EngineUnreachableError(OrchestratorError):
    """No Docker daemon answers, its version is too old, or Compose or buildx is missing."""

    exit_code = 6


class CommandFailedError(OrchestratorError):
    """An external command (git, docker build, docker compose) failed or timed out."""

    exit_code = 7


class DiskFullError(OrchestratorError):
    """Not enough free disk space for the operation; nothing was written."""

    exit_code = 8


class PortTakenError(OrchestratorError):
    """Another program on the host uses the proxy's port or subnet."""

    exit_code = 9


class DirtyTreeError(OrchestratorError):
    """The working tree has uncommitted changes, but the operation (a push) needs a commit."""

    exit_code = 10


class StandinRefusedError(OrchestratorError):
    """A production push of an image built on stand-ins."""

    exit_code = 11


class ImageNotFoundError(OrchestratorError):
    """The image of the requested release is not on the engine and cannot be pulled."""

    exit_code = 12


class LockHeldError(OrchestratorError):
    """Another cutover is in progress on this target."""

    exit_code = 13


class PreflightError(OrchestratorError):
    """A precondition does not hold; the command changed nothing."""

    exit_code = 14


class CandidateExitedError(OrchestratorError):
    """The candidate's container exited, hung or was removed before it got traffic."""

    exit_code = 15


class CandidateStalledError(OrchestratorError):
    """The candidate (after a failed hold: the old release) was not ready in time, or made no progress."""

    exit_code = 16


class GateRefusedError(OrchestratorError):
    """The gate rejected the candidate's speech."""

    exit_code = 17


class ProxyError(OrchestratorError):
    """The proxy does not answer, rejected a command, or shows a server in an unexpected state."""

    exit_code = 18


class DrainError(OrchestratorError):
    """The live colour did not drain in time. In a hold it keeps the traffic; after a switch the new release serves."""

    exit_code = 19


class NoLastGoodError(OrchestratorError):
    """There is no earlier good release to roll back to."""

    exit_code = 20


class StateCorruptError(OrchestratorError):
    """The journal on the target cannot be read or written; it is never treated as empty."""

    exit_code = 21


class RegistryError(OrchestratorError):
    """The registry rejected a request, was unreachable, or its content differs from the pushed content.

    `reason` is set where a caller can handle the rejection: build.registry.http lists the reasons.
    """

    exit_code = 22

    def __init__(self, message: str, *, remedy: str = "", detail: str = "", reason: str = "") -> None:
        super().__init__(message, remedy=remedy, detail=detail)
        self.reason = reason


class NotHealthyError(OrchestratorError):
    """doctor or hello found something that needs attention."""

    exit_code = 23


class IdentityError(OrchestratorError):
    """The commit that CI names is not the clone's commit, or a tag cannot name an image."""

    exit_code = 24


class IncompatibleError(OrchestratorError):
    """Incompatible versions, found before anything is built."""

    exit_code = 25


class LockStaleError(OrchestratorError):
    """A lock does not match its inputs, or an image's contents do not match its lock."""

    exit_code = 26


class VerificationError(OrchestratorError):
    """The verification of an image failed."""

    exit_code = 27


class RetentionRefusedError(OrchestratorError):
    """The janitor must not remove anything: a cutover is in progress, the last one failed, or no journal tells."""

    exit_code = 28


class RecordError(OrchestratorError):
    """A build record does not fit its schema, or a required record is missing."""

    exit_code = 29


class LockLostError(OrchestratorError):
    """This cutover lost its lock on the target; another cutover may be running, so it changed nothing more."""

    exit_code = 30


class NothingToResumeError(OrchestratorError):
    """No cutover is in progress, no process holds the cutover lock, or it is too late to abort."""

    exit_code = 31


class LocksIncompleteError(OrchestratorError):
    """Some locks were written; others failed because a channel, an index or the engine was unreachable."""

    exit_code = 32


class GoldenError(OrchestratorError):
    """A golden set or its calibration does not parse or holds invalid values."""

    exit_code = 35


class HookRefusedError(OrchestratorError):
    """The pre-switch hook failed, so the candidate was removed and the live release keeps the traffic."""

    exit_code = 36


class CanaryFailedError(OrchestratorError):
    """The candidate performed worse than the live release on real traffic; the traffic returned to the live release."""

    exit_code = 37


class InconclusiveError(OrchestratorError):
    """A canary could not be judged or measured; the cutover is paused: resume or abort it."""

    exit_code = 38


class InsufficientGpuMemoryError(OrchestratorError):
    """The GPUs lack memory or devices for the release, or memory was not freed; the message shows the numbers."""

    exit_code = 40


class HoldTooLongError(OrchestratorError):
    """Requests would wait in the proxy longer than its limit."""

    exit_code = 41


class DriftRefusedError(OrchestratorError):
    """A production push, without --accept-drift, of an image whose Debian packages differ from the lock."""

    exit_code = 42


class UnverifiedError(OrchestratorError):
    """The release has no verification, so it must not go live."""

    exit_code = 43


class InputRefusedError(OrchestratorError):
    """An image's input is a submodule, a link, a Git LFS pointer or filtered: git lacks the file's own bytes."""

    exit_code = 44


class PlatformError(OrchestratorError):
    """A base of the image is built for another platform than the locks (linux/amd64)."""

    exit_code = 45


class AgentUnreachableError(OrchestratorError):
    """The agent on the target does not answer, or is of another version; a cutover in progress stays as it is."""

    exit_code = 46


class RollbackIncompleteError(OrchestratorError):
    """A rollback could not be completed; the message says which release serves, the remedy how to complete it."""

    exit_code = 49


class OlderReleaseError(OrchestratorError):
    """The commit is an ancestor of the live release's commit, and the switch has no --older; nothing was changed."""

    exit_code = 47


class LiveUnhealthyError(OrchestratorError):
    """status: the live release does not serve clients, or no release is live although one should be."""

    exit_code = 48


class InterpreterError(OrchestratorError):
    """The Python interpreter is too old or lacks locked packages: run `scripts/bootstrap`."""

    exit_code = 54
