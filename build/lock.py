"""`python -m build.lock`: write all locks or one kind (`pip`, `conda`, `apt`); `check`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from build import console
from build.conda import virtual
from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage
from build.errors import MissingFileError, UsageError
from build.images.builder import ImageBuilder
from build.locks import all_locks, apt_locks, conda_locks, index_file, inventory_reader, pip_locks, table
from build.locks import inventory as inventories
from build.locks.diff import Difference
from build.locks.index import FLAVOURS
from build.system import files, git

ENVIRONMENT = Path("environment.yml")

Flavour = Literal["slim", "cuda"]

app = console.app("Writes the locks that images and .venv are installed from.")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    checked: Annotated[bool, typer.Option("--check", help="the same as the command check")] = False,
    flavour: Annotated[Flavour | None, typer.Option(help="conda and apt locks of one flavour alone")] = None,
    upgrade: Annotated[bool, typer.Option(help="pip: take the newest versions instead of keeping the locked")] = False,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write the changes as Markdown; an empty file without a change")
    ] = None,
) -> None:
    """Solve and write every lock, and print the changes; apt locks need the flavour's base image on the engine."""
    if context.invoked_subcommand:
        return
    if checked:
        check()
        return
    _require(ENVIRONMENT)
    progress = console.Reporter()
    wanted = [flavour] if flavour else FLAVOURS
    outcome = all_locks.LockWriter(
        Path.cwd(), wanted, progress, _own_channel, lambda each: _base(each)[1], upgrade=upgrade
    ).run()
    if summary:
        files.replace(summary, table.markdown(outcome.written, outcome.missing))
    _show(progress, outcome.written)
    all_locks.require(outcome)


@app.command()
def check() -> None:
    """Fail when a lock does not match its inputs or was edited by hand. Works offline."""
    console.Reporter().step(f"{index_file.check(Path.cwd())} locks belong to their inputs")


@app.command()
def pip(
    upgrade: Annotated[bool, typer.Option(help="take the newest versions instead of keeping what is locked")] = False,
) -> None:
    """Resolve locks/*.in into hash-locked locks/*.txt."""
    progress = console.Reporter()
    _show(progress, pip_locks.write(Path.cwd(), progress, upgrade=upgrade))


@app.command()
def conda(
    flavour: Annotated[Flavour | None, typer.Option(help="for which base; for both when left out")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="solve from this channel (name or URL) instead")] = None,
    glibc: Annotated[str | None, typer.Option(help="C library that another channel's packages will run on")] = None,
) -> None:
    """Solve environment.yml into an explicit lock per flavour; fall back to our own channel offline."""
    _require(ENVIRONMENT)
    if glibc and not channel:
        raise UsageError("--glibc goes with --channel", remedy="leave it out: the bases' C library is known")
    progress = console.Reporter()
    for each in [flavour] if flavour else FLAVOURS:
        name, changed = conda_locks.write(
            Path.cwd(), each, progress, _own_channel, channel or (), glibc or virtual.GLIBC
        )
        progress.step(name)
        _show(progress, {name: changed})


def _own_channel() -> tuple[DockerEngine, TaggedImage]:
    engine, build = _builder("slim")
    return engine, build.channel()


def _base(flavour: str) -> tuple[DockerEngine, TaggedImage]:
    engine, build = _builder(flavour)
    return engine, build.base()


def _builder(flavour: str) -> tuple[DockerEngine, ImageBuilder]:
    # No snapshot archive: an apt lock records the current packages, not those locked earlier.
    update = {"flavour": flavour, "apt_snapshot": ""}
    engine, settings = DockerEngine(), console.settings().model_copy(update=update)
    return engine, ImageBuilder(settings, engine, console.Reporter(), git.read(settings.root))


@app.command()
def apt(
    flavour: Annotated[Flavour, typer.Option(help="which base; built first when its inputs changed")] = "slim",
) -> None:
    """Record every Debian package of the base image, and print the changes."""
    progress = console.Reporter()
    engine, base = _base(flavour)
    name, changed = apt_locks.write_apt(engine, console.settings().root, flavour, base)
    progress.step(f"{name} from {base.reference}")
    _show(progress, {name: changed})


@app.command()
def export(image: Annotated[str, typer.Argument(help="name, tag or ID of an image on the engine")]) -> None:
    """Print the exact environment of a built image like conda env export, with its Debian packages as comments."""
    typer.echo(inventories.exported(inventory_reader.read(DockerEngine(), image)), nl=False)


def _show(progress: console.Reporter, changed: dict[str, list[Difference]]) -> None:
    """Print the changes of a lock command; an empty cell means that the package is absent on that side."""
    progress.note(f"{sum(map(len, changed.values()))} packages changed")
    if any(changed.values()):
        table = Table("lock", "name", "before", "now")
        for lock, differences in changed.items():
            for one in differences:
                table.add_row(lock, one.name, one.before, one.now)
        console.out.print(table)


def _require(path: Path) -> None:
    if not path.exists():
        raise MissingFileError(f"there is no {path}", remedy="run this from the root of the project's clone")


if __name__ == "__main__":
    console.main(app)
