"""The conda client of this project: solves environment.yml, installs from an explicit lock, makes a stand-in channel.

It runs on the host (`python -m build.lock conda`) and inside image builds (`python -m build.conda`), where py-rattler,
pyyaml and zstandard are all there is: so nothing in here imports the rest of build.
"""

from __future__ import annotations

from build.conda.redaction import redact


class CondaError(Exception):
    """Something about channels, locks or packages that cannot go on; says what, why and what to do."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = redact(message)
        self.remedy = remedy
        super().__init__(f"{self.message}\n  remedy: {remedy}" if remedy else self.message)


class UnreachableError(CondaError):
    """A channel does not answer; another one may."""
