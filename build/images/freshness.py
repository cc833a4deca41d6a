"""Age and missing security updates of an image's OS packages. Pure. Times are seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from build.host.findings import Finding, Level

DAY_S = 86400.0
# Docker's first release. An image with an earlier layer date was built with a fixed date, mostly 1970.
EARLIEST = datetime(2013, 3, 20, tzinfo=UTC).timestamp()
REFRESH = "run `python -m build.images --refresh`"
# A running container keeps its image until it is replaced.
RESTART = ", then `make down` and `make up`"
SWITCH = ", then `python -m build.cutover switch`"
MAX_NAMED = 5  # number of packages that a message names; it only counts the others

_POLICY = re.compile(r"^(\S+):\n  Installed: (\S+)\n", re.MULTILINE)
_VERSION = re.compile(r"^ (?:\*\*\*|   ) (\S+) -?\d+\n((?:        .*\n?)*)", re.MULTILINE)


@dataclass(frozen=True)
class Security:
    """Result of the query of an image's own security suites.

    Attributes:
        updates: `package installed -> available`; empty if none.
        failed: why the query failed; if set, `updates` has no meaning.
    """

    updates: tuple[str, ...] = ()
    failed: str = ""


@dataclass(frozen=True)
class ImageAge:
    """Age and security updates of the OS packages of one image.

    Attributes:
        subject: role of the image: base, proxy, live-proxy, live-app-blue, live-app-green.
        taken: when its OS packages were taken from the archive; None if unknown.
        security: None if the archive was not queried.
    """

    subject: str
    name: str
    taken: float | None
    security: Security | None = None


def taken(history: Sequence[Mapping[str, Any]], moment: str = "") -> float | None:
    """Time when an image's OS packages were taken from the archive: the date of its bottom layer; None if unknown.

    The OS image contains the packages and no later layer upgrades them. An image built today on an OS image from March
    therefore dates from March. A layer from a build cache keeps its own date.

    Args:
        moment: `YYYYMMDDTHHMMSSZ` of the snapshot archive that all packages come from; empty if there is none.
        history: the image's layers, newest first; `Created` in seconds since 1970, `Size` in bytes.
    """
    if moment:
        return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    dates = [float(layer["Created"]) for layer in history if layer.get("Size")]
    return dates[-1] if dates and dates[-1] >= EARLIEST else None


def security_updates(policy: str) -> tuple[str, ...]:
    """Packages with a newer version in a security suite, parsed from `apt-cache policy` of all installed packages.

    A version table is sorted newest first and contains the installed version.

    Raises:
        ValueError: the text names no installed package, so it is not the output of this command.
    """
    found = []
    packages = list(_POLICY.finditer(policy))
    if not packages:
        raise ValueError("apt-cache lists no installed package")
    ends = [package.start() for package in packages[1:]] + [len(policy)]
    for package, end in zip(packages, ends, strict=True):
        for version, sources in _VERSION.findall(policy[package.end() : end]):
            if version == package[2]:
                break
            if "-security/" in sources:
                found.append(f"{package[1]} {package[2]} -> {version}")
                break
    return tuple(found)


def days(image: ImageAge, now: float) -> float | None:
    """Age of the image's OS packages in days; None if unknown."""
    return None if image.taken is None else max(0.0, now - image.taken) / DAY_S


def is_old(image: ImageAge, now: float, max_days: float) -> bool:
    """Whether the image's OS packages are known to be older than the limit."""
    age = days(image, now)
    return age is not None and age > max_days


def describe(image: ImageAge, now: float) -> str:
    """Format the date and age of the OS packages: `2026-11-02 (27 days)`, or `unknown`."""
    age = days(image, now)
    if image.taken is None or age is None:
        return "unknown"
    return f"{datetime.fromtimestamp(image.taken, UTC):%Y-%m-%d} ({age:.0f} day{'' if f'{age:.0f}' == '1' else 's'})"


def judge(images: Sequence[ImageAge], now: float, max_days: float) -> list[Finding]:
    """Judge the age of each image, and its security updates if the archive was queried."""
    return [finding for image in images for finding in (_age(image, now, max_days), *_security(image))]


def _age(image: ImageAge, now: float, max_days: float) -> Finding:
    subject = f"age:{image.subject}"
    if image.taken is None:
        message = f"the age of {image.name} is unknown: it has no date of its OS packages"
        return Finding(subject, Level.NOT_VERIFIED, message)
    message = f"{image.name} has the OS packages of {describe(image, now)}"
    if not is_old(image, now, max_days):
        return Finding(subject, Level.OK, message)
    message += f", older than {max_days:g} days"
    # An old image is fine if the archive confirms that it has no security updates for it.
    level = Level.OK if image.security == Security() else Level.WARNING
    return Finding(subject, level, message, _remedy(image))


def _security(image: ImageAge) -> list[Finding]:
    subject = f"fixes:{image.subject}"
    if image.security is None:
        return []
    if image.security.failed:
        message = f"the security suites of {image.name} did not answer: {image.security.failed}"
        return [Finding(subject, Level.NOT_VERIFIED, message)]
    if updates := image.security.updates:
        more = f" and {len(updates) - MAX_NAMED} more" if len(updates) > MAX_NAMED else ""
        message = f"{image.name} lacks {len(updates)} security updates: {', '.join(updates[:MAX_NAMED])}{more}"
        return [Finding(subject, Level.WARNING, message, REFRESH)]
    return [Finding(subject, Level.OK, f"the archive has no security updates for {image.name}")]


def _remedy(image: ImageAge) -> str:
    if image.subject == "live-proxy":
        return REFRESH + RESTART
    return REFRESH + (SWITCH if image.subject.startswith("live-") else "")
