"""Parser for pip requirements: packages, versions, and the CUDA and torch versions in wheel and index names. Pure."""

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
    """A package in requirements; a field is empty if they do not name it.

    Attributes:
        version: without its local part.
        cuda, torch: versions that a prebuilt wheel names in its local version (+cu12torch2.9) or URL: 12 or 12.8, 2.9.
        wheel: the requirement is the URL or path of a wheel.
    """

    version: str = ""
    cuda: str = ""
    torch: str = ""
    wheel: bool = False


def parse(text: str) -> tuple[dict[str, Package], str]:
    """Parse requirements into packages by normalized name, and the CUDA version of the index (.../whl/cu118: 11.8).

    If a package occurs several times (in a .in file and its lock), the last value of each field counts.
    """
    found: dict[str, Package] = {}
    index = ""
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).rstrip("\\").strip()
        if option := _INDEX.match(line):
            index = ".".join(option.groups())
        if package := _read(line):
            name, now = package
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
    match = _NAMED.match(line)
    if match is None:
        return None
    name, address, version = _normalized(match[1]), unquote(match[2] or ""), match[3] or ""
    if wheel := _wheel(address):
        return name, _package(wheel[2], address, wheel=True)
    return name, _package(version, version)


def _wheel(address: str) -> re.Match[str] | None:
    # Most lines of a lock are hashes, on which the pattern alone would be slow: it restarts at every character.
    return _WHEEL.search(address) if ".whl" in address else None


def _package(version: str, text: str, *, wheel: bool = False) -> Package:
    # The last match counts: the wheel's file name follows its folder in the URL.
    cuda, torch = _CUDA.findall(text), _TORCH.findall(text)
    return Package(
        version.partition("+")[0].removesuffix(".*"),
        ".".join(part for part in cuda[-1] if part) if cuda else "",
        ".".join(torch[-1]) if torch else "",
        wheel,
    )


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
