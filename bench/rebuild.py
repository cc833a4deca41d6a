"""Cost of a commit: seconds to a tagged image and bytes pushed, against `docker compose build && push`.

Both build the same Dockerfile.app on the same base and push to the same registry. The commits differ by one line of
code each, and the builds are interleaved. Only bytes that the registry lacked count: of the image, its layers and
configuration as sent; of the attached SBOM, report and record, the documents.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import requests

from build.console import out
from build.errors import CommandFailedError
from build.model.labels import OCI
from build.registry.client import ACCEPT
from build.system import command
from harness.registry import Running, running_registry
from harness.stack import Stack

COMPOSE = """\
services:
  app:
    image: {registry}/compose:${{SHA}}
    build:
      context: .
      dockerfile: Dockerfile.app
      args: {{BASE: "{base}", RELEASE: "${{SHA}}"}}
"""
OURS, THEIRS = "glm-tts-slim", "compose"  # repositories in the registry


@dataclass(frozen=True)
class Cost:
    """Cost of one commit: seconds from the command on, bytes, and layers that the registry lacked."""

    made_s: float
    total_s: float
    image_bytes: float
    document_bytes: float
    layers: float
    dependency_layers: float


def measure(stack: Stack, runs: int) -> None:
    """Print the medians of `runs` rebuilds of each kind."""
    with running_registry(project=stack.project) as registry:
        stack.registries.append(registry.address)
        stack.release("bench: the first")
        stack.run("build.images", "--push", registry.address)
        _theirs(stack, registry, "bench: compose, the first")
        stack.release("bench: nothing new")
        unchanged = [_timed(lambda: stack.run("build.images")) for _ in range(runs)]
        ours, theirs = [], []
        for number in range(runs):
            ours.append(_ours(stack, registry, f"bench: {number}"))
            theirs.append(_theirs(stack, registry, f"bench: compose {number}"))
    # On a shared machine the best run tells more about the code than the median.
    out.print(f"no change: {median(unchanged):.2f} s from command to result, best {min(unchanged):.2f} (of {runs})")
    costs = [_show("build.images --push", ours), _show("docker compose build && docker compose push", theirs)]
    ratios = [mine / other for mine, other in zip(astuple(costs[0])[:3], astuple(costs[1])[:3], strict=True)]
    out.print(f"ratios: {ratios[0]:.2f} to the tagged image, {ratios[1]:.2f} to the end, {ratios[2]:.2f} in bytes")


def _show(way: str, costs: list[Cost]) -> Cost:
    middle = Cost(*(median(column) for column in zip(*map(astuple, costs), strict=True)))
    best = min(cost.made_s for cost in costs)
    out.print(
        f"{way} (medians of {len(costs)}): {middle.made_s:.2f} s from command to tagged image, best {best:.2f}; "
        f"{middle.total_s:.2f} s to the end; pushed {middle.image_bytes / 1e3:.1f} kB in {middle.layers:.0f} layers, "
        f"{middle.dependency_layers:.0f} of them dependencies, and {middle.document_bytes / 1e3:.1f} kB of documents"
    )
    return middle


def _ours(stack: Stack, registry: Running, change: str) -> Cost:
    """Run one command; BuildKit's message marks the tag, and the verification and the push follow it."""
    known = _known(registry, OURS)
    sha = stack.commit(change)
    stack.releases.append(sha)
    began, made = time.monotonic(), 0.0
    process = stack.start("build.images", "--push", registry.address)
    for line in process.stdout or ():
        if "naming to" in line and f"{OURS}:{sha}" in line:
            made = time.monotonic() - began
    if code := process.wait():
        raise CommandFailedError(f"build.images --push exited with {code}")
    total = time.monotonic() - began
    return _cost(registry, OURS, sha, known, _base_layers(stack), made, total)


def _theirs(stack: Stack, registry: Running, change: str) -> Cost:
    known = _known(registry, THEIRS)
    base = _base(stack)
    sha = stack.commit(change)
    file = Path(stack.root).parent / "plain.yaml"
    file.write_text(COMPOSE.format(registry=registry.address, base=base))
    compose = ["docker", "compose", "--project-directory", str(stack.root), "--file", str(file)]
    env = {**os.environ, "SHA": sha}
    made = _timed(lambda: command.run([*compose, "build"], env=env))
    total = made + _timed(lambda: command.run([*compose, "push"], env=env))
    return _cost(registry, THEIRS, sha, known, _base_layers(stack), made, total)


def _base(stack: Stack) -> str:
    """Return the reference of the base image, which both kinds of builds use."""
    return str(stack.docker.images.get(f"{OURS}:{stack.releases[-1]}").labels[f"{OCI}base.name"])


def _base_layers(stack: Stack) -> int:
    """Return the number of layers of the base image: the dependencies."""
    return len(stack.docker.images.get(_base(stack)).attrs["RootFS"]["Layers"])


def _timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _cost(
    registry: Running, repository: str, tag: str, known: dict[str, int], base_layers: int, made: float, total: float
) -> Cost:
    manifest, digest = _manifest(registry, repository, tag)
    new = {blob: size for blob, size in _blobs(manifest).items() if blob not in known}
    layers, dependency_layers = new_layers(manifest, new, base_layers)
    index, _ = _manifest(registry, repository, digest.replace(":", "-"))
    documents = [_manifest(registry, repository, entry["digest"])[0] for entry in index.get("manifests", [])]
    return Cost(
        made_s=made,
        total_s=total,
        image_bytes=sum(new.values()),
        document_bytes=sum(sum(_blobs(document).values()) for document in documents),
        layers=layers,
        dependency_layers=dependency_layers,
    )


def new_layers(manifest: dict[str, Any], new: Container[str], base_layers: int) -> tuple[int, int]:
    """Count the layers whose digest is in `new`: all, and those of the base, which are the lowest `base_layers`."""
    numbers = [number for number, layer in enumerate(manifest["layers"]) if layer["digest"] in new]
    return len(numbers), len([number for number in numbers if number < base_layers])


def _known(registry: Running, repository: str) -> dict[str, int]:
    """Return the size by digest of all blobs of a repository's images."""
    found: dict[str, int] = {}
    for tag in registry.tags(repository):
        found |= _blobs(_manifest(registry, repository, tag)[0])
    return found


def _blobs(manifest: dict[str, Any]) -> dict[str, int]:
    """Return the size by digest of a manifest's blobs; empty for an index of documents."""
    parts = [manifest["config"], *manifest["layers"]] if "config" in manifest else []
    return {part["digest"]: part["size"] for part in parts}


def _manifest(registry: Running, repository: str, reference: str) -> tuple[dict[str, Any], str]:
    """Return a manifest and its digest; both empty if it does not exist."""
    url = f"http://{registry.address}/v2/{repository}/manifests/{reference}"
    answer = requests.get(url, headers=ACCEPT, timeout=5)
    return (answer.json(), answer.headers["Docker-Content-Digest"]) if answer.ok else ({}, "")
