"""Prometheus' linter (Debian's) in a container."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from harness import images

TAG = "glm-tts-test-promtool"
# The binary needs no other file of the package.
PROMTOOL = """FROM {os_image}
RUN apt-get update -q && cd /tmp && apt-get download -q prometheus \\
 && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -C / ./usr/bin/promtool && rm -rf /tmp/* /var/lib/apt/lists/*
"""
PATIENCE_S = 60


def promtool(argv: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
    """Run promtool; its findings are on stdout or stderr."""
    images.build(TAG, PROMTOOL)
    run = ["docker", "run", "--rm", "--interactive", "--network", "none", TAG, "promtool", *argv]
    return subprocess.run(run, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
