"""What a commit costs: seconds to a tagged image and bytes into the registry, beside `docker compose build && push`.

Both ways build the same Dockerfile.app on the same base, and push to the same registry; the commits differ, by one line
of code each. Bytes are those of layers and configuration (compressed) that the registry had not before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import requests

from build.console import out
from build.decisions.names import OCI
from build.drivers import command
from build.errors import CommandFailedError
from tests.support.registry import Running, running_registry
from tests.support.stack import Stack

COMPOSE = """\
services:
  app:
    image: {registry}/compose:${{SHA}}
    build:
      context: .
      dockerfile: Dockerfile.app
      args: {{BASE: "{base}", RELEASE: "${{SHA}}"}}
"""
ACCEPT = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


def measure(stack: Stack, runs: int) -> None:
    """Prints medians of `runs` rebuilds of each kind."""
    with running_registry(project=stack.project) as registry:
        stack.registries.append(registry.address)
        stack.release("bench: the first")
        unchanged = median(_timed(lambda: stack.run("build.images")) for _ in range(runs))
        stack.run("build.images", "--push", registry.address)
        ours = [_ours(stack, registry, f"bench: {number}") for number in range(runs)]
        theirs = [_theirs(stack, registry, f"bench: compose {number}") for number in range(runs + 1)][1:]
    out.print(f"no change           {unchanged:5.2f} s from command to answer  (medians of {runs})")
    _show("build.images --push", ours)
    _show("docker compose build && push", theirs)


def _show(way: str, results: list[tuple[float, float, int, int]]) -> None:
    made, all_of_it, size, layers = (median(column) for column in zip(*results, strict=True))
    out.print(
        f"{way:<29} {made:5.2f} s to the tagged image, {all_of_it:5.2f} s to the end, "
        f"{size:.0f} bytes pushed, {layers:.0f} layers"
    )


def _ours(stack: Stack, registry: Running, change: str) -> tuple[float, float, int, int]:
    """Seconds to the tagged image (a run that builds only), to the end of a pushing one, bytes, new layers."""
    known = _blobs(registry, "glm-tts-slim")
    stack.releases.append(stack.commit(change))
    process = stack.start("build.images", "--push", registry.address)
    began = time.monotonic()
    made = 0.0
    for line in process.stdout or ():
        if "naming to" in line and "glm-tts-slim:" in line:
            made = time.monotonic() - began
    if code := process.wait():
        raise CommandFailedError(f"build.images --push exited with {code}")
    took = time.monotonic() - began
    return made, took, *_new(registry, "glm-tts-slim", stack.releases[-1], known)


def _theirs(stack: Stack, registry: Running, change: str) -> tuple[float, float, int, int]:
    known = _blobs(registry, "compose")
    base = stack.docker.images.get(f"glm-tts-slim:{stack.releases[-1]}").labels[f"{OCI}base.name"]
    sha = stack.commit(change)
    file = Path(stack.root).parent / "plain.yaml"
    file.write_text(COMPOSE.format(registry=registry.address, base=base))
    compose = ["docker", "compose", "--project-directory", str(stack.root), "--file", str(file)]
    env = {**os.environ, "SHA": sha}
    made = _timed(lambda: command.run([*compose, "build"], env=env))
    took = made + _timed(lambda: command.run([*compose, "push"], env=env))
    return made, took, *_new(registry, "compose", sha, known)


def _timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _new(registry: Running, repository: str, tag: str, known: dict[str, int]) -> tuple[int, int]:
    fresh = {digest: size for digest, size in _manifest(registry, repository, tag).items() if digest not in known}
    return sum(fresh.values()), len(fresh) - 1  # one of them is the configuration


def _blobs(registry: Running, repository: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for tag in registry.tags(repository):
        found |= _manifest(registry, repository, tag)
    return found


def _manifest(registry: Running, repository: str, tag: str) -> dict[str, int]:
    """Size by digest of what a manifest names."""
    url = f"http://{registry.address}/v2/{repository}/manifests/{tag}"
    manifest = requests.get(url, headers={"Accept": ACCEPT}, timeout=5).json()
    parts = [manifest["config"], *manifest["layers"]]
    return {part["digest"]: part["size"] for part in parts}
