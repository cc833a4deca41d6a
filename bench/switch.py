"""A release under load: this project's cutover beside `docker compose up -d` in place, same images, same load."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import requests

from build.console import out
from tests.support.load import Report, capacity, hammering
from tests.support.stack import Stack, free_port, wait_for

IN_PLACE = """\
name: {project}-in-place
services:
  app:
    image: ${{IMAGE}}
    ports: ["127.0.0.1:{port}:7860"]
    read_only: true
    tmpfs: ["/tmp", "/run/service:mode=0700,uid=10001,gid=10001"]
    stop_grace_period: 150s
"""


def measure(stack: Stack, runs: int) -> None:
    """Prints requests sent and failed, and seconds from command to end, for both ways."""
    images = [stack.release(f"bench: switch {number}") for number in range(2)]
    stack.run("build.cutover", "switch")
    rate = min(10.0, capacity(stack.url) / 2)
    ours = [_under_load(stack.url, rate, partial(_other, stack, images)) for _ in range(runs)]
    _show("build.cutover switch", ours, rate)
    stack.compose("--profile", "*", "stop")
    with _in_place(stack) as (url, deploy):
        deploy(images[0])
        theirs = [_under_load(url, rate, partial(deploy, images[(number + 1) % 2])) for number in range(runs)]
    _show("docker compose up -d", theirs, rate)


def _other(stack: Stack, shas: list[str]) -> None:
    status = stack.status()
    live = status["colours"][status["live"]]["release"]["sha"]
    stack.run("build.cutover", "switch", next(sha for sha in shas if sha != live))


def _under_load(url: str, rate: float, act: Callable[[], None]) -> tuple[Report, float]:
    with hammering(url, rate) as load:
        wait_for("traffic", lambda: len(load.report.samples) > rate)
        began = time.monotonic()
        act()
        seconds = time.monotonic() - began
        served = len(load.report.samples)
        wait_for("traffic afterwards", lambda: len(load.report.samples) > served + rate)
    return load.report, seconds


def _show(way: str, results: list[tuple[Report, float]], rate: float) -> None:
    sent = sum(len(report.samples) for report, _ in results)
    failed = sum(len(report.failed) for report, _ in results)
    took = median(seconds for _, seconds in results)
    load = f"{len(results)} runs at {rate:.1f} a second"
    out.print(f"{way:<22} {sent:5} sent  {failed:5} failed  {took:5.1f} s each  ({load})")


@contextlib.contextmanager
def _in_place(stack: Stack) -> Iterator[tuple[str, Callable[[str], None]]]:
    """One container that Compose recreates: what most teams begin with."""
    port = free_port()
    file = Path(stack.root).parent / "in-place.yaml"
    file.write_text(IN_PLACE.format(project=stack.project, port=port))
    compose = ["docker", "compose", "--file", str(file)]
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return requests.get(f"{url}/readyz", timeout=2).ok
        except requests.RequestException:
            return False

    def deploy(sha: str) -> None:
        env = {**os.environ, "IMAGE": f"glm-tts-slim:{sha}"}
        subprocess.run([*compose, "up", "--detach"], check=True, capture_output=True, env=env)
        wait_for("the service", ready)

    try:
        yield url, deploy
    finally:
        subprocess.run([*compose, "down"], check=True, capture_output=True, env={**os.environ, "IMAGE": "none"})
