"""The interface between a cutover and a target, independent of how the target runs containers.

Docker Compose on one machine is behind it (build.target.target). An import contract keeps Docker out of the cutover.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from build.model.colours import Colour, Slot, Stack
from build.model.placement import StackAddress
from build.proxy.types import Proxy
from build.settings import Settings
from build.state.history import Cutover
from build.system.interrupts import INTERRUPTS
from build.target.colour_containers import ColourContainers
from build.target.container import ServiceContainer
from build.target.gpu import View


@dataclass(frozen=True)
class Clock:
    """The time for procedures; tests replace it."""

    def now(self) -> float:
        """Return seconds of a monotonic clock."""
        return time.monotonic()

    @property
    def hurried(self) -> bool:
        """Whether a second interrupt asked to stop waiting for requests in flight."""
        return INTERRUPTS.hurried

    def polls(self, every_s: float = 0.5) -> Iterator[float]:
        """Yield the time every `every_s` seconds without end, the first at once.

        Polling a container costs about 0.2 s of CPU time, which live traffic lacks: hence the default.
        """
        while True:
            yield self.now()
            time.sleep(every_s)


class Journal(Protocol):
    """The journal on the target. A call that gets no answer raises AgentUnreachableError."""

    def read(self) -> list[dict[str, Any]]:
        """Return all records, oldest first."""

    def append(self, **record: Any) -> None:
        """Append a record durably; raise LockLostError if this process does not hold the lock."""


class LockHolder(Protocol):
    """The lock while this process holds it."""

    def check(self) -> None:
        """Raise LockLostError if another process may hold the lock by now."""


class Lock(Protocol):
    """The lock that allows one cutover at a time on a target."""

    def held(
        self,
        purpose: str,
        *,
        wait_s: float = 0,
        note: Callable[[str], None] | None = None,
        may_take_over: Callable[[], bool] = lambda: False,
    ) -> AbstractContextManager[LockHolder]:
        """Hold the lock for the block; wait up to `wait_s` for another holder, then raise LockHeldError.

        If `may_take_over`, the lock passes on at once, and later changes of the other holder are refused.
        """

    def holder(self) -> object | None:
        """Describe the current holder; None if the lock is free."""

    def confirm(self) -> int:
        """Raise LockLostError unless this process holds the lock now; return the lock's epoch."""

    def break_(self, by: str, reason: str) -> object | None:
        """Take the lock from its owner and journal it; return the owner, None if the lock was free."""


class StartFlags(Protocol):
    """Flags for the next start of a slot's container; they outlive the container."""

    def park(self, *names: str) -> None:
        """Make each container start without its model."""

    def unpark(self, *names: str) -> None:
        """Make each container start with its model."""

    def write(self, name: str, *, parked: bool, device: str) -> None:
        """Replace a container's flags; `device` is a GPU's UUID, "" for any."""


class GpuReservations(Protocol):
    """Reservations of GPUs, seen by all projects of a machine. Each ends by itself some time after its owner died."""

    def acquire(self, owner: str, devices: Sequence[str], image: str, expiry_s: float) -> str:
        """Reserve all devices (UUIDs) or none; return "", or the owner that has one. `image` is on the target."""

    def release(self, owner: str) -> None:
        """End the owner's reservations."""


class Target(Protocol):
    """Operations of a cutover, its gate, alerts and report on the target."""

    # Properties, since a Protocol's plain attributes could be assigned, and then no subtype would match.
    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def proxy(self) -> Proxy: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def lock(self) -> Lock: ...
    @property
    def orders(self) -> StartFlags: ...
    @property
    def reservations(self) -> GpuReservations: ...
    @property
    def colours(self) -> Mapping[Colour, ColourContainers]: ...

    @property
    def proxy_image(self) -> str:
        """The proxy's image: the running one, else the one that would start; "" if there is none."""

    @property
    def place(self) -> StackAddress:
        """The published address and the keys of the running proxy, else those of the settings."""

    @property
    def inside(self) -> str:
        """Address (HOST:PORT) of the proxy for the target's containers."""

    @property
    def addresses(self) -> frozenset[str]:
        """Source addresses of the cutover's own requests."""

    @property
    def hold_budget_s(self) -> float:
        """How long (s) the proxy holds a request."""

    @property
    def live_from_env(self) -> Colour | None:
        """The live colour according to .env, which may be stale; None if unknown."""

    def now(self) -> float:
        """Return the target's time in seconds since 1970."""

    def published(self) -> str:
        """Return the current published address (HOST:PORT) of the proxy; "" if there is none."""

    def survey(self, *, ask_service: bool = False) -> Stack:
        """Return both colours as the target and the proxy see them."""

    def live(self, stack: Stack) -> Colour | None:
        """Return the live colour; None before the first release. Raise ProxyError if it is undecided."""

    def live_or_none(self, stack: Stack) -> Colour | None:
        """Return the live colour for display; None if it is undecided."""

    def records(self) -> list[dict[str, Any]]:
        """Return the journal's records; [] if there is no journal yet."""

    def history(self, records: list[dict[str, Any]] | None = None) -> list[Cutover]:
        """Return the cutovers in the journal, oldest first; raise StateCorruptError."""

    def image_labels(self, image: str) -> Mapping[str, str] | None:
        """Return the labels of an image on the target; None if the target does not have it."""

    def keys_error(self, image: str, folder: str) -> str:
        """Return why a release cannot use the API keys in a folder of the target; "" if it can."""

    def stack_error(self, **planned: str) -> str:
        """Return why the stack's description with the images of `planned` is invalid; "" if it is valid."""

    def changed_settings(self, colour: Colour) -> list[str]:
        """Describe how the current settings differ from those of a colour's containers."""

    def lost_runtime(self, colour: Colour) -> str:
        """Return the container runtime of a colour that the target no longer has; "" if it has it."""

    def refresh_env(self, live: Colour | None, **planned: str) -> None:
        """Store what runs, so that a restart of the stack starts it again. `planned` maps colours to images."""

    def start(self, *slots: Slot) -> None:
        """Create and start the containers of slots as `refresh_env` described them."""

    def gpu_view(self, image: str) -> View:
        """Return the GPUs as a container of the image would see them, while none runs."""

    def standalone(self, image: str, device: str = "") -> AbstractContextManager[ServiceContainer]:
        """Run the service of an image apart from the stack for the block; `device` is a GPU's UUID, "" for any."""

    def processes(self) -> dict[int, str]:
        """Return the container of each process on the target, by pid."""

    def is_here(self) -> bool:
        """Return whether the target is this machine."""
