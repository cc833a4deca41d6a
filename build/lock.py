"""`python -m build.lock`: write all locks or one kind (`pip`, `conda`, `apt`); `check`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from build import console
from build.conda import shutdown, virtual
from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage
from build.errors import MissingFileError, UsageError
from build.images.builder import ImageBuilder
from build.locks import all_locks, apt_locks, conda_locks, index_file, inventory_reader, pip_locks, table
from build.locks import inventory as inventories
from build.locks.diff import Difference
from build.locks.index import FLAVOURS
from build.system import files, git
from build.table import Records

ENVIRONMENT = Path("environment.yml")

Flavour = Literal["slim", "cuda"]

app = console.app("Write the locks of images and .venv.")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    checked: Annotated[bool, typer.Option("--check", help="same as the command check")] = False,
    flavour: Annotated[Flavour | None, typer.Option(help="conda and apt locks of this flavour only")] = None,
    upgrade: Annotated[bool, typer.Option(help="pip: use the newest versions, not the locked ones")] = False,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="file for the changes as Markdown; empty without changes")
    ] = None,
) -> None:
    """Write every lock and print the changes; apt locks need the flavour's base image on the engine."""
    if context.invoked_subcommand:
        return
    if checked:
        check()
        return
    _require(ENVIRONMENT)
    progress = console.Reporter()
    wanted = [flavour] if flavour else FLAVOURS
    outcome = all_locks.LockWriter(
        Path.cwd(), wanted, progress, _own_channel, lambda name: _base(name)[1], upgrade=upgrade
    ).run()
    if summary:
        files.replace(summary, table.markdown(outcome.written, outcome.missing))
    _show(progress, outcome.written)
    all_locks.require(outcome)


@app.command()
def check() -> None:
    """Fail if a lock does not match its inputs or was edited by hand. Works offline."""
    console.Reporter().step(f"{index_file.check(Path.cwd())} locks match their inputs")


@app.command()
def pip(
    upgrade: Annotated[bool, typer.Option(help="use the newest versions, not the locked ones")] = False,
) -> None:
    """Resolve locks/*.in into hash-locked locks/*.txt."""
    progress = console.Reporter()
    _show(progress, pip_locks.write(Path.cwd(), progress, upgrade=upgrade))


@app.command()
def conda(
    flavour: Annotated[Flavour | None, typer.Option(help="base to lock; default: both")] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="channel (name or URL) instead of environment.yml's")
    ] = None,
    glibc: Annotated[
        str | None, typer.Option(help="version of the C library that the channel's packages will run on")
    ] = None,
) -> None:
    """Solve environment.yml into an explicit lock per flavour; fall back to our own channel offline."""
    _require(ENVIRONMENT)
    if glibc and not channel:
        raise UsageError("--glibc requires --channel", remedy="remove --glibc: the C library of the bases is known")
    progress = console.Reporter()
    for locked in [flavour] if flavour else FLAVOURS:
        name, changed = conda_locks.write(
            Path.cwd(), locked, progress, _own_channel, channel or (), glibc or virtual.GLIBC
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
    flavour: Annotated[Flavour, typer.Option(help="base to lock; it is built first if its inputs changed")] = "slim",
) -> None:
    """Lock every Debian package of the base image, and print the changes."""
    progress = console.Reporter()
    engine, base = _base(flavour)
    name, changed = apt_locks.write_apt(engine, console.settings().root, flavour, base)
    progress.step(f"{name} from {base.reference}")
    _show(progress, {name: changed})


@app.command()
def export(image: Annotated[str, typer.Argument(help="name, tag or ID of an image on the engine")]) -> None:
    """Print an image's environment as `conda env export` does, with its Debian packages as comments."""
    typer.echo(inventories.exported(inventory_reader.read(DockerEngine(), image)), nl=False)


def _show(progress: console.Reporter, changed: dict[str, list[Difference]]) -> None:
    """Print the changes of a lock command; an empty cell means that the package is absent on that side."""
    progress.note(f"{sum(map(len, changed.values()))} packages changed")
    if any(changed.values()):
        rows = [
            (lock, difference.name, difference.before, difference.now)
            for lock, differences in changed.items()
            for difference in differences
        ]
        console.out.print(Records(("lock", "name", "before", "now"), rows))


def _require(path: Path) -> None:
    if not path.exists():
        raise MissingFileError(f"{path} does not exist", remedy="run this command from the root of the clone")


if __name__ == "__main__":
    console.main(app, shutdown.exit_process)
