"""The agent's acts on the real HAProxy, over its runtime socket: what clients get when no orchestrator is left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent import servers
from agent.alerts import Alerts, note
from agent.guardian import LOOK_S, Guardian
from agent.haproxy import HAProxy
from agent.lock import EXPIRY_S
from agent.orders import Orders
from agent.protocol import Owner
from agent.readiness import readyz
from agent.rescue import Clock
from agent.servers import Answer
from agent.start_flags import StartFlags
from agent.target import Target
from agent.watch import MOST_FAILURES
from build.cutover.state_machine import TABLES
from build.model.states import Strategy
from harness.proxy_fixture import Door, opened
from harness.stack import Stack, wait_for

OWNER = Owner("me", "here", "1", "2", "switch").to_json()


@dataclass
class Agent:
    """An agent outside the stack; the test moves its clock. `unloaded` are services without a model."""

    door: Door
    folder: Path
    ahead_s: float = 0.0
    unloaded: set[str] = field(default_factory=set)
    epoch: int = 0

    def __post_init__(self) -> None:
        proxy = self.door.containers["proxy"]
        proxy.reload()
        inside = Path("/proc", str(proxy.attrs["State"]["Pid"]), "root")
        self.haproxy = HAProxy(inside / "run/haproxy/admin.sock", inside / "var/lib/haproxy")
        flags, orders = StartFlags(self.folder), Orders(self.folder)
        self.target = Target(self.folder, self.haproxy, flags, orders, self.now)
        clock = Clock(self.now, time.sleep)
        self.guardian = Guardian(self.target.answer, self.readyz, clock, Alerts("test", Path("no file")), note)

    def now(self) -> float:
        return time.monotonic() + self.ahead_s

    def readyz(self, address: str) -> Answer:
        """Ask the real backend; a service without a model obeys its orders."""
        colour = "blue" if address.partition(":")[0].endswith(".11") else "green"
        order = self.folder / colour / "command"
        do = json.loads(order.read_text())["do"] if order.exists() else "keep"
        if do != "keep":
            (self.unloaded.add if do == "unload" else self.unloaded.discard)(colour)
        return Answer("unloaded") if colour in self.unloaded else readyz(address)

    def ask(self, operation: str, **fields: Any) -> dict[str, Any]:
        answer = self.target.answer({"do": operation, "epoch": self.epoch, **fields})
        assert answer["ok"], answer
        return answer

    def interrupted(self, strategy: str, upto: str, *commands: str) -> None:
        """Journal a cutover from blue to green up to an intent, change the proxy, and fall silent."""
        self.epoch = self.ask("lock acquire", owner=OWNER)["epoch"]
        self.write(
            "begin", kind="switch", strategy=strategy, rollout={"canary": [25], "soak_s": 60}, colour="green",
            release={"sha": "new"}, previous={"sha": "old"},
        )  # fmt: skip
        for step in TABLES[Strategy(strategy)]:
            self.write("intent", step=step.name)
            if step.name == upto:
                break
            self.write("done", step=step.name, state=step.ends)
        self.ask("proxy change", commands=[command.replace("@", "set server app/") for command in commands])

    def ended(self) -> None:
        self.write("end", state="retired")
        self.ask("lock release")

    def write(self, event: str, **fields: Any) -> None:
        self.ask("journal append", record={"event": event, "cutover": "1", **fields})

    def expire(self) -> None:
        self.ahead_s += EXPIRY_S + 1
        self.guardian.tick()
        assert self.ask("lock show")["owner"] is None


@pytest.fixture(scope="module")
def door(stack: Stack) -> Iterator[Door]:
    with opened(stack) as door:
        yield door


@pytest.fixture
def agent(door: Door, tmp_path: Path) -> Agent:
    door.containers["green"].start()
    door.proxy.hold("none")
    door.proxy.set_admins(("blue-1", 100), ("green-1", 100), ("blue-1-standby", "maint"))
    door.rotate("green")
    door.rotate("blue")
    return Agent(door, tmp_path)


def answers(door: Door) -> set[str]:
    return {door.post().text for _ in range(30)}


def test_the_agent_sees_the_servers_as_the_orchestrator_does(door: Door, agent: Agent) -> None:
    door.proxy.set_admins(("green-1", "drain"), ("green-1", 25))
    seen, hold = servers.parse(agent.haproxy.ask(servers.SHOW))
    known = door.proxy.servers()
    assert {name: (server.admin, server.address) for name, server in seen.items()} == {
        name: (server.admin, server.address) for name, server in known.items()
    }
    assert seen["blue-1"].up
    assert hold == "none"


def test_a_canary_that_is_left_alone_ends(door: Door, agent: Agent) -> None:
    agent.interrupted(
        "overlap", "canary", "@blue-1 weight 75", "@green-1 weight 25", "@green-1 state drain", "@green-1 state ready"
    )
    wait_for("the canary", lambda: answers(door) == {"blue", "green"})
    agent.expire()
    assert answers(door) == {"blue"}
    assert door.proxy.servers()["blue-1"].weight == 100
    assert door.proxy.servers()["green-1"].admin == "drain", "its health checks go on, for `resume`"


def test_what_waits_at_the_gate_is_served_by_the_old_colour(door: Door, agent: Agent) -> None:
    agent.interrupted("hold", "load", "hold all", "@blue-1 state maint")
    agent.unloaded = {"blue", "green"}
    with ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(door.post) for _ in range(4)]
        wait_for("the requests at the gate", lambda: door.proxy.held().held == 4)
        agent.expire()
        assert {request.result().text for request in waiting} == {"blue"}
    assert agent.unloaded == {"green"}
    assert door.proxy.held().mode == "none"


def test_a_candidate_that_dies_unwatched_in_its_soak_is_replaced(door: Door, agent: Agent) -> None:
    agent.interrupted("overlap", "soak", "@blue-1-standby state ready", "@green-1 state ready", "@blue-1 state drain")
    door.containers["green"].kill()
    wait_for("the proxy to notice", lambda: not door.proxy.servers()["green-1"].up)
    agent.expire()
    assert answers(door) == {"blue"}
    admins = {name: server.admin for name, server in door.proxy.servers().items()}
    assert (admins["blue-1"], admins["green-1"], admins["blue-1-standby"]) == ("ready", "maint", "maint")


def test_the_agents_move_survives_a_killed_proxy(door: Door, agent: Agent) -> None:
    agent.interrupted("overlap", "canary", "@green-1 state ready")
    agent.expire()
    door.crash()
    assert answers(door) == {"blue"}


def test_the_standby_replaces_a_live_release_that_is_gone(door: Door, agent: Agent) -> None:
    agent.interrupted("overlap", "retire", "@green-1 state ready", "@blue-1 state maint")
    agent.ended()
    agent.guardian.readyz = agent.guardian._observer._readyz = lambda address: Answer(
        agent.readyz(address).phase, "old" if address.partition(":")[0].endswith(".11") else "new"
    )
    agent.guardian.tick()
    assert answers(door) == {"green"}
    door.containers["green"].kill()
    wait_for("the proxy to notice", lambda: not door.proxy.servers()["green-1"].up)
    for _ in range(MOST_FAILURES):
        agent.ahead_s += LOOK_S
        agent.guardian.tick()
    assert answers(door) == {"blue"}
    assert [record["did"] for record in agent.ask("journal read")["records"] if record["event"] == "agent"] == [
        "standby"
    ]
