"""The cutover lock as a pure state machine: one owner at a time, and an epoch that only grows.

Times are seconds of the target's clock since boot, which no one can set. An owner that is silent for too long loses the
lock. The epoch of a request proves that its sender still owns the lock at the moment of the effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.protocol import Owner, Refusal, RefusedError

EXPIRY_S = 30.0


@dataclass(frozen=True)
class Lock:
    """State of the lock.

    Attributes:
        epoch: number of the newest acquisition; 0 before the first.
        owner: None if the lock is free.
        heard: time of the owner's last heartbeat.
        expiry_s: how long an owner may be silent.
    """

    epoch: int = 0
    owner: Owner | None = None
    heard: float = 0.0
    expiry_s: float = EXPIRY_S

    def expired(self, now: float) -> bool:
        """Return whether the owner has been silent for too long."""
        return self.owner is not None and now - self.heard > self.expiry_s

    def acquire(self, owner: Owner, now: float, *, takeover: int | None = None) -> Lock:
        """Grant the lock with the next epoch. An owner whose answer was lost may ask again, and gets the same one.

        Args:
            takeover: the epoch of an owner that the caller knows to have ended, such as a process of its own machine.

        Raises:
            RefusedError: the lock has an owner that is neither expired nor the one to take over from.
        """
        if self.owner and self.owner.id == owner.id != "":
            return replace(self, heard=now)
        if self.owner and not (takeover == self.epoch or self.expired(now)):
            raise RefusedError(
                Refusal.HELD, "another cutover holds the lock", owner=self.owner.to_json(), held_epoch=self.epoch
            )
        return replace(self, epoch=self.epoch + 1, owner=owner, heard=now)

    def check(self, epoch: int, now: float) -> None:
        """Raise RefusedError unless `epoch` is that of the current owner, who has not expired."""
        if epoch != self.epoch:
            raise RefusedError(Refusal.FENCED, f"epoch {epoch} is over: the lock has moved on to {self.epoch}")
        if self.owner is None:
            raise RefusedError(Refusal.FENCED, f"epoch {epoch} is over: its lock was released or broken")
        if self.expired(now):
            silent = now - self.heard
            raise RefusedError(Refusal.FENCED, f"epoch {epoch} is over: no heartbeat for {silent:.0f} s")

    def beat(self, epoch: int, now: float) -> Lock:
        """Record a heartbeat; raise RefusedError as `check` does."""
        self.check(epoch, now)
        return replace(self, heard=now)

    def release(self, epoch: int) -> Lock:
        """Free the lock; an owner that has lost it changes nothing."""
        return replace(self, owner=None) if epoch == self.epoch else self

    def broken(self) -> Lock:
        """Take the lock from its owner, whose epoch is over from now on."""
        return replace(self, owner=None)

    def restored(self, now: float) -> Lock:
        """Return the stored lock after a restart of the agent: the owner gets the full time to be heard again."""
        return replace(self, heard=now)
