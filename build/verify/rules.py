"""Verification reports of an image, and the rules for forbidden content in layers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from rich.text import Text

from build.locks import drift as drifts
from build.locks.diff import Difference
from build.locks.drift import Drift
from build.table import Column, Records

Outcome = Literal["passed", "failed", "drift", "not verified"]
Part = Literal["base", "app", "proxy"]

APP_UID = 10001
COLOURS = {"passed": "green", "failed": "bold red", "drift": "yellow", "not verified": "yellow"}
SHOWN = 5

_CACHE = re.compile(r"(^|/)(\.cache/(pip|uv)|\.conda/pkgs|conda/pkgs|var/lib/apt/lists|var/cache/apt)/.*[^/]$")
_SECRET = re.compile(
    r"(^|/)(\.netrc|\.pypirc|\.git-credentials|id_(rsa|ed25519|ecdsa)|\.docker/config\.json|\.aws/credentials"
    r"|\.kube/config)$|^usr/local/share/ca-certificates/."
)
_CONFIGURATION = re.compile(r"(^|/)(pip\.conf|uv\.toml|\.condarc|\.npmrc|\.gitconfig|[^/]+\.(list|sources))$")
_CREDENTIALS = re.compile(rb"://[^/\s:@]+:[^/\s:@]+@|_authToken=\S")
# A key has base64 after the heading; source code that only mentions the heading does not.
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=:, -]{16}")
_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9])(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60}|hf_[A-Za-z0-9]{34}"
    rb"|glpat-[\w-]{20}|sk-ant-[\w-]{24})(?![A-Za-z0-9])"
)
_SETUID = {"chfn", "chsh", "gpasswd", "mount", "newgrp", "passwd", "su", "umount"}
_SETUID_BIT, _STICKY_BIT = 0o4000, 0o1000
_COPY = re.compile(r"COPY (--\S+ )*\S+ /app/\S+( # buildkit)?")
_METADATA = re.compile(r"(ARG|CMD|ENV|EXPOSE|HEALTHCHECK|LABEL|STOPSIGNAL) ")


@dataclass(frozen=True)
class Line:
    name: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True)
class VerificationReport:
    """Verification report of one image.

    Attributes:
        image: image ID.
        checks: hash of the rules and scripts of this verification.
        drift: Debian packages that differ from the apt lock.
        accepted_drift: the operator accepted the drift for a production push.
    """

    image: str
    part: Part
    lines: tuple[Line, ...]
    checks: str = ""
    drift: tuple[Drift, ...] = ()
    accepted_drift: bool = False

    @property
    def failed(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.outcome == "failed")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> VerificationReport:
        """Parse a report.

        Raises:
            ValueError: the text is not a report.
        """
        return cls._parse(json.loads(text))

    @classmethod
    def _parse(cls, document: Any) -> VerificationReport:
        try:
            lines = tuple(Line(**line) for line in document["lines"])
            drift = tuple(Drift(**package) for package in document.get("drift", ()))
            accepted = document.get("accepted_drift", False)
            report = cls(document["image"], document["part"], lines, document["checks"], drift, accepted)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a verification report: {error!r}") from None
        if unknown := {line.outcome for line in lines} - set(get_args(Outcome)):
            raise ValueError(f"unknown outcome in a verification report: {', '.join(map(repr, unknown))}")
        return report


def document(reports: Sequence[VerificationReport]) -> bytes:
    """Serialise reports as the document that is attached to an image in a registry."""
    return json.dumps([asdict(report) for report in reports], indent=2).encode()


def parse_document(content: bytes) -> list[VerificationReport]:
    """Parse a document of reports.

    Raises:
        ValueError: the content is not such a document.
    """
    reports = json.loads(content)
    if not isinstance(reports, list):
        raise ValueError("not a list of verification reports")
    return [VerificationReport._parse(report) for report in reports]


def known(reports: Iterable[VerificationReport], image: str, part: Part, checks: str) -> VerificationReport | None:
    """The newest report on this part of this image by the same checks, which makes another verification unnecessary."""
    matching = [report for report in reports if (report.image, report.part, report.checks) == (image, part, checks)]
    return next((report for report in reversed(matching) if report.lines), None)


def trusted(reports: Iterable[VerificationReport], image: str, checks: str) -> VerificationReport | None:
    """The newest report on a base by the same checks from another machine, if nothing failed in it."""
    return known((report for report in reports if not report.failed), image, "base", checks)


def with_local_id(report: VerificationReport, local_id: str, ids: Collection[str]) -> VerificationReport:
    """Replace the image ID in a report with the ID on this engine, which depends on the image store.

    Args:
        ids: IDs that engines with either store use for the published image; a report on another image stays as it is.
    """
    return replace(report, image=local_id) if {report.image, local_id} <= set(ids) else report


def line(name: str, good: bool, detail: str = "") -> Line:
    return Line(name, "passed" if good else "failed", detail)


def none_of(name: str, found: Sequence[str]) -> Line:
    """A line that passes if nothing was found; otherwise it names the first few."""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return line(name, not found, ", ".join(found[:SHOWN]) + more)


def lock_line(kind: str, found: Sequence[Difference] | None) -> Line:
    """The line about differences from the pip or conda lock.

    Args:
        found: the differences; None if there is no such lock.
    """
    if found is None:
        return Line(f"{kind} lock", "not verified", "there is no such lock")
    return none_of(f"{kind} lock", [_difference(package.name, package.before, package.now) for package in found])


def apt_line(found: Sequence[Drift] | None) -> Line:
    """The line about differences from the apt lock; they are drift and not a failure, because the mirror changes.

    Args:
        found: the differences; None if there is no such lock.
    """
    if found is None:
        return Line("apt lock", "not verified", "there is no such lock")
    if not found:
        return Line("apt lock", "passed")
    detail = none_of("", [_difference(package.package, package.locked, package.found) for package in found]).detail
    return Line("apt lock", "drift", f"{drifts.summary(found)}: {detail}")


def _difference(name: str, locked: str, found: str) -> str:
    return f"{name} {found or 'is missing'} ({f'locked: {locked}' if locked else 'not locked'})"


def is_package_cache(path: str) -> bool:
    """Whether a path (without a leading slash) is a file in a package manager's cache; folders do not count."""
    return bool(_CACHE.search(path))


def is_secret(path: str, content: bytes) -> bool:
    """Whether a file is a secret: by its path (without a leading slash), or by a key, token or password in it."""
    if _SECRET.search(path) or _KEY.search(content) or _TOKEN.search(content):
        return True
    return bool(_CONFIGURATION.search(path) and _CREDENTIALS.search(content))


def is_unexpected_setuid(path: str, mode: int) -> bool:
    return bool(mode & _SETUID_BIT) and path.rpartition("/")[2] not in _SETUID


def is_owned_by_app(uid: int, gid: int, mode: int) -> bool:
    """Whether the service's user owns a path or may write to it; sticky shared folders (/tmp) do not count."""
    for_all = bool(mode & 0o002) and not mode & _STICKY_BIT
    return uid == APP_UID or for_all or (gid == APP_UID and bool(mode & 0o020))


def steps_besides_copies(above: Sequence[str], layers: int) -> list[str]:
    """List the history steps above the base that are neither metadata nor a COPY into /app.

    Args:
        above: instructions above the base, as in the image's history.
        layers: number of layers above the base; each must come from one of the COPY steps.
    """
    copies = [step for step in above if _COPY.fullmatch(step)]
    unexpected = [step or "a step without a name" for step in above if step not in copies and not _METADATA.match(step)]
    if not unexpected and len(copies) != layers:
        return [f"{layers} layers, but {len(copies)} copies"]
    return unexpected


def changed_configuration(base: Mapping[str, Any], app: Mapping[str, Any]) -> list[str]:
    """List what an app image changes in its base's configuration, except adding RELEASE to the environment."""
    names = [name for name in ("User", "WorkingDir", "Entrypoint") if base.get(name) != app.get(name)]
    added = set(app.get("Env") or []) ^ set(base.get("Env") or [])
    return names + sorted(variable.partition("=")[0] for variable in added if not variable.startswith("RELEASE="))


def table(reports: Sequence[VerificationReport]) -> Records:
    """Format the lines of all reports as a table for the terminal."""
    rows = [
        (report.part, line.name, Text(line.outcome, style=COLOURS[line.outcome]), line.detail)
        for report in reports
        for line in report.lines
    ]
    return Records(("part", "what", "outcome", Column("detail", wraps=True)), rows)


def verdict(reports: Iterable[VerificationReport]) -> tuple[str, ...]:
    """All failed lines as `part: line: detail`; empty if nothing failed."""
    return tuple(f"{report.part}: {line.name}: {line.detail}" for report in reports for line in report.failed)
