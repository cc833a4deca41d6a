"""The processors that this process may use. Standard library only: settings are read by what must start fast."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def count(affinity: int, quotas: Iterable[float]) -> int:
    """Whole processors, at least one: of those it may run on, as many as the tightest quota (in processors) pays for.

    A part counts as a whole: what is left over of a quota is to be used, too.
    """
    return max(1, min([affinity, *(math.ceil(quota) for quota in quotas)]))


def available() -> int:
    """As many as this process, with its cgroup and those around it, may use now."""
    return count(len(os.sched_getaffinity(0)), quotas())


def quotas(cgroups: Path = _CGROUPS, own: Path = _OWN) -> Iterator[float]:
    """The limits on processor time in force, in processors; none where there is no cgroup with one."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            folders = [cgroups]
        elif "cpu" in controllers.split(","):
            folders = list({cgroups / "cpu": None, cgroups / controllers: None})
        else:
            continue
        # In a container the path may be the host's, and the container's own cgroup what is mounted at the root.
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
        return  # no cgroup of that name, or none that limits
