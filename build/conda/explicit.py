"""Explicit conda lock: one URL and one sha256 per package, in installation order.

The format is conda's own (`@EXPLICIT`, as `conda list --explicit --sha256` prints it), so conda, mamba and micromamba
can install it too. Comments at the top record the environment, channels and virtual packages of the solve.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from build.conda import CondaError, access
from build.conda.redaction import contains_credentials

_LINE = re.compile(
    r"(?P<url>(?:https?|file)://\S+/(?P<file>[^/\s#]+\.(?:conda|tar\.bz2)))#(?:sha256:)?(?P<hash>[0-9a-f]{64})"
)
_MARK = "@EXPLICIT"


@dataclass(frozen=True)
class LockedPackage:
    """One package: its URL and the expected sha256 (hex) of its file."""

    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """File name: name-version-build and suffix."""
        return self.url.rpartition("/")[2]

    @property
    def channel(self) -> str:
        """URL of the channel, without subdirectory."""
        return self.url.rsplit("/", 2)[0]


@dataclass(frozen=True)
class ExplicitLock:
    """The solved packages; environment, channels and virtual packages are informational."""

    environment: str
    channels: tuple[str, ...]
    virtual_packages: tuple[str, ...]
    packages: tuple[LockedPackage, ...]

    def text(self) -> str:
        """Render the lock as file content; parse() reads it back."""
        head = [
            f"# environment: {self.environment}",
            f"# channels: {' '.join(self.channels)}",
            f"# virtual packages: {' '.join(self.virtual_packages)}",
            _MARK,
        ]
        return "\n".join([*head, *(f"{package.url}#sha256:{package.sha256}" for package in self.packages), ""])


def parse(text: str, origin: str) -> ExplicitLock:
    """Parse an explicit lock; `origin` names it in errors.

    Raises:
        CondaError: a line is not a URL with a sha256 (all are listed), there is no package, or a URL has credentials.
    """
    body = [line.strip() for line in text.splitlines()]
    entries = [line for line in body if line and line != _MARK and not line.startswith("#")]
    matches = [(line, _LINE.fullmatch(line)) for line in entries]
    wrong = [line for line, match in matches if not match]
    if any(map(contains_credentials, body)):
        raise CondaError(
            f"{origin} contains credentials in its URLs",
            remedy=f"change the credentials and write the lock again: {access.REMEDY}",
        )
    if wrong or not entries:
        detail = "\n  ".join(wrong) or "it has no package"
        raise CondaError(
            f"{origin} is not an explicit lock with sha256:\n  {detail}",
            remedy="write it with `python -m build.lock conda`",
        )
    return ExplicitLock(
        environment=_comment(body, "environment"),
        channels=tuple(_comment(body, "channels").split()),
        virtual_packages=tuple(_comment(body, "virtual packages").split()),
        packages=tuple(LockedPackage(match["url"], match["hash"]) for _, match in matches if match),
    )


def _comment(lines: list[str], key: str) -> str:
    prefix = f"# {key}: "
    return next((line.removeprefix(prefix) for line in lines if line.startswith(prefix)), "")
