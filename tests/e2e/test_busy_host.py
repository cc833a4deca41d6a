"""A switch on a host whose CPUs are saturated: the candidate gets its time, and clients lose no request."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import pytest

from build.errors import CandidateStalledError
from harness.load import hammering
from harness.releases import derived
from harness.stack import Stack, wait_for

pytestmark = pytest.mark.alone

PER_CORE = 4
LIMIT_S = 420
SPIN = ["timeout", str(LIMIT_S), "sh", "-c", "while :; do :; done"]


@contextlib.contextmanager
def saturated(stack: Stack) -> Iterator[None]:
    """Occupy every core several times over by containers with Docker's default weight."""
    image = stack.newest_image()
    options = {"network_mode": "none", "auto_remove": True, "detach": True, "healthcheck": {"test": ["NONE"]}}
    count = PER_CORE * (os.cpu_count() or 1)
    with contextlib.ExitStack() as spinning:
        for _ in range(count):
            container = stack.docker.containers.run(image, entrypoint=SPIN, **options)
            spinning.callback(container.remove, force=True)
        yield


def test_a_switch_on_a_saturated_host_succeeds(stack: Stack) -> None:
    sha = stack.release("on a busy host")
    with saturated(stack), hammering(stack.url, rate=0.5) as load:
        wait_for("traffic", lambda: load.report.samples)
        done = stack.run("build.cutover", "switch", CUTOVER_GATE_SYNTHESES="2")
    print(load.report.summary())
    assert load.report.failed == []
    assert stack.status()["colours"][stack.status()["live"]]["release"]["sha"] == sha
    weights = [int(weight) for weight in re.findall(r"the host is busy: .*?weight is (\d+)", done.stderr)]
    assert weights == sorted(set(weights))
    assert weights, done.stderr


def test_a_hung_candidate_on_a_saturated_host_is_refused_with_the_figures(stack: Stack) -> None:
    image = derived(stack, "hung", 'CMD ["sleep", "infinity"]')
    with saturated(stack):
        done = stack.run("build.cutover", "switch", image, "--unverified", check=False, CUTOVER_STALL_TIMEOUT_S="30")
    stack.docker.images.remove(image, force=True)
    assert done.returncode == CandidateStalledError.exit_code, done.stderr
    for words in ("no progress for 30 s", "the host is saturated", r"received 0\.\d s of CPU time", r"weight is \d+"):
        assert re.search(words, " ".join(done.stderr.split())), done.stderr
