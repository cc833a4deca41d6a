"""The client of the agent: an interrupt does not leave an answer unread."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest

from build import agent_client
from build.agent_client import AgentClient
from build.errors import CommandFailedError, InterruptedByUserError
from build.system.interrupts import INTERRUPTS, Interrupts


class Session:
    """Answers each request with its operation; `on_request` runs before."""

    def __init__(self, on_request: Callable[[], None]) -> None:
        self._on_request = on_request

    def ask(self, line: str, _timeout_s: float) -> str:
        self._on_request()
        return json.dumps({"ok": True, "did": json.loads(line)["do"]})

    def close(self) -> None:
        pass


def test_an_interrupt_waits_for_the_answer_so_that_the_next_request_gets_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in vars(Interrupts()).items():
        monkeypatch.setattr(INTERRUPTS, name, value)
    answered: list[bool] = []

    def interrupt() -> None:
        if not answered:
            INTERRUPTS.receive(signal.SIGINT)
        answered.append(True)

    monkeypatch.setattr(agent_client, "inside", lambda *_: Session(interrupt))
    agent = AgentClient("agent")
    with pytest.raises(InterruptedByUserError):
        agent.ask("proxy show")
    assert answered == [True]
    assert agent.ask("journal read")["did"] == "journal read"


def test_a_repeated_request_keeps_its_number_and_the_next_one_has_a_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    class Lossy(Session):
        def ask(self, line: str, _timeout_s: float) -> str:
            sent.append(json.loads(line)["number"])
            if len(sent) == 1:
                raise CommandFailedError("the answer is lost")
            return super().ask(line, _timeout_s)

    monkeypatch.setattr(agent_client, "inside", lambda *_: Lossy(lambda: None))
    agent = AgentClient("agent")
    agent.change("proxy change")
    agent.change("proxy change")
    assert sent[0] == sent[1] < sent[2]
