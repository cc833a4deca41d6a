"""The journal on the target, which its agent keeps (agent.journal)."""

from __future__ import annotations

from typing import Any

from build.agent_client import AgentClient

FILE = "/var/lib/cutover/journal.jsonl"


class Journal:
    """The records of all cutovers; records that this process has read are not transferred again."""

    def __init__(self, agent: AgentClient) -> None:
        self._agent = agent
        self._records: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Return all records, oldest first.

        Raises:
            StateCorruptError: a line is not a record, or a record is missing or altered.
            AgentUnreachableError: the agent does not answer.
        """
        answer = self._agent.ask("journal read", **{"from": len(self._records)})
        if answer["count"] < len(self._records):  # an operator has begun a new journal
            self._records = []
            answer = self._agent.ask("journal read")
        self._records += answer["records"]
        return list(self._records)

    def append(self, **record: Any) -> None:
        """Append a record; return when it is on the target's disk.

        Raises:
            LockLostError: this process does not hold the cutover lock.
            StateCorruptError: the journal cannot be written, so nothing may be changed.
            AgentUnreachableError: the agent does not answer.
        """
        if not self._records:
            self.read()
        # The number makes a repeated request harmless.
        written = self._agent.change("journal append", record=record, seq=len(self._records))["record"]
        self._records.append(written)
