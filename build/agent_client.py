"""Client of a target's agent: one session for all requests of a command, opened on first use."""

from __future__ import annotations

import json
import threading
import time
import weakref
from typing import Any

from agent.protocol import PROTOCOL, SOCKET, Refusal
from build.docker.exec_session import ExecSession, inside
from build.errors import (
    AgentUnreachableError,
    CommandFailedError,
    LockHeldError,
    LockLostError,
    OrchestratorError,
    ProxyError,
    StateCorruptError,
)
from build.system.interrupts import INTERRUPTS

# A busy machine answers late, and a new session is the slowest. The agent waits 10 s for the proxy.
ATTEMPT_S = 12.0
PATIENCE_S = 20.0  # less than the lock's expiry: an owner without an answer gives up before it loses the lock
RETRY_S = 0.2

Answer = dict[str, Any]

_ERRORS: dict[Refusal, tuple[type[OrchestratorError], str]] = {
    Refusal.FENCED: (LockLostError, "`python -m build.cutover status`; then `resume` or `abort`"),
    Refusal.HELD: (LockHeldError, "wait with `--wait SECONDS`"),
    Refusal.DAMAGED: (
        StateCorruptError,
        "restore it, or move it away to begin a new journal (docs/operations/runbook.md)",
    ),
    Refusal.UNWRITABLE: (StateCorruptError, "free disk space on the target"),
    Refusal.PROXY: (ProxyError, "see the logs of the proxy's container: `docker compose logs proxy`"),
    Refusal.INVALID: (AgentUnreachableError, "`make down`, then `make up`, replaces an agent of another version"),
}


class AgentClient:
    """The agent in a container of the target.

    Attributes:
        container: its name.
        epoch: that of the cutover lock while this process holds it, else 0; every change carries it.
    """

    def __init__(self, container: str) -> None:
        self.container = container
        self.epoch = 0
        self._number = 0
        self._mutex = threading.Lock()
        self._sessions: list[ExecSession] = []  # none or one
        weakref.finalize(self, _close, self._sessions)

    def ask(self, operation: str, **fields: Any) -> Answer:
        """Send a request; return its answer. A lost session is opened again: every request may be repeated.

        Raises:
            AgentUnreachableError: no answer within PATIENCE_S, or the agent does not know the request.
            LockLostError: the request needs the cutover lock, which this process does not hold.
            LockHeldError, StateCorruptError, ProxyError: as refused.
        """
        with INTERRUPTS.deferred():  # an unread answer would be taken for that of the next request
            answer = self._answer({"do": operation, **fields})
        if answer.get("ok"):
            return answer
        error, remedy = _ERRORS.get(answer["refusal"], _ERRORS[Refusal.INVALID])
        raise error(_explained(operation, answer), remedy=remedy)

    def change(self, operation: str, **fields: Any) -> Answer:
        """Send a request that needs the cutover lock."""
        return self.ask(operation, epoch=self.epoch, **fields)

    def _answer(self, request: dict[str, Any]) -> Answer:
        deadline = time.monotonic() + PATIENCE_S
        with self._mutex:
            self._number += 1  # a request that is stuck on its way and arrives after the next one is refused
            line = json.dumps({**request, "number": self._number}, separators=(",", ":"))
            while True:
                try:
                    if not self._sessions:
                        self._sessions.append(inside(self.container, "socat", "-", f"UNIX-CONNECT:{SOCKET}"))
                    answer = json.loads(self._sessions[0].ask(line, min(ATTEMPT_S, _left(deadline))))
                except (CommandFailedError, ValueError) as error:
                    _close(self._sessions)
                    if _left(deadline) <= RETRY_S:
                        raise self._unreachable(error) from None
                    time.sleep(RETRY_S)
                else:
                    return answer if isinstance(answer, dict) else {}

    def _unreachable(self, error: CommandFailedError | ValueError) -> AgentUnreachableError:
        reason = error.detail.strip().rpartition("\n")[2] if isinstance(error, CommandFailedError) else ""
        return AgentUnreachableError(
            f"the agent of the target ({self.container}) does not answer: {reason or error}",
            remedy=f"see `docker logs {self.container}` and the connection to the engine; then run "
            "`python -m build.cutover status`",
        )


def _left(deadline: float) -> float:
    return deadline - time.monotonic()


def _close(sessions: list[ExecSession]) -> None:
    while sessions:
        sessions.pop().close()


def _explained(operation: str, answer: Answer) -> str:
    message = str(answer["message"])
    if answer["refusal"] == Refusal.FENCED:
        return f"this cutover lost its lock and stopped before `{operation}`: {message}"
    if answer["refusal"] == Refusal.INVALID:
        theirs = answer.get("protocol", "?")
        return f"the agent refused `{operation}` (protocol {PROTOCOL} here, {theirs} there): {message}"
    return message
