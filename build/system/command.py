"""Runner for subprocesses with a timeout and an error that contains the command and its stderr."""

from __future__ import annotations

import logging
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from build.conda.redaction import redact
from build.errors import CommandFailedError

log = logging.getLogger(__name__)
MAX_STDERR = 4000


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    timeout_s: float = 120,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> bytes:
    """Run a command, wait for it to exit, and return its stdout.

    Args:
        env: the complete environment of the command; None inherits this process's environment.

    Raises:
        CommandFailedError: the command is not installed, exited with another code than 0, or exceeded `timeout_s`.
    """
    shown = shlex.join(argv)
    log.debug("$ %s", redact(shown))
    try:
        done = subprocess.run(
            list(argv), cwd=cwd, input=stdin, capture_output=True, timeout=timeout_s, env=env, check=False
        )
    except FileNotFoundError:
        raise CommandFailedError(f"{argv[0]} is not installed", remedy="run `scripts/bootstrap`") from None
    except subprocess.TimeoutExpired:
        raise CommandFailedError(f"`{shown}` did not finish within {timeout_s:.0f} s") from None
    if done.returncode:
        stderr = done.stderr.decode(errors="replace")[-MAX_STDERR:]
        raise CommandFailedError(f"`{shown}` exited with {done.returncode}", detail=stderr.strip())
    return done.stdout
