"""Flags for the next start of a slot's container: start without a model, use this GPU (agent.start_flags)."""

from __future__ import annotations

from build.agent_client import AgentClient


class StartFlags:
    """The flags on a target. The agent writes them, the colours read them when their process starts."""

    def __init__(self, agent: AgentClient) -> None:
        self._agent = agent

    def park(self, *names: str) -> None:
        """Make each process wait, from its next start on, for a command before it loads its model."""
        self._set({name: {"parked": True} for name in names})

    def unpark(self, *names: str) -> None:
        """Make each process load its model by itself from its next start on."""
        self._set({name: {"parked": False} for name in names})

    def write(self, name: str, *, parked: bool, device: str) -> None:
        """Replace the flags of a slot; `device` is a GPU's UUID, "" for any."""
        self._set({name: {"parked": parked, "device": device}})

    def _set(self, slots: dict[str, dict[str, object]]) -> None:
        self._agent.change("flags set", slots=slots)
