"""The target as the agent sees it: the operations of the protocol, fenced by the epoch of the lock.

One mutex serializes all operations that change something, so that the epoch is checked at the moment of the effect: an
owner that has lost its lock cannot act between the check and the change.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import files, haproxy
from agent.haproxy import HAProxy
from agent.journal import Journal, utc_now
from agent.lock import EXPIRY_S, Lock
from agent.orders import Orders
from agent.protocol import PROTOCOL, Owner, Refusal, RefusedError
from agent.start_flags import StartFlags

ALERTMANAGER = "alertmanager"  # the file with its address
_READS = re.compile(r"hold|show [^;\n]+")  # HAProxy runs what follows a semicolon or a newline as the next command

Request = dict[str, Any]
Answer = dict[str, Any]


def boot_time() -> float:
    """Return seconds since boot; unlike the wall clock, no one can set it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Target:
    """Lock, journal, proxy, start flags and orders of one target."""

    def __init__(
        self,
        state: Path,
        proxy: HAProxy,
        flags: StartFlags,
        orders: Orders,
        now: Callable[[], float] = boot_time,
        expiry_s: float = EXPIRY_S,
    ) -> None:
        self._now = now
        self._mutex = threading.RLock()
        self._lock_file, self._alertmanager = state / "lock.json", state / ALERTMANAGER
        self._journal = Journal(state / "journal.jsonl")
        self._proxy, self._flags, self._orders = proxy, flags, orders
        self._newest = 0  # number of the current owner's newest request
        self._lock = replace(_stored(self._lock_file), expiry_s=expiry_s).restored(now())
        self._reads: dict[str, Callable[[Request], Answer]] = {
            "hello": lambda _request: {"protocol": PROTOCOL, "at": utc_now()},
            "journal read": self._read_journal,
            "lock show": self._show_lock,
            "proxy show": self._show_proxy,
            "proxy probe": lambda request: {"lines": haproxy.probe(request["addresses"])},
        }
        self._locking: dict[str, Callable[[Request], Answer]] = {
            "lock acquire": self._acquire,
            "lock beat": self._beat,
            "lock release": self._release,
            "lock break": self._break,
            "gate open": self._open_gate,
        }
        self._fenced: dict[str, Callable[[Request], Answer]] = {
            "journal append": self._append,
            "proxy change": lambda request: {"output": self._proxy.change(request["commands"])},
            "flags set": self._set_flags,
            "orders give": self._give_orders,
            "confirm": lambda _request: {},
        }

    def answer(self, request: Request) -> Answer:
        """Do what a request asks for; the answer is complete, and what it says is durable."""
        try:
            operation = str(request.get("do"))
            if operation in self._reads:
                return {"ok": True, **self._reads[operation](request)}
            with self._mutex:
                if operation in self._locking:
                    return {"ok": True, **self._locking[operation](request)}
                if operation in self._fenced:
                    # An effect counts as a heartbeat, so that its owner keeps the lock for a full expiry after it.
                    self._beat(request)
                    self._in_order(int(request.get("number", self._newest)))
                    return {"ok": True, **self._fenced[operation](request)}
            raise RefusedError(Refusal.INVALID, f"unknown operation {operation!r}", protocol=PROTOCOL)
        except RefusedError as refused:
            return refused.answer()
        except OSError as error:  # such as a full disk; without an answer the sender would repeat the request
            message = f"a file of the target cannot be written: {error.strerror or error}"
            return RefusedError(Refusal.UNWRITABLE, message).answer()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return RefusedError(Refusal.INVALID, f"the request makes no sense: {error!r}").answer()

    def _read_journal(self, request: Request) -> Answer:
        with self._mutex:
            self._journal.check()
            records = self._journal.records
        return {"records": records[int(request.get("from", 0)) :], "count": len(records)}

    def _append(self, request: Request) -> Answer:
        return {"record": self._journal.append(request["record"], request.get("seq"))}

    def _show_lock(self, _request: Request) -> Answer:
        lock, now = self._lock, self._now()
        owner = lock.owner.to_json() if lock.owner else None
        return {
            "epoch": lock.epoch,
            "owner": owner,
            "silent_s": round(now - lock.heard, 1),
            "expired": lock.expired(now),
        }

    def _show_proxy(self, request: Request) -> Answer:
        commands = request["commands"]
        if changing := [command for command in commands if not _READS.fullmatch(command)]:
            raise RefusedError(Refusal.INVALID, f"a change needs the lock: {changing[0]!r}")
        return {"output": self._proxy.ask(commands)}

    def _acquire(self, request: Request) -> Answer:
        self._journal.check()
        owner = Owner.from_json({**request["owner"], "since": utc_now()})
        acquired = self._lock.acquire(owner, self._now(), takeover=request.get("takeover"))
        self._newest = self._newest if acquired.epoch == self._lock.epoch else 0
        self._store(acquired)
        # An operator without the setting knows nothing of the others' address.
        if request.get("alertmanager"):
            files.replace(self._alertmanager, f"{request['alertmanager']}\n", mode=0o600)
        return {"epoch": self._lock.epoch}

    def _beat(self, request: Request) -> Answer:
        # Not stored: a restarted agent gives every owner a full expiry anyway.
        self._lock = self._lock.beat(int(request["epoch"]), self._now())
        return {}

    def _in_order(self, number: int) -> None:
        """Refuse a request that its sender has given up and repeated: what came after it would be undone."""
        if number < self._newest:
            raise RefusedError(Refusal.FENCED, f"request {number} came after request {self._newest} of its owner")
        self._newest = number

    def _release(self, request: Request) -> Answer:
        released = self._lock.release(int(request["epoch"]))
        self._lock = released  # even if the disk is full: after a restart of the agent the lock would expire
        self._store(released)
        return {}

    def _break(self, request: Request) -> Answer:
        owner = self._lock.owner
        if owner is None:
            return {"owner": None}
        fields = {"event": "lock-broken", "owner": str(owner), "by": str(request["by"])}
        self._journal.append({**fields, "reason": str(request["reason"])})
        self._store(self._lock.broken())
        return {"owner": owner.to_json()}

    def _open_gate(self, _request: Request) -> Answer:
        """Open the gate without the lock and without a record, for a target that can write neither.

        Only while no owner is alive. An epoch may outlive it: its owner finds the gate open and ends with an error.
        """
        if self._lock.owner and not self._lock.expired(self._now()):
            raise RefusedError(Refusal.HELD, f"the gate is {self._lock.owner}'s")
        held = self._proxy.ask(["hold"]).partition(" ")[0]
        if held != "none":
            self._proxy.ask(["hold none"])
            with contextlib.suppress(OSError):
                self._proxy.save()
        return {"held": held}

    def _set_flags(self, request: Request) -> Answer:
        for slot, flags in request["slots"].items():
            if "device" in flags:
                self._flags.set(slot, parked=bool(flags["parked"]), device=str(flags["device"]))
            else:
                self._flags.park(slot, parked=bool(flags["parked"]))
        return {}

    def _give_orders(self, request: Request) -> Answer:
        for slot, do in request["slots"].items():
            self._orders.give(slot, int(request["epoch"]), str(do))
        return {}

    def _store(self, lock: Lock) -> None:
        """Make the lock durable before an answer names it, so that no epoch is ever granted twice."""
        content = {"epoch": lock.epoch, "owner": lock.owner.to_json() if lock.owner else None}
        try:
            files.replace(self._lock_file, json.dumps(content))
        except OSError as error:
            raise RefusedError(Refusal.UNWRITABLE, f"{self._lock_file} cannot be written: {error.strerror}") from None
        self._lock = lock


def _stored(path: Path) -> Lock:
    if not path.exists():
        return Lock()
    content = json.loads(path.read_text())
    owner = content["owner"]
    return Lock(content["epoch"], Owner.from_json(owner) if owner else None)
