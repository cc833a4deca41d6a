"""How sessions share the processors: so that a full queue loses nothing to helpers, and a lone request gets some.

A session's threads are the one that calls it, and its helpers, which all calls of the session share. One thread for
each inference gives most speech per processor: helpers cost about 15 % more of it (they do not spin: spinning costs
45 %). So helpers are for processors that would be idle, and a model has two sessions: with helpers, and without.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

MOST_THREADS = 4
"""Of one session: a sentence is soon spoken, and its layers are short of work for more."""

ALONE = 1
"""Threads of a session without helpers."""


def sizes(cores: int, slots: int, models: int) -> tuple[int, ...]:
    """The threads of each session that every model is to have, least first; `slots` inferences run at a time.

    One size where there is never a choice: a single core, or so few inferences that their helpers always have room.
    """
    most = min(cores, MOST_THREADS)
    busiest = slots + min(models, slots) * (most - 1)
    if most == ALONE or busiest <= cores:
        return (most,)
    return (ALONE, most)


class Room:
    """Who computes with how many threads at the moment. Safe to use from several threads."""

    def __init__(self, cores: int, sizes: tuple[int, ...]) -> None:
        self._cores = cores
        self._sizes = sizes
        self._lock = threading.Lock()
        self._running = 0
        self._helped: Counter[str] = Counter()  # running inferences by the model whose helpers they share

    @contextlib.contextmanager
    def taken(self, model: str, *, alone: bool = False) -> Iterator[int]:
        """For one inference of a model: the size of the session to take, with helpers if processors are left for them.

        `alone`: it has a session of its own without helpers, and only counts.
        """
        with self._lock:
            self._running += 1
            size = ALONE if alone else self._choose(model)
            if size > ALONE:
                self._helped[model] += 1
        try:
            yield size
        finally:
            with self._lock:
                self._running -= 1
                if size > ALONE:
                    self._helped[model] -= 1
                    self._helped += Counter()  # forgets those with none

    def _choose(self, model: str) -> int:
        most = self._sizes[-1]
        helpers = (most - 1) * len({model, *self._helped})
        return most if self._running + helpers <= self._cores else self._sizes[0]
