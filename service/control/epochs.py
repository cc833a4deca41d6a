"""Epochs of the cutover lock: a command of an older one comes from a cutover that has lost its lock."""

from __future__ import annotations

from typing import Any

from service.app import Service
from service.synthesis.lifecycle import RefusedError


def accept(service: Service, epoch: Any) -> None:
    """Remember the newest epoch; a command without one (None) is always accepted.

    Raises:
        RefusedError: the epoch is older than another command's, or no whole number.
    """
    if epoch is None:
        return
    if type(epoch) is not int or epoch < 0:
        raise RefusedError(f"the epoch must be a whole number, not {epoch!r}")
    if epoch < service.epoch:
        raise RefusedError(
            f"epoch {epoch} is over: this service has a command of epoch {service.epoch}, so the sender lost its lock"
        )
    service.epoch = epoch
