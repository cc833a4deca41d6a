"""A target in memory whose drivers record their calls."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from build.errors import OrchestratorError
from build.model import colours as pure
from build.model.colours import Colour, ColourFacts, Slot, Stack
from build.model.placement import StackAddress
from build.model.release import Release
from build.proxy import haproxy_log
from build.settings import Settings
from build.state import history
from build.target.gpu import View
from tests.unit.build.fake_drivers import PIDS, SERVER, Clock, ColourContainer, Gpu, Orders, Reservations
from tests.unit.build.fake_proxy import Proxy

OLD, NEW = (Release(name * 40, f"sha256:{name * 64}") for name in "ab")
# The fake colours produce noise, so the golden set has no calibration.
GOLDEN = """
voice: joe
expect: {quality: null, speaker: false}
texts:
  - {name: short, say: This is a short sentence.}
"""


class Target:
    """OLD is live in blue; green is free. `calls` records every action in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.records: list[dict[str, Any]] = []
        self.log: list[str] = []
        self.place = StackAddress(7860, "172.29.118")
        self.inside, self.addresses = "proxy:8080", frozenset({"10.0.0.11"})
        root = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, root)
        (root / "golden").mkdir()
        (root / "golden/joe.yaml").write_text(GOLDEN)
        self.settings = Settings(root=root, drain_short_s=10, drain_long_s=10, drain_stream_s=10, drain_batch_s=10)
        self.clock = Clock()
        self.proxy = Proxy(self.calls)
        names = (name for colour in Colour for name in (*colour.servers, *colour.standbys))
        self.proxy.servers_now = {name: replace(SERVER, address=name) for name in names}
        self.proxy.servers_now["blue-1"] = replace(SERVER, admin="ready", up=True, address="blue-1")
        self.colours = {colour: ColourContainer(self.calls, colour.value) for colour in Colour}
        self.colours[Colour.BLUE].holds = OLD
        self.proxy.healthy = self._healthy
        self.proxy.requests = lambda *_range: haproxy_log.read(self.log)
        self.start: Callable[..., None] = self._start
        self.keys_error: Callable[[str, str], str] = lambda _image, _folder: ""
        self.image_labels: Callable[[str], dict[str, str]] = lambda _image: {}
        self.orders = Orders(self.calls)
        self.hold_budget_s = 60.0
        self.reservations = Reservations()
        self.gpu_view: Callable[[str], View] = lambda _image: View(why="no NVML")
        self.journal = SimpleNamespace(append=self._append, read=lambda: self.records)
        self.took_over = False  # whether the newest command could take the lock from its owner
        self.lock_error: OrchestratorError | None = None
        self.lock = SimpleNamespace(held=self._held, confirm=self._confirm)
        self.proxy_image = "proxy"
        self.starts = NEW
        self.failing: set[str] = set()  # colours whose health checks fail, as the proxy sees them
        self.changed: list[str] = []
        self.env: list[tuple[Colour | None, dict[str, str]]] = []

    def _healthy(self, server: str) -> bool:
        container = self.colours[Colour(server.partition("-")[0])]
        return container.holds is not None and container.running and container.phase == "ready"

    def now(self) -> float:
        return self.clock.time

    def is_here(self) -> bool:
        return True

    def stack_error(self, **_planned: str) -> str:
        return ""

    def changed_settings(self, _colour: Colour) -> list[str]:
        return self.changed

    def lost_runtime(self, _colour: Colour) -> str:
        return ""

    def processes(self) -> dict[int, str]:
        return {PIDS[colour.value]: f"app-{colour}" for colour in Colour}

    def _start(self, slot: Slot, *_others: Slot) -> None:
        self.calls.append(f"{slot.service} up")
        colour = self.colours[Colour(slot.service.removeprefix("app-"))]
        colour.holds = self.starts
        colour.running = colour.running or colour.exits_on_stop
        if colour.name in self.orders.parked:
            colour.phase = "unloaded"
        elif colour.running:
            colour.claim(colour.model)

    def _append(self, **record: Any) -> None:
        at = datetime.fromtimestamp(self.clock.time, UTC).isoformat()
        self.records.append({"seq": len(self.records), "at": at, **record})

    @contextmanager
    def _held(self, command: str, *, may_take_over: Callable[[], bool], **_options: Any) -> Iterator[Any]:
        self.took_over = may_take_over()
        self.calls.append(f"lock for {command}")
        try:
            yield SimpleNamespace(check=self._check)
        finally:
            self.calls.append("released")

    def _confirm(self) -> int:
        self._check()
        return 1

    def _check(self) -> None:
        if self.lock_error:
            raise self.lock_error

    def with_gpu(self, total: int) -> Gpu:
        """Add a device on which OLD has loaded its model."""
        device = Gpu(total)
        for container in self.colours.values():
            container.device = device
        self.colours[Colour.BLUE].claim(self.colours[Colour.BLUE].model)
        return device

    def refresh_env(self, live: Colour | None, **planned: str) -> None:
        self.env.append((live, planned))

    @property
    def live_from_env(self) -> Colour | None:
        return self.env[-1][0] if self.env else None

    def published(self) -> str:
        return "127.0.0.1:7860"

    def survey(self) -> Stack:
        return {
            colour: ColourFacts(
                release=container.holds,
                container=("running" if container.running else "exited") if container.holds else "absent",
                admin=self.proxy.servers_now[colour.servers[0]].admin,
                usable=self.proxy.servers_now[colour.servers[0]].usable and colour.value not in self.failing,
                standby=self.proxy.servers_now[colour.standbys[0]].usable,
            )
            for colour, container in self.colours.items()
        }

    def live(self, stack: Stack) -> Colour | None:
        return pure.live(stack)

    live_or_none = live

    def history(self) -> list[history.Cutover]:
        return history.read(self.records)

    @property
    def ended(self) -> str:
        """The state of the newest cutover in the journal."""
        return str(self.history()[-1].state)


class Report:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)

    note = step
