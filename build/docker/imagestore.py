"""Differences between the two image stores of a Docker engine.

The classic store identifies an image by the digest of its configuration and learns a `repo@digest` from a push or pull.
containerd's store (the default in Docker 29) identifies an image by the digest of its manifest or index. It derives a
`repo@digest` from each tag, whether or not a registry has the image. See docs/decisions/0014-containerd-store.md. All
code that depends on the store uses this module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SNAPSHOTTER = ["driver-type", "io.containerd.snapshotter.v1"]  # in the engine's DriverStatus
CONTAINERD_ROOT = "/var/lib/containerd"
# Configuration that a child image inherits from its parent.
INHERITED = ("Env", "Entrypoint", "Cmd", "User", "WorkingDir", "Volumes", "ExposedPorts", "Labels", "StopSignal")


@dataclass(frozen=True)
class RepoDigest:
    """A `repo@digest` of an image on the engine.

    Attributes:
        certain: the engine learned the digest from a registry. If false, only the registry knows whether it has the
            image.
    """

    reference: str
    certain: bool


def uses_containerd_store(info: Mapping[str, Any]) -> bool:
    """Whether the engine with this `docker info` uses containerd's image store."""
    return SNAPSHOTTER in [list(pair) for pair in info.get("DriverStatus") or []]


def disk_paths(info: Mapping[str, Any], configured_root: str = "") -> tuple[str, ...]:
    """Folders on the engine's machine that may hold its images: one, or two if an older engine does not say which.

    Args:
        info: the engine's `docker info`.
        configured_root: `root` in the machine's containerd configuration; empty for the default.
    """
    docker_root = str(info.get("DockerRootDir", ""))
    if not uses_containerd_store(info):
        return (docker_root,)
    private, system = f"{docker_root}/containerd/daemon", configured_root or CONTAINERD_ROOT
    address = str((info.get("Containerd") or {}).get("Address", ""))  # since engine 27
    if not address:
        return (private, system)
    # A containerd that dockerd started listens in dockerd's folder under /run.
    return (private,) if "/docker/containerd/" in address else (system,)


def claims(image_id: str, repo_digests: Iterable[str], preferred: str = "") -> list[RepoDigest]:
    """The image's names that a registry may know, with those in the repository `preferred` first.

    A bare name such as `glm-tts-slim` belongs to a local build: the project never pushes to Docker Hub's own namespace.
    """
    found = [
        RepoDigest(name, certain=name.partition("@")[2] != image_id)
        for name in repo_digests
        if "/" in name.partition("@")[0]
    ]
    return sorted(found, key=lambda claim: claim.reference.partition("@")[0] != preferred)


def tags(names: Iterable[str]) -> list[str]:
    """The `repo:tag` names among an image's RepoTags; containerd's store also lists `repo@digest` names there."""
    return [name for name in names if "@" not in name]


def survives_untagging(tag: str, repo_tags: Iterable[str], repo_digests: Iterable[str]) -> bool:
    """Whether an image keeps a name after `tag` is removed: another tag, or a digest in another repository.

    In both stores a digest disappears with the last tag of its repository.
    """
    repository = tag.rpartition(":")[0]
    others = [name for name in tags(repo_tags) if name != tag]
    return bool(others) or any(name.partition("@")[0] != repository for name in repo_digests)


def freed_bytes(image: Mapping[str, Any], summary: Mapping[str, Any]) -> int:
    """Minimum number of bytes that removing an image frees.

    Args:
        image: `docker image inspect`. In containerd's store, Size counts the packed layers.
        summary: the image's row in `docker system df`. In containerd's store, Size counts packed and unpacked layers.
            SharedSize counts unpacked layers only, so all packed layers may be shared too.
    """
    size, packed = int(summary["Size"]), int(image["Size"])
    unpacked = size - packed if size > packed else size
    return max(0, unpacked - max(0, int(summary.get("SharedSize") or 0)))


def content(image: Mapping[str, Any]) -> str:
    """Digest (sha256:...) of an image's layers and inherited configuration, the same in both stores.

    Args:
        image: `docker image inspect`.
    """
    config = image.get("Config") or {}
    inherited = {name: config[name] for name in INHERITED if config.get(name)}
    layers = (image.get("RootFS") or {}).get("Layers") or []
    text = json.dumps([layers, inherited], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
