"""Do versions that the inputs of a build name work together? Pure: the table and the texts in, contradictions out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Table = Mapping[str, Any]
LABEL = "ai.glm-tts."
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*[=~]=\s*([0-9][0-9.]*)(?:\+(\w+))?", re.MULTILINE)
_REQUIREMENT = re.compile(r"^([A-Za-z][A-Za-z0-9._-]*)", re.MULTILINE)
_WHEELS = re.compile(r"^[^#\n]*/cu(\d{2})(\d)\b|^[^#\n]*\+cu(\d{2})(\d)\b", re.MULTILINE)


@dataclass(frozen=True)
class Contradiction:
    """Two versions that exclude each other: a short name, what and why, what to do."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """What the inputs of one flavour name; empty where they name nothing.

    Attributes:
        python: such as 3.11.
        torch: such as 2.9.1, without its local tag.
        wheels: CUDA of the wheels asked for (+cu118 or an index .../whl/cu118), such as 11.8.
        base_cuda: CUDA of the image that the base stands on.
        packages: every package named, in lower case, with its pinned version or an empty one.
    """

    python: str
    torch: str
    wheels: str
    base_cuda: str
    packages: Mapping[str, str]


def read(environment: str, requirements: str, dockerfile: str, flavour: str) -> Facts:
    """The facts in environment.yml, the .in and .txt files of a flavour (as one text), and Dockerfile.base."""
    python = re.search(r"^\s*-\s*python\s*[=<>~!]*\s*(\d+\.\d+)", environment, re.MULTILINE)
    cuda = re.search(r"^ARG CUDA_IMAGE=\S*?:(\d+\.\d+)", dockerfile, re.MULTILINE)
    pins = {name.lower().replace("_", "-"): version for name, version, _ in _PIN.findall(requirements)}
    named = {name.lower().replace("_", "-"): "" for name in _REQUIREMENT.findall(requirements)}
    wheels = _WHEELS.search(requirements)
    return Facts(
        python=python[1] if python else "",
        torch=pins.get("torch", ""),
        wheels=".".join(part for part in wheels.groups() if part) if wheels else "",
        base_cuda=cuda[1] if cuda and flavour == "cuda" else "",
        packages={**named, **pins},
    )


def torch_cuda(facts: Facts, table: Table) -> str:
    """The CUDA that torch brings, such as 12.8; empty without torch or for a release that the table does not have."""
    release = _release(facts, table)
    return facts.wheels or str(release["pypi"]) if release else ""


def check(facts: Facts, table: Table) -> list[Contradiction]:
    """Every contradiction; a torch that the table does not know is one, since nothing can be said of it."""
    return [*_torch(facts, table), *_extensions(facts, table), *_onnxruntime(facts, table)]


def labels(facts: Facts, table: Table) -> dict[str, str]:
    """What an image says of itself; empty where there is no torch."""
    cuda = torch_cuda(facts, table)
    if not cuda:
        return {}
    return {
        LABEL + "torch": facts.torch,
        LABEL + "torch-cuda": cuda,
        LABEL + "base-cuda": facts.base_cuda,
        LABEL + "minimum-driver": str(table["driver"].get(_major(cuda), "")),
    }


def _torch(facts: Facts, table: Table) -> list[Contradiction]:
    release, found = _release(facts, table), []
    if not facts.torch:
        return []
    if release is None:
        known = ", ".join(table["torch"])
        return [
            Contradiction(
                "torch unknown",
                f"torch {facts.torch} is not in the compatibility table (it has {known})",
                "add it to build/data/compatibility.toml from PyTorch's release matrix",
            )
        ]
    if facts.wheels and facts.wheels not in release["cuda"]:
        there = ", ".join(release["cuda"])
        found.append(
            Contradiction(
                "torch and its wheels",
                f"torch {facts.torch} has no wheels for CUDA {facts.wheels} (it has {there}), so nothing could install",
                "take the wheels from PyPI: drop the +cu tag and the index; the base's CUDA need not be torch's",
            )
        )
    oldest, newest = release["python"]
    if facts.python and not _number(oldest) <= _number(facts.python) <= _number(newest):
        found.append(
            Contradiction(
                "python and torch",
                f"Python {facts.python} cannot run torch {facts.torch}, which needs {oldest} to {newest}",
                "set python=3.11.* in environment.yml",
            )
        )
    return found


def _extensions(facts: Facts, table: Table) -> list[Contradiction]:
    cuda = torch_cuda(facts, table)
    if not cuda or not facts.base_cuda or _major(cuda) == _major(facts.base_cuda):
        return []
    return [
        Contradiction(
            "CUDA extension and toolkit",
            f"{name} compiles against the image's CUDA {facts.base_cuda}, and torch {facts.torch} is CUDA {cuda}: "
            "it would not build, or not load",
            f"leave {name} out, or take a base image whose CUDA is {cuda}",
        )
        for name in table["extensions"]["names"]
        if name in facts.packages
    ]


def _onnxruntime(facts: Facts, table: Table) -> list[Contradiction]:
    version = facts.packages.get("onnxruntime-gpu", "")
    needs = [row for row in table["onnxruntime-gpu"] if version and _number(row["from"]) <= _number(version)]
    if not needs:
        return []
    cuda, there = needs[-1]["cuda"], torch_cuda(facts, table) or facts.base_cuda
    if _major(there) == cuda:
        return []
    return [
        Contradiction(
            "onnxruntime-gpu and CUDA",
            f"onnxruntime-gpu {version} links CUDA {cuda} and cuDNN {needs[-1]['cudnn']}, and the image has "
            f"{f'CUDA {there}' if there else 'none'}: it would fall back to the CPU without a word",
            "take a release for the CUDA that is there, or onnxruntime where the CPU is meant",
        )
    ]


def _release(facts: Facts, table: Table) -> Table | None:
    found: Table | None = table["torch"].get(".".join(facts.torch.split(".")[:2]))
    return found


def _major(version: str) -> str:
    return version.partition(".")[0]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
