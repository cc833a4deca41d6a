"""Rollout of a release: canary shares, soak time after the switch, and number of replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WHOLE = 100  # percent; also the weight of a server in haproxy.cfg
HEAVIEST = 256  # HAProxy's maximum weight


@dataclass(frozen=True)
class Rollout:
    """Parameters of a rollout.

    Attributes:
        canary: shares of the traffic in percent, each below 100.
        soak_s: seconds after the switch during which an automatic rollback may happen.
        replicas: number of containers.
        unverified: the operator accepted a release that was not verified.
    """

    canary: tuple[int, ...] = ()
    soak_s: float = 0.0
    replicas: int = 1
    unverified: bool = False

    @classmethod
    def from_record(cls, facts: Mapping[str, Any]) -> Rollout:
        """Read the rollout from a journal record."""
        return cls(
            tuple(facts.get("canary", ())),
            float(facts.get("soak_s", 0)),
            int(facts.get("replicas", 1)),
            bool(facts.get("unverified", False)),
        )


AT_ONCE = Rollout()


def shares(percentages: Iterable[int]) -> tuple[int, ...]:
    """Validate the shares of a canary in percent; 100 is dropped, because the switch itself is that step.

    Raises:
        ValueError: a share is not from 1 to 100, or the shares do not rise.
    """
    found = tuple(percentages)
    if any(not 0 < share <= WHOLE for share in found):
        raise ValueError("shares must be percentages from 1 to 100")
    if any(later <= earlier for earlier, later in pairwise(found)):
        raise ValueError("shares must rise, such as 5,25,100")
    return tuple(share for share in found if share < WHOLE)


def weights(share: int, candidates: int, lives: int) -> tuple[int, int]:
    """Weights of each candidate server and each live server that give the candidates `share` percent of the traffic.

    Args:
        candidates: number of candidate servers.
        lives: number of live servers.
    """
    pair = share * lives, (WHOLE - share) * candidates
    scale = min(1.0, HEAVIEST / max(pair))
    candidate, live = (max(1, round(weight * scale)) for weight in pair)
    return candidate, live


def parse(text: str) -> tuple[int, ...]:
    """Parse canary shares: `5,25,100`; `none` means no canary.

    Raises:
        ValueError: the text is not such a list.
    """
    if text == "none":
        return ()
    try:
        found = [int(share.strip().removesuffix("%")) for share in text.split(",")]
    except ValueError:
        raise ValueError(f"{text!r} is neither a list of shares, such as 5,25,100, nor `none`") from None
    return shares(found)
