"""How a release is let in: at which shares of the traffic it has to prove itself, and how long it is watched after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WHOLE = 100  # percent, and the weight of a server in haproxy.cfg
HEAVIEST = 256  # HAProxy's own bound


@dataclass(frozen=True)
class Rollout:
    """How a release is let in.

    Attributes:
        canary: shares in percent, each below 100.
        soak_s: seconds after the switch in which traffic may return.
        replicas: how many containers it has.
        unverified: the operator accepted a release without a verification.
    """

    canary: tuple[int, ...] = ()
    soak_s: float = 0.0
    replicas: int = 1
    unverified: bool = False

    @classmethod
    def told(cls, facts: Mapping[str, Any]) -> Rollout:
        """The one that a journal record tells of."""
        return cls(
            tuple(facts.get("canary", ())),
            float(facts.get("soak_s", 0)),
            int(facts.get("replicas", 1)),
            bool(facts.get("unverified", False)),
        )


AT_ONCE = Rollout()


def shares(given: Iterable[int]) -> tuple[int, ...]:
    """The shares of a canary, in percent; the last step, all of it, is the switch itself and may be left out.

    Raises:
        ValueError: they do not rise, or are no shares.
    """
    found = tuple(given)
    if any(not 0 < share <= WHOLE for share in found):
        raise ValueError("shares are percentages from 1 to 100")
    if any(later <= earlier for earlier, later in pairwise(found)):
        raise ValueError("shares must rise, such as 5,25,100")
    return tuple(share for share in found if share < WHOLE)


def weights(share: int, candidates: int, lives: int) -> tuple[int, int]:
    """The weights of each of so many candidates and live servers at which the candidates get `share` percent."""
    pair = share * lives, (WHOLE - share) * candidates
    scale = min(1.0, HEAVIEST / max(pair))
    candidate, live = (max(1, round(each * scale)) for each in pair)
    return candidate, live


def parse(text: str) -> tuple[int, ...]:
    """The shares in words: `5,25,100`; `none` for no canary.

    Raises:
        ValueError: they are no such list.
    """
    if text == "none":
        return ()
    try:
        found = [int(each.strip().removesuffix("%")) for each in text.split(",")]
    except ValueError:
        raise ValueError(f"{text!r} is no list of shares, such as 5,25,100, and not `none`") from None
    return shares(found)
