"""Do versions that the inputs of a build name work together? Pure: the table and the texts in, contradictions out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from build.locks import requirements
from build.locks.requirements import Package

Table = Mapping[str, Any]
LABEL = "ai.glm-tts."
TABLE = "build/data/compatibility.toml"


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
        wheels: CUDA of the wheels asked for (torch==...+cu118 or an index .../whl/cu118), such as 11.8.
        base: the image that the base stands on, without a digest; None for a flavour without CUDA.
        require: the CUDA of the NVIDIA_REQUIRE_CUDA that the base sets instead of that image's own.
        packages: every package named, by its normalized name.
    """

    python: str = ""
    torch: str = ""
    wheels: str = ""
    base: str | None = None
    require: str = ""
    packages: Mapping[str, Package] = field(default_factory=dict)


def read(environment: str, asked: str, dockerfile: str, flavour: str) -> Facts:
    """The facts in environment.yml, the .in and .txt files of a flavour (as one text), and Dockerfile.base."""
    python = re.search(r"^\s*-\s*python\s*[=<>~!]*\s*(\d+\.\d+)", environment, re.MULTILINE)
    base = re.search(r"^ARG CUDA_IMAGE=([^\s@]+)", dockerfile, re.MULTILINE)
    require = re.search(r"""^(?!\s*#).*\bNVIDIA_REQUIRE_CUDA=["']?cuda>=(\d+\.\d+)""", dockerfile, re.MULTILINE)
    packages, index = requirements.parse(asked)
    torch = packages.get("torch", Package())
    return Facts(
        python=python[1] if python else "",
        torch=torch.version,
        wheels=torch.cuda or index,
        base=(base[1] if base else "(none)") if flavour == "cuda" else None,
        require=require[1] if require else "",
        packages=packages,
    )


def torch_cuda(facts: Facts, table: Table) -> str:
    """The CUDA that torch brings, such as 12.8; empty without torch or for a release that the table does not have."""
    release = _release(facts, table)
    return facts.wheels or str(release["pypi"]) if release else ""


def base_cuda(facts: Facts, table: Table) -> str:
    """The CUDA of the image that the base stands on; empty without one, or for one that the table does not have."""
    return str(_base(facts, table).get("cuda", ""))


def check(facts: Facts, table: Table) -> list[Contradiction]:
    """Every contradiction; what the table does not know is one, since nothing can be said of it."""
    return [
        *_torch(facts, table),
        *_image(facts, table),
        *_driver(facts, table),
        *_extensions(facts, table),
        *_onnxruntime(facts, table),
    ]


def labels(facts: Facts, table: Table) -> dict[str, str]:
    """What an image says of itself; empty where there is no torch."""
    cuda = torch_cuda(facts, table)
    if not cuda:
        return {}
    return {
        LABEL + "torch": facts.torch,
        LABEL + "torch-cuda": cuda,
        LABEL + "base-cuda": base_cuda(facts, table),
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
                f"add it to {TABLE} from PyTorch's release matrix",
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


def _image(facts: Facts, table: Table) -> list[Contradiction]:
    if facts.base is None or facts.base in table["base"]:
        return []
    return [
        Contradiction(
            "base image unknown",
            f"CUDA_IMAGE in Dockerfile.base is {facts.base}, which is not in the compatibility table "
            f"(it has {', '.join(table['base'])}): nothing can be said of its CUDA and its driver",
            f"take one of those, or add it to {TABLE} from its own Dockerfile",
        )
    ]


def _driver(facts: Facts, table: Table) -> list[Contradiction]:
    """An image that lets in a driver on which torch finds no GPU starts, and fails at its first sentence."""
    base, cuda = _base(facts, table), torch_cuda(facts, table)
    if not base or not cuda:
        return []
    let_in = table["driver"].get(_major(facts.require)) or base["driver"]
    needed = table["driver"][_major(cuda)]
    if let_in >= needed:
        return []
    return [
        Contradiction(
            "driver of the base image",
            f"{facts.base} starts on driver {let_in}; torch {facts.torch} (CUDA {cuda}) finds no GPU before {needed}",
            f'set NVIDIA_REQUIRE_CUDA="cuda>={_major(cuda)}.0" in Dockerfile.base',
        )
    ]


def _extensions(facts: Facts, table: Table) -> list[Contradiction]:
    cuda, torch = torch_cuda(facts, table), _minor(facts.torch)
    wanted = f"a wheel of it that names cu{_major(cuda)} or cu{cuda.replace('.', '')}, and torch{torch}"
    found = []
    for name in table["extensions"]["names"] if cuda else ():
        package = facts.packages.get(name)
        if package is None:
            continue
        if package.cuda or package.torch:
            why = _misfit(package, cuda, torch)
        elif package.wheel:
            why = "is a wheel that names no CUDA, so that nothing can be said of it"
        elif name in table["extensions"]["on_pypi"]:
            why = _misfit(Package(cuda=str((_release(facts, table) or {})["pypi"])), cuda, torch)
        else:
            why = _toolkit(facts, table, cuda)
        if why:
            remedy = f"leave {name} out, or take {wanted}"
            found.append(Contradiction("CUDA extension and torch", f"{name} {why}", remedy))
    return found


def _misfit(package: Package, cuda: str, torch: str) -> str:
    """Why a prebuilt wheel does not load into this torch; one that names a major alone (cu12) is for all of it."""
    named = package.cuda if "." in package.cuda else _major(package.cuda)
    if named and named not in (cuda, _major(cuda)):
        return f"comes as a wheel for CUDA {named}, and torch is of CUDA {cuda}: it would not load"
    if package.torch and package.torch != torch:
        return f"comes as a wheel for torch {package.torch}, and torch is {torch}: it would not load"
    return ""


def _toolkit(facts: Facts, table: Table, cuda: str) -> str:
    base = base_cuda(facts, table)
    if not base or _major(cuda) == _major(base):
        return ""
    return (
        f"compiles against the image's CUDA {base}, and torch {facts.torch} is of CUDA {cuda}: "
        "it would not build, or not load"
    )


def _onnxruntime(facts: Facts, table: Table) -> list[Contradiction]:
    version = facts.packages.get("onnxruntime-gpu", Package()).version
    needs = [row for row in table["onnxruntime-gpu"] if version and _number(row["from"]) <= _number(version)]
    if not needs:
        return []
    wanted, there = (needs[-1]["cuda"], needs[-1]["cudnn"]), _libraries(facts, table)
    if wanted in [(_major(cuda), _major(cudnn)) for cuda, cudnn in there]:
        return []
    said = " and ".join(f"CUDA {cuda} with {f'cuDNN {cudnn}' if cudnn else 'no cuDNN'}" for cuda, cudnn in there)
    return [
        Contradiction(
            "onnxruntime-gpu and CUDA",
            f"onnxruntime-gpu {version} links CUDA {wanted[0]} and cuDNN {wanted[1]}, and the image has "
            f"{said or 'no CUDA'}: it would fall back to the CPU without a word",
            "take a release for the CUDA that is there, or onnxruntime where the CPU is meant",
        )
    ]


def _libraries(facts: Facts, table: Table) -> list[tuple[str, str]]:
    """CUDA and cuDNN of torch, and of the image beneath."""
    cuda, release, base = torch_cuda(facts, table), _release(facts, table) or {}, _base(facts, table)
    found = [(cuda, str(release["cuda"].get(cuda, {}).get("cudnn", "")))] if cuda else []
    return found + ([(base["cuda"], base.get("cudnn", ""))] if base else [])


def _release(facts: Facts, table: Table) -> Table | None:
    found: Table | None = table["torch"].get(_minor(facts.torch))
    return found


def _base(facts: Facts, table: Table) -> Table:
    found: Table = table["base"].get(facts.base or "", {})
    return found


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _major(version: str) -> str:
    return version.partition(".")[0]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
