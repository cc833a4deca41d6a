"""The agent's process, over its socket: what an orchestrator sees of lock, journal, proxy and start flags."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import LINE_BYTES
from agent.protocol import PROTOCOL
from agent.target import ALERTMANAGER
from harness.stack import REPOSITORY, wait_for
from tests.unit.agent.fake_proxy import STATES, Runtime, runtime

OWNER = {"user": "me", "host": "here", "pid": "1", "started": "2", "what": "switch", "a_newer_field": "x"}


@dataclass
class Session:
    """One connection to the agent."""

    connection: socket.socket
    stream: Any = field(init=False)

    def __post_init__(self) -> None:
        self.stream = self.connection.makefile("rwb", buffering=0)

    def send(self, line: bytes) -> dict[str, Any]:
        self.connection.sendall(line + b"\n")
        answer: dict[str, Any] = json.loads(self.stream.readline())
        return answer

    def ask(self, operation: str, **fields: Any) -> dict[str, Any]:
        return self.send(json.dumps({"do": operation, **fields}).encode())

    def acquire(self) -> int:
        return int(self.ask("lock acquire", owner=OWNER)["epoch"])


@dataclass
class Agent:
    folder: Path
    proxy: Runtime
    process: subprocess.Popen[bytes] | None = None
    connections: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def running(self) -> Iterator[None]:
        paths = {"STATE": "state", "PROXY_STATE": "haproxy", "FLAGS": "flags"}
        for name in paths.values():
            (self.folder / name).mkdir(exist_ok=True)
        environment = {f"AGENT_{key}": str(self.folder / name) for key, name in paths.items()}
        environment |= {"AGENT_SOCKET": str(self.socket), "AGENT_PROXY_SOCKET": str(self.proxy.path)}
        with subprocess.Popen(
            [sys.executable, "-m", "agent"], cwd=REPOSITORY, env={**os.environ, **environment}
        ) as self.process:
            try:
                wait_for("the agent", self._listens, 20)
                with self.connections:
                    yield
            finally:
                self.process.kill()
                self.process.wait()
                self.socket.unlink(missing_ok=True)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    @property
    def socket(self) -> Path:
        return self.folder / "agent.sock"

    def session(self) -> Session:
        connection = self.connections.enter_context(socket.socket(socket.AF_UNIX))
        connection.settimeout(20)
        connection.connect(str(self.socket))
        session = Session(connection)
        self.connections.enter_context(session.stream)
        return session


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with runtime(tmp_path) as proxy:
        started = Agent(tmp_path, proxy)
        with started.running():
            yield started


def test_it_states_its_protocol_and_refuses_what_it_does_not_know(agent: Agent) -> None:
    session = agent.session()
    assert session.ask("hello")["protocol"] == PROTOCOL
    for line in (b"no JSON", b"[1]", b'{"do":"dance"}', b'{"do":"proxy change"}', b'{"do":"lock acquire"}'):
        assert session.send(line)["refusal"] == "invalid"
    for command in ("set server app/blue-1 state maint", "show stat;hold all", "show stat\nhold all"):
        assert session.ask("proxy show", commands=[command])["refusal"] == "invalid"
    assert session.ask("flags set", epoch=session.acquire(), slots=["blue"])["refusal"] == "invalid"
    assert agent.proxy.commands == []
    assert session.ask("hello")["ok"]


def test_a_line_that_is_too_long_gets_one_answer(agent: Agent) -> None:
    session = agent.session()
    for length in (LINE_BYTES - 1, LINE_BYTES, 2 * LINE_BYTES, 2 * LINE_BYTES + 5):
        assert session.send(b"x" * length)["refusal"] == "invalid"
        assert session.ask("hello")["ok"]


def test_a_state_that_cannot_be_stored_is_a_refusal(agent: Agent) -> None:
    session = agent.session()
    epoch = session.acquire()
    (agent.folder / "haproxy/servers.new").mkdir()  # as a full disk: the file cannot be written
    assert session.ask("proxy change", epoch=epoch, commands=["hold all"])["refusal"] == "unwritable"
    assert session.ask("confirm", epoch=epoch)["ok"]


def test_a_change_of_the_proxy_needs_the_lock_and_is_saved_before_it_is_acknowledged(agent: Agent) -> None:
    session = agent.session()
    assert session.ask("proxy change", epoch=1, commands=["hold all"])["refusal"] == "fenced"
    epoch = session.acquire()
    assert session.ask("proxy change", epoch=epoch, commands=["set server app/blue-1 state maint", "hold all"])["ok"]
    assert agent.proxy.commands == ["set server app/blue-1 state maint"]
    assert (agent.folder / "haproxy/hold").read_text() == "all\n"
    assert (agent.folder / "haproxy/servers").read_text() == STATES
    assert session.ask("proxy show", commands=["hold"])["output"] == "all 0\n"


def test_a_request_that_was_stuck_on_its_way_undoes_nothing(agent: Agent) -> None:
    session = agent.session()
    epoch = session.acquire()

    def change(number: int, mode: str) -> Any:
        return session.ask("proxy change", epoch=epoch, number=number, commands=[f"hold {mode}"]).get("refusal")

    assert [change(3, "all"), change(3, "all"), change(5, "none"), change(3, "all")] == [None, None, None, "fenced"]
    assert agent.proxy.mode == "none"
    assert session.ask("lock release", epoch=epoch)["ok"]
    epoch = session.acquire()
    assert change(1, "long") is None, "the next owner counts anew"


def test_a_silent_proxy_is_a_refusal_and_its_saved_state_stays(agent: Agent) -> None:
    session = agent.session()
    epoch = session.acquire()
    session.ask("proxy change", epoch=epoch, commands=["hold long"])
    agent.proxy.silent = True
    assert session.ask("proxy change", epoch=epoch, commands=["hold none"])["refusal"] == "proxy"
    assert (agent.folder / "haproxy/hold").read_text() == "long\n"


def test_a_kill_forgets_nothing_that_was_acknowledged(agent: Agent) -> None:
    session = agent.session()
    epoch = session.acquire()
    for number in range(20):
        assert session.ask("journal append", epoch=epoch, record={"number": number})["record"]["seq"] == number
    assert agent.process
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    agent.socket.unlink()
    with agent.running():
        again = agent.session()
        assert [record["number"] for record in again.ask("journal read")["records"]] == list(range(20))
        assert again.ask("lock acquire", owner=OWNER)["owner"]["user"] == "me"
        assert again.ask("journal append", epoch=epoch, record={"number": 20})["ok"]
        assert [record["number"] for record in again.ask("journal read", **{"from": 19})["records"]] == [19, 20]


def test_many_writers_at_once_are_serialized(agent: Agent) -> None:
    epoch = agent.session().acquire()

    def write(name: int) -> None:
        session = agent.session()
        for number in range(25):
            assert session.ask("journal append", epoch=epoch, record={"by": name, "number": number})["ok"]

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = agent.session().ask("journal read")["records"]
    assert [record["seq"] for record in records] == list(range(100))
    assert [record["number"] for record in records if record["by"] == 2] == list(range(25))


def test_a_lock_is_refused_with_its_owner_taken_over_and_broken_on_record(agent: Agent) -> None:
    session = agent.session()
    first = session.acquire()
    refused = session.ask("lock acquire", owner=OWNER)
    assert (refused["refusal"], refused["owner"]["what"], refused["held_epoch"]) == ("held", "switch", first)
    second = session.ask("lock acquire", owner=OWNER, takeover=first)["epoch"]
    assert session.ask("confirm", epoch=first)["refusal"] == "fenced"
    assert session.ask("confirm", epoch=second)["ok"]
    assert session.ask("lock break", by="operator", reason="the laptop drowned")["owner"]["user"] == "me"
    assert session.ask("confirm", epoch=second)["refusal"] == "fenced"
    (record,) = session.ask("journal read")["records"]
    assert (record["event"], record["reason"]) == ("lock-broken", "the laptop drowned")
    assert session.ask("lock show")["owner"] is None


def test_flags_are_files_of_a_slot_and_nothing_else(agent: Agent) -> None:
    session = agent.session()
    epoch = session.acquire()
    slots = {"blue": {"parked": True, "device": "GPU-1"}, "blue-2": {"parked": False, "device": ""}}
    assert session.ask("flags set", epoch=epoch, slots=slots)["ok"]
    assert (agent.folder / "flags/blue/device").read_text() == "GPU-1\n"
    assert session.ask("flags set", epoch=epoch, slots={"blue": {"parked": False}})["ok"]
    assert sorted(path.name for path in (agent.folder / "flags/blue").iterdir()) == ["device"]
    for slot, device in (("../state", ""), ("blue", "$(reboot)"), ("blue", "a\nb")):
        answer = session.ask("flags set", epoch=epoch, slots={slot: {"parked": True, "device": device}})
        assert answer["refusal"] == "invalid"


def test_an_agent_that_died_while_it_acted_goes_on_after_its_restart(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    owner = {**OWNER, "what": "agent", "since": "t"}
    del owner["a_newer_field"]
    (tmp_path / "state/lock.json").write_text(json.dumps({"epoch": 3, "owner": owner}))
    with runtime(tmp_path) as proxy:
        proxy.mode = "all"
        agent = Agent(tmp_path, proxy)
        with agent.running():
            wait_for("the gate to open", lambda: proxy.mode == "none", 20)
            session = agent.session()
            wait_for("the release of the lock", lambda: session.ask("lock show")["owner"] is None, 20)
            (record,) = session.ask("journal read")["records"]
            assert (record["event"], record["did"]) == ("agent", "open")


def test_the_address_of_alertmanager_is_stored_for_this_user_alone(agent: Agent) -> None:
    assert agent.session().ask("lock acquire", owner=OWNER, alertmanager="http://user:secret@alerts")["ok"]
    file = agent.folder / "state" / ALERTMANAGER
    stored = "http://user:secret@alerts\n"
    assert (file.read_text(), file.stat().st_mode & 0o777) == (stored, 0o600)
    agent.session().ask("lock release", epoch=1)
    assert agent.session().ask("lock acquire", owner=OWNER, alertmanager="")["ok"]
    assert file.read_text() == stored, "an operator without the setting keeps the others' address"


def test_the_gate_is_opened_without_the_lock_only_while_no_owner_is_alive(agent: Agent) -> None:
    session, proxy = agent.session(), agent.proxy
    epoch = session.ask("lock acquire", owner=OWNER)["epoch"]
    session.ask("proxy change", epoch=epoch, commands=["hold all"])
    assert session.ask("gate open")["refusal"] == "held"
    assert proxy.mode == "all"
    session.ask("lock release", epoch=epoch)
    assert session.ask("gate open")["held"] == "all"
    assert proxy.mode == "none"
