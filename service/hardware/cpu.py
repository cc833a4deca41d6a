"""Number of processors that this process may use. Standard library only: programs that must start fast import it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def count(affinity: int, quotas: Iterable[float]) -> int:
    """Return the number of processors, at least 1: the affinity or the tightest quota (in processors), if smaller.

    A fractional quota is rounded up, so that all of it is used.
    """
    return max(1, min([affinity, *(math.ceil(quota) for quota in quotas)]))


def available() -> int:
    """Return the number of processors that this process, its cgroup and the parents of that may use now."""
    return count(len(os.sched_getaffinity(0)), quotas())


def quotas(cgroups: Path = _CGROUPS, own: Path = _OWN) -> Iterator[float]:
    """Yield the CPU limits in force, in processors; none without a cgroup that limits."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if not controllers:  # cgroup v2
            folders = [cgroups]
        elif "cpu" in controllers.split(","):
            folders = list({cgroups / "cpu": None, cgroups / controllers: None})
        else:
            continue
        # In a container the path may be the host's, and the container's own cgroup is mounted at the root.
        for inner in [PurePosixPath(path), *PurePosixPath(path).parents]:
            for folder in folders:
                yield from _quota(folder / inner.relative_to("/"))


def _quota(folder: Path) -> Iterator[float]:
    try:
        if (folder / "cpu.max").exists():
            most, period = (folder / "cpu.max").read_text().split()
        else:
            most = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text()
        if most not in ("max", "-1"):
            yield int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return  # no such cgroup, or no limit
