"""A first build on an empty builder against a typical Dockerfile: pip, same versions, same OS image.

Both start with only the upstream images, on a separate engine, and end with a tagged image.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from bench.empty_builder import builder
from build.console import out
from build.images import build_secrets
from harness.stack import Stack

# No hashes, no conda, no checks, but optimized for size. It still has to support a network that inspects TLS.
PLAIN = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates \\
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=secret,id=ca if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \\
 && pip install --no-cache-dir -r requirements.txt
COPY voices voices
COPY service service
CMD ["python", "-m", "service"]
"""
LOCKS = {"slim": ("slim",), "cuda": ("torch", "cuda")}
LIMIT_S = 3600


@dataclass(frozen=True)
class ColdBuild:
    """One build: seconds to the tagged image, seconds of its verification, and its size."""

    built_s: float
    checked_s: float
    size_mb: float


def measure(stack: Stack, runs: int, flavour: str) -> None:
    """Print the medians of `runs` builds of each kind, interleaved."""
    ours, theirs = [], []
    for number in range(runs):
        ours.append(_ours(stack, flavour, f"bench: cold {number}"))
        theirs.append(_theirs(stack, flavour))
    mine = _show(f"build.images --flavour {flavour}", ours)
    other = _show(f"plain pip, {flavour}", theirs)
    out.print(f"ratios: {mine.built_s / other.built_s:.2f} in seconds, {mine.size_mb / other.size_mb:.2f} in MB")


def _show(way: str, results: list[ColdBuild]) -> ColdBuild:
    middle = ColdBuild(*(median(column) for column in zip(*map(astuple, results), strict=True)))
    checked = f", {middle.checked_s:.0f} s more for its verification" if middle.checked_s else ""
    out.print(
        f"{way}: {middle.built_s:.0f} s from command to tagged image{checked}; "
        f"{middle.size_mb:.0f} MB (median of {len(results)})"
    )
    return middle


def _ours(stack: Stack, flavour: str, change: str) -> ColdBuild:
    sha = stack.commit(change)
    with builder(stack, flavour) as (nested, _):
        began = time.monotonic()
        stack.run("build.images", "--flavour", flavour, DOCKER_HOST=nested.host)
        took = time.monotonic() - began
        size = nested.client.images.get(f"glm-tts-{flavour}:{sha}").attrs["Size"]
    record = json.loads(stack.run("build.images", "history", "--json").stdout.splitlines()[-1])
    checked = sum(seconds for phase, seconds in record["seconds"].items() if phase.startswith("verify"))
    return ColdBuild(took - checked, checked, size / 1e6)


def _theirs(stack: Stack, flavour: str) -> ColdBuild:
    with builder(stack, flavour) as (nested, upstream), tempfile.TemporaryDirectory() as scratch:
        base = upstream["CUDA_IMAGE" if flavour == "cuda" else "OS_IMAGE"].reference
        tree = Path(scratch)
        (tree / "Dockerfile").write_text(PLAIN.format(base=base))
        (tree / "requirements.txt").write_text(_requirements(stack.root, flavour))
        for folder in ("voices", "service"):
            shutil.copytree(stack.root / folder, tree / folder)
        secret = [word for option in build_secrets.ca() for word in ("--secret", option)]
        began = time.monotonic()
        nested.run("docker", "buildx", "build", "--quiet", "--tag", "plain", *secret, str(tree), limit_s=LIMIT_S)
        took = time.monotonic() - began
        return ColdBuild(took, 0.0, nested.client.images.get("plain").attrs["Size"] / 1e6)


def _requirements(root: Path, flavour: str) -> str:
    """Return the same versions as in the locks."""
    text = "\n".join((root / f"locks/{name}.txt").read_text() for name in LOCKS[flavour])
    return "\n".join(re.findall(r"^(\w.*==.*?) *\\$", text, re.MULTILINE)) + "\n"
