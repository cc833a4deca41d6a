"""What differs between the two stores that a Docker engine may keep its images in.

The classic store names an image by the digest of its configuration and learns a `repo@digest` from a push or a pull.
containerd's store (the default of Docker 29) names an image by the digest of its manifest or index, and derives a
`repo@digest` from each tag, whether or not a registry has the image. docs/decisions/0014-containerd-store.md has the
facts. Everything that must tell the two apart asks here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SNAPSHOTTER = ["driver-type", "io.containerd.snapshotter.v1"]  # in the engine's DriverStatus
CONTAINERD_ROOT = "/var/lib/containerd"
# What a child image inherits from its parent's configuration.
INHERITED = ("Env", "Entrypoint", "Cmd", "User", "WorkingDir", "Volumes", "ExposedPorts", "Labels", "StopSignal")


@dataclass(frozen=True)
class Claim:
    """A `repo@digest` of an image on the engine.

    Attributes:
        certain: the engine learned the digest from a registry; else only the registry can say whether it has the image.
    """

    reference: str
    certain: bool


def by_containerd(info: Mapping[str, Any]) -> bool:
    """True when the engine of this `docker info` keeps its images in containerd's store."""
    return SNAPSHOTTER in [list(pair) for pair in info.get("DriverStatus") or []]


def disk_paths(info: Mapping[str, Any], configured_root: str = "") -> tuple[str, ...]:
    """The folders of the engine's machine that may hold its images; one unless an older engine leaves two open.

    Args:
        info: the engine's `docker info`.
        configured_root: `root` of the machine's containerd configuration, empty for the default.
    """
    docker_root = str(info.get("DockerRootDir", ""))
    if not by_containerd(info):
        return (docker_root,)
    own, system = f"{docker_root}/containerd/daemon", configured_root or CONTAINERD_ROOT
    address = str((info.get("Containerd") or {}).get("Address", ""))  # since engine 27
    if not address:
        return (own, system)
    # A containerd that dockerd starts itself listens in dockerd's own folder under /run.
    return (own,) if "/docker/containerd/" in address else (system,)


def claims(image_id: str, repo_digests: Iterable[str], asked_for: str = "") -> list[Claim]:
    """The image's names that a registry may know, those in the repository `asked_for` first.

    A bare name such as `glm-tts-slim` is a local build's: no push goes to Docker Hub's own namespace.
    """
    found = [
        Claim(name, certain=name.partition("@")[2] != image_id)
        for name in repo_digests
        if "/" in name.partition("@")[0]
    ]
    return sorted(found, key=lambda claim: claim.reference.partition("@")[0] != asked_for)


def tags(names: Iterable[str]) -> list[str]:
    """The `repo:tag` among an image's RepoTags; containerd's store lists a `repo@digest` there as well."""
    return [name for name in names if "@" not in name]


def survives_untagging(tag: str, repo_tags: Iterable[str], repo_digests: Iterable[str]) -> bool:
    """True when an image keeps a name after `tag` goes: another tag, or a digest in another repository.

    A digest goes with the last tag of its repository, in both stores.
    """
    repository = tag.rpartition(":")[0]
    others = [name for name in tags(repo_tags) if name != tag]
    return bool(others) or any(name.partition("@")[0] != repository for name in repo_digests)


def freed_bytes(image: Mapping[str, Any], summary: Mapping[str, Any]) -> int:
    """Bytes that the removal of an image frees at least.

    Args:
        image: `docker image inspect`. Its Size is that of the packed layers in containerd's store.
        summary: its row in `docker system df`. Its Size is that of packed and unpacked layers in containerd's store,
            SharedSize that of unpacked layers alone, so that any of the packed ones may be shared too.
    """
    size, packed = int(summary["Size"]), int(image["Size"])
    unpacked = size - packed if size > packed else size
    return max(0, unpacked - max(0, int(summary.get("SharedSize") or 0)))


def content(image: Mapping[str, Any]) -> str:
    """A digest (sha256:...) of an image's layers and of the configuration its children inherit: one in both stores.

    Args:
        image: `docker image inspect`.
    """
    config = image.get("Config") or {}
    inherited = {name: config[name] for name in INHERITED if config.get(name)}
    layers = (image.get("RootFS") or {}).get("Layers") or []
    text = json.dumps([layers, inherited], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
