"""What pip requirements name: packages, their versions, and what the names of wheels and indexes say of CUDA. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_NAMED = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:@\s*(\S+)|[=~]=\s*([^\s;,\\]+))?(?=[\s;,\\<>!]|$)"
)
_WHEEL = re.compile(r"([^/\s-]+)-([^/\s-]+)-[^/\s]+\.whl(?=[#?]|$)")
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url|-f|--find-links)[ =]\S*/cu(\d\d)(\d)\b")
_CUDA = re.compile(r"(?<![a-z])cu(\d\d)(\d?)(?!\d)")
_TORCH = re.compile(r"(?:torch|(?<![A-Za-z])pt)(\d)\.?(\d+)")


@dataclass(frozen=True)
class Package:
    """A package as requirements name it; empty where they say nothing.

    Attributes:
        version: without its local part.
        cuda, torch: what a prebuilt wheel names, in its local version (+cu12torch2.9) or its address: 12 or 12.8, 2.9.
        wheel: it is given as the address of a wheel.
    """

    version: str = ""
    cuda: str = ""
    torch: str = ""
    wheel: bool = False


def parse(text: str) -> tuple[dict[str, Package], str]:
    """Every package by its normalized name, and the CUDA of the index that is asked (.../whl/cu118), such as 11.8.

    Of a package that is named several times (a .in file and its lock), the last that says a thing counts.
    """
    found: dict[str, Package] = {}
    index = ""
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).rstrip("\\").strip()
        if asked := _INDEX.match(line):
            index = ".".join(asked.groups())
        if named := _read(line):
            name, now = named
            before = found.get(name, now)
            found[name] = Package(
                now.version or before.version,
                now.cuda or before.cuda,
                now.torch or before.torch,
                now.wheel or before.wheel,
            )
    return found, index


def _read(line: str) -> tuple[str, Package] | None:
    address = unquote(line.partition(" ")[0])
    if wheel := _wheel(address):
        return _normalized(wheel[1]), _package(wheel[2], address, wheel=True)
    named = _NAMED.match(line)
    if named is None:
        return None
    name, address, version = _normalized(named[1]), unquote(named[2] or ""), named[3] or ""
    if wheel := _wheel(address):
        return name, _package(wheel[2], address, wheel=True)
    return name, _package(version, version)


def _wheel(address: str) -> re.Match[str] | None:
    # Most of a lock's lines are hashes, which the pattern alone would go through again from each of their letters.
    return _WHEEL.search(address) if ".whl" in address else None


def _package(version: str, says: str, *, wheel: bool = False) -> Package:
    # The last counts: a wheel's own name comes after the folder that it lies in.
    cuda, torch = _CUDA.findall(says), _TORCH.findall(says)
    return Package(
        version.partition("+")[0].removesuffix(".*"),
        ".".join(part for part in cuda[-1] if part) if cuda else "",
        ".".join(torch[-1]) if torch else "",
        wheel,
    )


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
