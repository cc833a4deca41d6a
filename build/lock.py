"""Writes the locks (`python -m build.lock pip`, `conda`, `apt`), checks them (`check`), exports an image (`export`)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from build import console
from build.conda import virtual
from build.decisions import inventory as inventories
from build.decisions import lockdiff
from build.decisions.lockdiff import Difference
from build.decisions.lockindex import FLAVOURS, PIP_LOCKS, PIP_PLATFORM
from build.drivers import command, git
from build.drivers.engine import Engine
from build.errors import CommandFailedError, MissingFileError, UsageError
from build.procedures import conda_locks, inventory, lockindex, locks
from build.procedures.build_images import BuildImages, Named

ENVIRONMENT = Path("environment.yml")

# Neither index nor folder of the machine that locks may be read or written: hashes alone decide.
_COMPILE = (
    *("uv", "pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-emit-index-url"),
    *PIP_PLATFORM,
    *("--custom-compile-command", lockindex.PIP_COMMAND),
)
_COMPILE_LIMIT_S = 600

app = console.app("Writes the locks that images and .venv are installed from.")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    checked: Annotated[bool, typer.Option("--check", help="the same as the command check")] = False,
) -> None:
    """Writes the locks that images and .venv are installed from."""
    if context.invoked_subcommand:
        return
    if not checked:
        raise UsageError("no command was given", remedy="python -m build.lock --help lists them")
    check()


@app.command()
def check() -> None:
    """Fail when a lock does not belong to its inputs any more, or was edited by hand. Offline."""
    console.Reporter().step(f"{lockindex.check(Path.cwd())} locks belong to their inputs")


@app.command()
def pip(
    upgrade: Annotated[bool, typer.Option(help="take the newest versions instead of keeping what is locked")] = False,
) -> None:
    """Resolve locks/*.in into hash-locked locks/*.txt."""
    report = console.Reporter()
    for name in PIP_LOCKS:
        source, target = Path(f"locks/{name}.in"), Path(f"locks/{name}.txt")
        _require(source)
        report.step(f"{target}")
        before = target.read_text() if target.exists() else ""
        _compile([*_COMPILE, *(["--upgrade"] if upgrade else []), "--output-file", str(target), str(source)], target)
        lockindex.record(Path.cwd(), str(target), lockindex.PIP_COMMAND, _uv_version())
        _show(report, lockdiff.between("pip", before, target.read_text()))


@app.command()
def conda(
    flavour: Annotated[
        Literal["slim", "cuda"] | None, typer.Option(help="for which base; for both when left out")
    ] = None,
    channel: Annotated[list[str] | None, typer.Option(help="solve from this channel (name or URL) instead")] = None,
    glibc: Annotated[str | None, typer.Option(help="C library that another channel's packages will run on")] = None,
) -> None:
    """Solve environment.yml into an explicit lock per flavour; from our own channel where no other can be reached."""
    _require(ENVIRONMENT)
    if glibc and not channel:
        raise UsageError("--glibc goes with --channel", remedy="leave it out: the bases' C library is known")
    report = console.Reporter()
    for each in [flavour] if flavour else FLAVOURS:
        name, changed = conda_locks.write(Path.cwd(), each, report, _own_channel, channel or (), glibc or virtual.GLIBC)
        report.step(name)
        _show(report, changed)


def _own_channel() -> tuple[Engine, Named]:
    settings, engine = console.settings(), Engine()
    settings = settings.model_copy(update={"flavour": "slim"})
    return engine, BuildImages(settings, engine, console.Reporter(), git.read(settings.root)).channel()


@app.command()
def apt(
    flavour: Annotated[
        Literal["slim", "cuda"], typer.Option(help="which base; built first when its inputs changed")
    ] = "slim",
) -> None:
    """Write down every Debian package of the base image, and print what changed."""
    settings, report, engine = console.settings(), console.Reporter(), Engine()
    settings = settings.model_copy(update={"flavour": flavour})
    base = BuildImages(settings, engine, report, git.read(settings.root)).base()
    name, changed = locks.write_apt(engine, settings.root, flavour, base)
    report.step(f"{name} from {base.reference}")
    _show(report, changed)


@app.command()
def export(image: Annotated[str, typer.Argument(help="name, tag or ID of an image on the engine")]) -> None:
    """Print the exact environment of a built image as conda env export would, with its Debian packages as comments."""
    typer.echo(inventories.exported(inventory.read(Engine(), image)), nl=False)


def _show(report: console.Reporter, changed: list[Difference]) -> None:
    """What a lock command changed: an empty cell is a package that was not there, or is not any more."""
    report.note(f"{len(changed)} packages changed")
    if changed:
        table = Table("name", "before", "now")
        for one in changed:
            table.add_row(one.name, one.before, one.now)
        console.out.print(table)


def _uv_version() -> str:
    # Its first two words; the third names the platform it was built for.
    return " ".join(command.run(["uv", "--version"]).decode().split()[:2])


def _require(path: Path) -> None:
    if not path.exists():
        raise MissingFileError(f"there is no {path}", remedy="run this from the root of the project's clone")


def _compile(argv: list[str], target: Path) -> None:
    # uv's own variables name indexes and folders of packages too.
    clean = {name: value for name, value in os.environ.items() if name not in {"UV_FIND_LINKS", "UV_EXTRA_INDEX_URL"}}
    try:
        subprocess.run(argv, env=clean, check=True, capture_output=True, text=True, timeout=_COMPILE_LIMIT_S)
    except FileNotFoundError:
        raise CommandFailedError("uv is not installed", remedy="scripts/bootstrap") from None
    except subprocess.TimeoutExpired:
        raise CommandFailedError(f"{target} was not resolved within {_COMPILE_LIMIT_S} s", remedy="try again") from None
    except subprocess.CalledProcessError as error:
        raise CommandFailedError(
            f"{target} could not be resolved, and is unchanged",
            detail=error.stderr.strip(),
            remedy="change its .in file, or see that the package index is reachable",
        ) from None


if __name__ == "__main__":
    console.main(app)
