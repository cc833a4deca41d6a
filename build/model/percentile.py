"""Percentiles of a few numbers."""

from __future__ import annotations

from collections.abc import Iterable


def nearest_rank(values: Iterable[float], percent: int) -> float:
    """Return the smallest of the values that at least `percent` percent of them do not exceed; 0 without values.

    Unlike an index rounded down, it never puts a higher percentile of a few values below a lower one.
    """
    ordered = sorted(values)
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1] if ordered else 0.0
