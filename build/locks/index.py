"""Whether locks still belong to their inputs: what locks/index.json says against what lies there now."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

INDEX = "locks/index.json"

FLAVOURS = ("slim", "cuda")

# In this order: cuda is constrained to torch's versions, glm to cuda's, dev to slim's.
PIP_LOCKS = ("uv", "tools", "channel", "slim", "torch", "cuda", "glm", "dev", "weights")

# Of these the packages alone are wanted, for what lies in them: nothing that they depend on is locked or installed.
WITHOUT_DEPENDENCIES = {"weights"}

# What the images run; it decides what a resolution gives, so it is an input like the .in files.
PIP_PLATFORM = ("--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu")

_INCLUDE = re.compile(r"^(?:-r|-c|--requirement|--constraint)[ =]+(\S+)$")


@dataclass(frozen=True)
class Entry:
    """What a lock was written from.

    Attributes:
        inputs: name of each input -> sha256 (hex) of what counts of it.
        sha256: of the lock itself.
        command: writes the lock again.
        tool: name and version of what resolved it.
    """

    inputs: Mapping[str, str]
    sha256: str
    command: str
    tool: str


@dataclass(frozen=True)
class Stale:
    """A lock that cannot be trusted, why, and the command that mends it."""

    lock: str
    why: str
    command: str


def conda_lock(flavour: str, *, standin: bool = False) -> str:
    """Where a flavour's conda lock lies; one that is not of environment.yml's own channels says so."""
    return f"locks/conda-{'standin' if standin else 'forge'}-{flavour}-linux-64.lock"


def apt_lock(flavour: str, *, standin: bool) -> str:
    """Where a flavour's apt lock lies; one of a stand-in system says so and never takes the genuine one's place."""
    return f"locks/apt-{flavour}{'.standin' if standin else ''}.txt"


def sha256(text: str) -> str:
    """Hex digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def requirements(path: str, read: Callable[[str], str]) -> dict[str, str]:
    """A requirements file and all that it includes (-r, -c): path -> its lines without comments.

    `read` gives the text under a path relative to the root of the project.
    """
    found: dict[str, str] = {}
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in read(current).splitlines()]
        lines = [line for line in lines if line]
        found[current] = "\n".join(lines)
        included = [match[1] for line in lines if (match := _INCLUDE.match(line))]
        waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(current), name)) for name in included]
    return found


def parse(text: str) -> dict[str, Entry]:
    """The index as it lies in the file.

    Raises:
        ValueError: it is something else.
    """
    try:
        return {
            name: Entry(dict(raw["inputs"]), str(raw["sha256"]), str(raw["command"]), str(raw["tool"]))
            for name, raw in json.loads(text).items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no index of locks: {error!r}") from None


def dump(index: Mapping[str, Entry]) -> str:
    """The index as a file; parse() reads it back."""
    return json.dumps({name: asdict(entry) for name, entry in sorted(index.items())}, indent=2, sort_keys=True) + "\n"


def judge(
    index: Mapping[str, Entry],
    locks: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, str]],
    commands: Mapping[str, str],
) -> list[Stale]:
    """Every lock that is not what the index says.

    Args:
        index: what the lock commands wrote down.
        locks: each lock that is there -> its sha256.
        inputs: each lock in the index -> its inputs as they are now.
        commands: each lock that must be there -> the command that writes it.
    """
    stale = []
    for name in sorted(index.keys() | locks.keys() | commands.keys()):
        entry = index.get(name)
        command = entry.command if entry else commands.get(name, "")
        if why := _why(entry, locks.get(name), inputs.get(name, {})):
            stale.append(Stale(name, why, command or f"git rm {name}"))
    return stale


def _why(entry: Entry | None, found: str | None, inputs: Mapping[str, str]) -> str:
    if found is None:
        return "it is not there"
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
    """Those of the locks that the base image of a flavour is made from, without what only builds it."""
    wanted = {f"locks/{flavour}.txt", conda_lock(flavour)}
    wanted |= {apt_lock(flavour, standin=standin) for standin in (False, True)}
    if flavour == "cuda":
        wanted.add("locks/torch.txt")
    return sorted(wanted.intersection(names))
