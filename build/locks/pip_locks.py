"""Writer of the pip locks: uv resolves locks/*.in into locks/*.txt with hashes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from build.conda.redaction import contains_credentials
from build.errors import CommandFailedError, MissingFileError, UsageError
from build.locks import diff, index_file
from build.locks.diff import Difference
from build.locks.index import PIP_LOCKS, PIP_PLATFORM, WITHOUT_DEPENDENCIES, requirements
from build.progress import Progress
from build.system import command

# No package index or folder of this machine may get into a lock: only hashes identify the packages.
_COMPILE = (
    *("uv", "pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-emit-index-url"),
    *PIP_PLATFORM,
    *("--custom-compile-command", index_file.PIP_COMMAND),
)
_COMPILE_LIMIT_S = 600


def write(root: Path, progress: Progress, *, upgrade: bool = False) -> dict[str, list[Difference]]:
    """Write every pip lock; return the changes in each.

    The working directory must be `root`, because uv writes relative paths into the locks.

    Raises:
        MissingFileError: an .in file does not exist.
        UsageError: an .in file contains credentials.
        CommandFailedError: a lock cannot be resolved; it and the locks after it are unchanged.
    """
    changed = {}
    for name in PIP_LOCKS:
        source, target = Path(f"locks/{name}.in"), Path(f"locks/{name}.txt")
        if not (root / source).exists():
            raise MissingFileError(f"there is no {source}", remedy="run the command in the root of the clone")
        _refuse_credentials(root, str(source))
        progress.step(str(target))
        before = (root / target).read_text() if (root / target).exists() else ""
        options = [*(["--upgrade"] if upgrade else []), *(["--no-deps"] if name in WITHOUT_DEPENDENCIES else [])]
        _compile([*_COMPILE, *options, "--output-file", str(target), str(source)], target)
        index_file.record(root, str(target), index_file.PIP_COMMAND, _uv_version())
        changed[str(target)] = diff.between("pip", before, (root / target).read_text())
        progress.note(f"{len(changed[str(target)])} packages changed")
    return changed


def _refuse_credentials(root: Path, source: str) -> None:
    for name, text in requirements(source, lambda path: (root / path).read_text()).items():
        if wrong := [line for line in text.splitlines() if contains_credentials(line)]:
            raise UsageError(
                f"{name} contains credentials, which git and the lock would store: {'; '.join(wrong)}",
                remedy="give the index without them, and put them into ~/.netrc, which uv reads",
            )


def _uv_version() -> str:
    # The first two words; the third is the platform of the uv binary.
    return " ".join(command.run(["uv", "--version"]).decode().split()[:2])


def _compile(argv: list[str], target: Path) -> None:
    # These variables of uv name package indexes and folders of this machine.
    clean = {name: value for name, value in os.environ.items() if name not in {"UV_FIND_LINKS", "UV_EXTRA_INDEX_URL"}}
    try:
        subprocess.run(argv, env=clean, check=True, capture_output=True, text=True, timeout=_COMPILE_LIMIT_S)
    except FileNotFoundError:
        raise CommandFailedError("uv is not installed", remedy="run `scripts/bootstrap`") from None
    except subprocess.TimeoutExpired:
        raise CommandFailedError(
            f"uv did not resolve {target} within {_COMPILE_LIMIT_S} s", remedy="try again"
        ) from None
    except subprocess.CalledProcessError as error:
        raise CommandFailedError(
            f"{target} cannot be resolved and is unchanged",
            detail=error.stderr.strip(),
            remedy="change its .in file, or check that the package index is reachable",
        ) from None
