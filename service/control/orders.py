"""Orders of the agent: a file that the service polls, since nothing on the target may enter its container.

An order is one JSON object, {"epoch": N, "do": "load" | "unload" | "keep"}. `keep` only makes older epochs void.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import NamedTuple

from service.app import Service
from service.control.epochs import accept
from service.control.server import run_command
from service.synthesis.lifecycle import Phase, RefusedError

logger = logging.getLogger(__name__)

FILE = "command"
POLL_S = 1.0
_GOALS = {"load": Phase.READY, "unload": Phase.UNLOADED}


class Order(NamedTuple):
    """One order."""

    epoch: int
    do: str


class Orders:
    """Obeys the orders that come after its creation; the start flags say what an earlier one means now."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._file = service.settings.orders / FILE
        self._task: asyncio.Task[None] | None = None
        self._reason = ""
        self._obeyed = self._read()
        if self._obeyed:
            service.epoch = self._obeyed.epoch

    async def follow(self) -> None:
        """Poll until cancelled."""
        while True:
            self.poll()
            await asyncio.sleep(POLL_S)

    def poll(self) -> None:
        """Take note of a new order and begin to obey it; one that is refused for the moment is tried again."""
        order = self._read()
        if order is None or order == self._obeyed:
            return
        try:
            accept(self._service, order.epoch)
        except RefusedError as refusal:
            logger.warning("order %s: %s", order.do, refusal)
            self._obeyed = order
            return
        busy = self._task is not None and not self._task.done()
        if not busy and self._service.lifecycle.phase is not Phase.STARTING:
            self._task = asyncio.create_task(self._obey(order))

    async def _obey(self, order: Order) -> None:
        goal = _GOALS.get(order.do)
        try:
            if goal and self._service.lifecycle.phase is not goal:
                logger.info("order of epoch %d: %s", order.epoch, order.do)
                await run_command(self._service, {"command": order.do, "epoch": order.epoch})
        except RefusedError as refusal:
            if str(refusal) != self._reason:
                self._reason = str(refusal)
                logger.warning("order %s waits: %s", order.do, refusal)
            return
        self._obeyed = order

    def _read(self) -> Order | None:
        try:
            content = json.loads(self._file.read_text())
            return Order(int(content["epoch"]), str(content["do"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
