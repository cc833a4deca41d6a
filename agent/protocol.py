"""What an orchestrator and the agent say to each other: JSON lines, one answer for each request, in order.

A request is `{"do": OPERATION, "epoch": N, "number": M, ...}`; operations that only read need no epoch. The number
grows with each request of a sender and stays when one is repeated, so that one that was stuck on its way is refused.
The answer is `{"ok": true, ...}`, or `{"ok": false, "refusal": REFUSAL, "message": TEXT, ...}`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

PROTOCOL = 1  # raised by a change that an older side cannot follow
SOCKET = "/run/agent/socket"
AGENT = "agent"  # what the agent does with the lock


class Refusal(StrEnum):
    """Why the agent refused a request; nothing was changed."""

    FENCED = "fenced"  # the epoch is not that of the current lock: another cutover may be running
    HELD = "held"  # the lock has an owner
    DAMAGED = "damaged"  # the journal is not as it was written
    UNWRITABLE = "unwritable"  # the journal or the lock cannot be stored
    PROXY = "proxy"  # the proxy does not answer, or refused the command
    INVALID = "invalid"  # the request makes no sense


class RefusedError(Exception):
    """A refused request. `facts` go into the answer."""

    def __init__(self, refusal: Refusal, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.refusal, self.message, self.facts = refusal, message, facts

    def answer(self) -> dict[str, Any]:
        """Return the answer to the request."""
        return {"ok": False, "refusal": self.refusal, "message": self.message, **self.facts}


@dataclass(frozen=True)
class Owner:
    """The process that holds the lock. `started` distinguishes it from a later process with the same pid.

    Attributes:
        host: host name, boot ID and pid namespace.
        started: start time of the process in clock ticks since boot.
        since: time (UTC, ISO 8601) of the acquisition by the agent's clock; the agent fills it in.
        what: the command, such as `switch`.
        id: distinguishes the acquisitions of one process.
    """

    user: str
    host: str
    pid: str
    started: str
    what: str
    since: str = ""
    id: str = ""

    @property
    def is_agent(self) -> bool:
        """Whether this is the agent of the target, which acts in the place of a silent orchestrator."""
        return self.what == AGENT

    def __str__(self) -> str:
        if self.is_agent:
            return f"the target's agent, in the place of a silent orchestrator, since {self.since}"
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}: {self.what}"

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Owner:
        """Read the known fields and ignore newer ones; raise RefusedError if one is missing."""
        try:
            return cls(**{name: str(fields[name]) for name in cls.__dataclass_fields__ if name in fields})
        except TypeError as error:
            raise RefusedError(Refusal.INVALID, f"the owner is incomplete: {error}") from None
