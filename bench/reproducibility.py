"""Reproducibility: compare the images of one commit from two clean builders.

It compares every entry of every layer: path, kind, mode, owner, size, link and content, but not times: BuildKit's
docker driver keeps those of the build. No difference is known. One that depends on the date, as in /etc/shadow, shows
only if the builds are on two days.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass

from bench.empty_builder import builder
from build.console import out
from build.verify import layers
from harness.stack import Stack


@dataclass(frozen=True)
class Entry:
    """One path in a layer, without its times."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    size: int
    link: str
    content: str


# By the layer's digest, lowest first.
Listing = dict[str, dict[str, Entry]]


def measure(stack: Stack, runs: int, flavour: str) -> None:
    """Print the number of files, the number that differ, and each that does."""
    sha = stack.commit("bench: twice")
    for _ in range(runs):
        first, second = (_built(stack, sha, flavour) for _ in range(2))
        _show(first, second)
        same = len(first.keys() & second.keys())
        out.print(f"  {same} of {len(first)} layers have identical bytes including times; BuildKit rebuilt the others")


def _built(stack: Stack, sha: str, flavour: str) -> Listing:
    with builder(stack, flavour) as (nested, _):
        stack.run("build.images", "--flavour", flavour, DOCKER_HOST=nested.host)
        image = nested.client.images.get(f"glm-tts-{flavour}:{sha}")
        found: dict[str, dict[str, Entry]] = {}
        for name, layer in layers.open_layers(image):
            found[name.rpartition("/")[2]] = {member.name: _entry(layer, member) for member in layer}
        digests = [digest.removeprefix("sha256:") for digest in image.attrs["RootFS"]["Layers"]]
        return {digest: found[digest] for digest in digests}


def _entry(layer: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    digest = hashlib.sha256()
    if member.isreg() and (content := layer.extractfile(member)):
        while piece := content.read(1 << 20):
            digest.update(piece)
    return Entry(member.type, member.mode, (member.uid, member.gid), member.size, member.linkname, digest.hexdigest())


def _show(first: Listing, second: Listing) -> None:
    differ = [
        (number, path, _differences(one.get(path), other.get(path)))
        for number, (one, other) in enumerate(zip(first.values(), second.values(), strict=True), start=1)
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    ]
    total = sum(map(len, first.values()))
    out.print(f"{total} entries in {len(first)} layers, built twice: {len(differ)} differ (without times)")
    for number, path, what in differ:
        out.print(f"  layer {number}: {path}: {what}")


def _differences(one: Entry | None, other: Entry | None) -> str:
    """Return the fields in which two entries differ."""
    if one is None or other is None:
        return "in one layer only"
    return ", ".join(name for name in Entry.__dataclass_fields__ if getattr(one, name) != getattr(other, name))
