"""Compatibility rules for the versions in a build's inputs: table and texts in, contradictions out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from build.locks import requirements
from build.locks.requirements import Package
from build.model.labels import BASE_CUDA_LABEL, MINIMUM_DRIVER_LABEL, TORCH_CUDA_LABEL, TORCH_LABEL

Table = Mapping[str, Any]
TABLE = "build/data/compatibility.toml"


@dataclass(frozen=True)
class Contradiction:
    """Two versions that exclude each other."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True)
class DeclaredVersions:
    """Versions in the inputs of one flavour; a field is empty if the inputs do not name it.

    Attributes:
        python: such as 3.11.
        torch: such as 2.9.1, without its local version.
        wheels: CUDA version of the requested wheels (torch==...+cu118 or an index .../whl/cu118), such as 11.8.
        base: parent image of the base image, without a digest; None for a flavour without CUDA.
        require: CUDA version in the NVIDIA_REQUIRE_CUDA that Dockerfile.base sets, which overrides the parent's.
        packages: all named packages by normalized name.
    """

    python: str = ""
    torch: str = ""
    wheels: str = ""
    base: str | None = None
    require: str = ""
    packages: Mapping[str, Package] = field(default_factory=dict)


def read(environment: str, requested: str, dockerfile: str, flavour: str) -> DeclaredVersions:
    """Read the facts from environment.yml, the .in and .txt files of a flavour (as one text), and Dockerfile.base."""
    python = re.search(r"^\s*-\s*python\s*[=<>~!]*\s*(\d+\.\d+)", environment, re.MULTILINE)
    base = re.search(r"^ARG CUDA_IMAGE=([^\s@]+)", dockerfile, re.MULTILINE)
    require = re.search(r"""^(?!\s*#).*\bNVIDIA_REQUIRE_CUDA=["']?cuda>=(\d+\.\d+)""", dockerfile, re.MULTILINE)
    packages, index = requirements.parse(requested)
    torch = packages.get("torch", Package())
    return DeclaredVersions(
        python=python[1] if python else "",
        torch=torch.version,
        wheels=torch.cuda or index,
        base=(base[1] if base else "(none)") if flavour == "cuda" else None,
        require=require[1] if require else "",
        packages=packages,
    )


def torch_cuda(facts: DeclaredVersions, table: Table) -> str:
    """CUDA version that torch brings, such as 12.8; empty without torch or if the table lacks the release."""
    release = _release(facts, table)
    return facts.wheels or str(release["pypi"]) if release else ""


def base_cuda(facts: DeclaredVersions, table: Table) -> str:
    """CUDA version of the base's parent image; empty if there is none or the table lacks the image."""
    return str(_base(facts, table).get("cuda", ""))


def check(facts: DeclaredVersions, table: Table) -> list[Contradiction]:
    """List every contradiction; a version that the table lacks is one, because it cannot be judged."""
    return [
        *_torch(facts, table),
        *_image(facts, table),
        *_driver(facts, table),
        *_extensions(facts, table),
        *_onnxruntime(facts, table),
    ]


def labels(facts: DeclaredVersions, table: Table) -> dict[str, str]:
    """Image labels with torch, CUDA and driver versions; empty for a flavour without torch."""
    cuda = torch_cuda(facts, table)
    if not cuda:
        return {}
    return {
        TORCH_LABEL: facts.torch,
        TORCH_CUDA_LABEL: cuda,
        BASE_CUDA_LABEL: base_cuda(facts, table),
        MINIMUM_DRIVER_LABEL: str(table["driver"].get(_major(cuda), "")),
    }


def _torch(facts: DeclaredVersions, table: Table) -> list[Contradiction]:
    release, found = _release(facts, table), []
    if not facts.torch:
        return []
    if release is None:
        known = ", ".join(table["torch"])
        return [
            Contradiction(
                "torch unknown",
                f"torch {facts.torch} is not in the compatibility table (it has {known})",
                f"add it to {TABLE} from PyTorch's release matrix",
            )
        ]
    if facts.wheels and facts.wheels not in release["cuda"]:
        available = ", ".join(release["cuda"])
        found.append(
            Contradiction(
                "torch and its wheels",
                f"torch {facts.torch} has no wheels for CUDA {facts.wheels} (it has {available}): uv would fail",
                "use the wheels from PyPI: remove the +cu tag and the index; the base may have another CUDA than torch",
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


def _image(facts: DeclaredVersions, table: Table) -> list[Contradiction]:
    if facts.base is None or facts.base in table["base"]:
        return []
    return [
        Contradiction(
            "base image unknown",
            f"CUDA_IMAGE in Dockerfile.base is {facts.base}, which is not in the compatibility table "
            f"(it has {', '.join(table['base'])}), so its CUDA and driver are unknown",
            f"use one of those, or add it to {TABLE} from its own Dockerfile",
        )
    ]


def _driver(facts: DeclaredVersions, table: Table) -> list[Contradiction]:
    """Check that the image refuses drivers on which torch finds no GPU; otherwise the first synthesis would fail."""
    base, cuda = _base(facts, table), torch_cuda(facts, table)
    if not base or not cuda:
        return []
    accepted = table["driver"].get(_major(facts.require)) or base["driver"]
    needed = table["driver"][_major(cuda)]
    if accepted >= needed:
        return []
    return [
        Contradiction(
            "driver of the base image",
            f"{facts.base} starts on driver {accepted}; torch {facts.torch} (CUDA {cuda}) finds no GPU before {needed}",
            f'set NVIDIA_REQUIRE_CUDA="cuda>={_major(cuda)}.0" in Dockerfile.base',
        )
    ]


def _extensions(facts: DeclaredVersions, table: Table) -> list[Contradiction]:
    cuda, torch = torch_cuda(facts, table), _minor(facts.torch)
    wheel = f"a wheel that names cu{_major(cuda)} or cu{cuda.replace('.', '')}, and torch{torch}"
    found = []
    for name in table["extensions"]["names"] if cuda else ():
        package = facts.packages.get(name)
        if package is None:
            continue
        if package.cuda or package.torch:
            why = _misfit(package, cuda, torch)
        elif package.wheel:
            why = "is a wheel that names no CUDA, so its compatibility is unknown"
        elif name in table["extensions"]["on_pypi"]:
            why = _misfit(Package(cuda=str((_release(facts, table) or {})["pypi"])), cuda, torch)
        else:
            why = _toolkit(facts, table, cuda)
        if why:
            remedy = f"remove {name}, or use {wheel}"
            found.append(Contradiction("CUDA extension and torch", f"{name} {why}", remedy))
    return found


def _misfit(package: Package, cuda: str, torch: str) -> str:
    """Why a prebuilt wheel does not load into this torch; a major version alone (cu12) fits all its minor versions."""
    built_for = package.cuda if "." in package.cuda else _major(package.cuda)
    if built_for and built_for not in (cuda, _major(cuda)):
        return f"is a wheel for CUDA {built_for}, but torch uses CUDA {cuda}: it would not load"
    if package.torch and package.torch != torch:
        return f"is a wheel for torch {package.torch}, but torch is {torch}: it would not load"
    return ""


def _toolkit(facts: DeclaredVersions, table: Table, cuda: str) -> str:
    base = base_cuda(facts, table)
    if not base or _major(cuda) == _major(base):
        return ""
    return (
        f"compiles against the image's CUDA {base}, but torch {facts.torch} uses CUDA {cuda}: "
        "it would not build or not load"
    )


def _onnxruntime(facts: DeclaredVersions, table: Table) -> list[Contradiction]:
    version = facts.packages.get("onnxruntime-gpu", Package()).version
    needs = [row for row in table["onnxruntime-gpu"] if version and _number(row["from"]) <= _number(version)]
    if not needs:
        return []
    needed, present = (needs[-1]["cuda"], needs[-1]["cudnn"]), _libraries(facts, table)
    if needed in [(_major(cuda), _major(cudnn)) for cuda, cudnn in present]:
        return []
    libraries = " and ".join(f"CUDA {cuda} with {f'cuDNN {cudnn}' if cudnn else 'no cuDNN'}" for cuda, cudnn in present)
    return [
        Contradiction(
            "onnxruntime-gpu and CUDA",
            f"onnxruntime-gpu {version} links CUDA {needed[0]} and cuDNN {needed[1]}, but the image has "
            f"{libraries or 'no CUDA'}: it would silently fall back to the CPU",
            "use a release for the image's CUDA, or onnxruntime if the CPU is intended",
        )
    ]


def _libraries(facts: DeclaredVersions, table: Table) -> list[tuple[str, str]]:
    """CUDA and cuDNN versions of torch and of the base's parent image."""
    cuda, release, base = torch_cuda(facts, table), _release(facts, table) or {}, _base(facts, table)
    found = [(cuda, str(release["cuda"].get(cuda, {}).get("cudnn", "")))] if cuda else []
    return found + ([(base["cuda"], base.get("cudnn", ""))] if base else [])


def _release(facts: DeclaredVersions, table: Table) -> Table | None:
    found: Table | None = table["torch"].get(_minor(facts.torch))
    return found


def _base(facts: DeclaredVersions, table: Table) -> Table:
    found: Table = table["base"].get(facts.base or "", {})
    return found


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _major(version: str) -> str:
    return version.partition(".")[0]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
