"""Answers of a release by class: what clients got, and whether a candidate's differ from the live release's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import comb, sqrt
from types import MappingProxyType

from build.model.percentile import nearest_rank
from build.proxy.types import Request

# Each of these statuses names a regression of its own: keys, paths, size of a body, content of a body, limits.
APART = frozenset({400, 401, 404, 413, 429})
# Older releases answer 422 where newer ones answer 400, as OpenAI does; an upgrade must not count as a regression.
OLD_STATUS = {422: 400}
CLIENT_ERROR, SERVER_ERROR = 400, 500
LIMITED = "429"
# All classes but 2xx, in the order of a report. `4xx` has the other statuses; `broken`: no or no complete answer.
REGRESSIONS = ("3xx", *map(str, sorted(APART)), "4xx", "5xx", "broken")

# One bad answer proves nothing. From two on, a count this unlikely (Fisher's exact test) fails a candidate.
FEW = 2
CHANCE = 0.01
# Clients send some requests that any release refuses, and each look at each class is one more test. With CHANCE up to
# 6 % of equal releases failed in a simulation, with this 1.5 %.
CHANCE_OF_CLASS = 0.001
# A passing candidate's rate may exceed the live one's by this: one bad answer needs 50 requests to pass.
TOLERATED = 0.02
# Without this many requests to the live release there is no rate to compare with. Then more than half of at least
# HEARD requests with the same bad answer fail a candidate.
HISTORY, HEARD, MOSTLY = 10, 5, 0.5


@dataclass(frozen=True)
class Sample:
    """Requests of one kind of sender to one release: answers by class, and the seconds of each synthesis."""

    answers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    took_s: tuple[float, ...] = ()

    @property
    def sent(self) -> int:
        return sum(self.answers.values())

    @property
    def refused(self) -> int:
        """The number of requests with a status 4xx."""
        return sum(self.answers.get(name, 0) for name in REGRESSIONS if name.startswith("4"))

    @property
    def p50_s(self) -> float:
        return nearest_rank(self.took_s, 50)

    @property
    def p95_s(self) -> float:
        return nearest_rank(self.took_s, 95)

    def count(self, name: str) -> Count:
        """Return the requests of one class among all requests."""
        return Count(self.sent, self.answers.get(name, 0))


EMPTY = Sample()


@dataclass(frozen=True)
class Count:
    """Requests, and the bad ones among them."""

    sent: int
    bad: int

    @property
    def rate(self) -> float:
        return self.bad / self.sent if self.sent else 0.0

    def __str__(self) -> str:
        return f"{self.bad} of {self.sent}"


def sample(requests: Iterable[Request]) -> Sample:
    """Count requests by class, and take the seconds of each successful synthesis without the proxy's queue."""
    requests = tuple(requests)
    took = (request.served_s for request in requests if request.synthesized)
    return Sample(Counter(map(class_of, requests)), tuple(took))


def class_of(request: Request) -> str:
    """Return the class of a request's answer: `2xx` or one of REGRESSIONS."""
    if request.status >= SERVER_ERROR:
        return "5xx"
    if request.failed:
        return "broken"
    status = OLD_STATUS.get(request.status, request.status)
    return str(status) if status in APART else f"{status // 100}xx"


def proven(candidate: Count, live: Count, most: float = CHANCE) -> bool:
    """Return whether chance hardly explains that the candidate has so many bad answers beside the live release."""
    return candidate.bad >= FEW and chance(candidate, live) < most


def doubtful(candidate: Count, live: Count) -> bool:
    """Return whether the candidate's rate is above the live one's by more than is tolerated or the latter varies by."""
    spread = sqrt(live.rate * (1 - live.rate) / candidate.sent) if candidate.sent else 0.0
    return candidate.rate > live.rate + max(TOLERATED, spread)


def mostly(candidate: Count, live: Count) -> bool:
    """Return whether most answers of a candidate are bad although the live release has too few to compare with."""
    return live.sent < HISTORY and candidate.sent >= HEARD and candidate.rate > live.rate + MOSTLY


def chance(candidate: Count, live: Count) -> float:
    """Return the chance that so many or more of all bad answers hit the candidate (one-sided Fisher's exact test)."""
    sent, bad = candidate.sent + live.sent, candidate.bad + live.bad
    if not candidate.bad or not live.sent:
        return 1.0
    ways = sum(
        comb(candidate.sent, mine) * comb(live.sent, bad - mine)
        for mine in range(candidate.bad, min(candidate.sent, bad) + 1)
    )
    return ways / comb(sent, bad)
