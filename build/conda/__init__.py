"""Conda client: solve environment.yml, install from an explicit lock, make a stand-in channel.

It runs on the host (`python -m build.lock conda`) and inside image builds (`python -m build.conda`). An image build
has only py-rattler, pyyaml and zstandard, so this package imports nothing else from build.
"""

from __future__ import annotations

from build.conda.redaction import redact


class CondaError(Exception):
    """A problem with a channel, lock or package; the message says what failed, why, and how to fix it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = redact(message)
        self.remedy = remedy
        super().__init__(f"{self.message}\n  remedy: {remedy}" if remedy else self.message)


class UnreachableError(CondaError):
    """A channel does not answer; the caller may try another channel."""
