"""Writes the locks (`python -m build.lock pip`, `conda`, `apt`), and exports what an image holds (`export`)."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from build import console
from build.conda import CondaError, client, environment
from build.decisions import inventory as inventories
from build.drivers import git
from build.drivers.engine import Engine
from build.errors import CommandFailedError, MissingFileError
from build.procedures import inventory, locks
from build.procedures.build_images import BuildImages

# In this order: cuda is constrained to torch's versions, dev to slim's.
PIP_LOCKS = ("uv", "tools", "channel", "slim", "torch", "cuda", "dev")
CONDA_LOCK = Path("locks/conda-forge-linux-64.lock")
ENVIRONMENT = Path("environment.yml")

# What the images run. Neither index nor folder of the machine that locks may be read or written: hashes alone decide.
_COMPILE = (
    *("uv", "pip", "compile", "--quiet", "--no-config", "--generate-hashes", "--no-emit-index-url"),
    *("--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu"),
    *("--custom-compile-command", "python -m build.lock pip"),
)
_COMPILE_LIMIT_S = 600

app = console.app("Writes the locks that images and .venv are installed from.")


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
        _compile([*_COMPILE, *(["--upgrade"] if upgrade else []), "--output-file", str(target), str(source)], target)


@app.command()
def conda(
    channel: Annotated[list[str] | None, typer.Option(help="solve from this channel (name or URL) instead")] = None,
) -> None:
    """Solve environment.yml into the explicit lock, where its channel can be reached."""
    _require(ENVIRONMENT)
    report = console.Reporter()
    report.step(f"{CONDA_LOCK}")
    try:
        lock = asyncio.run(client.solve(environment.load([ENVIRONMENT]), channel or ()))
    except CondaError as error:
        raise CommandFailedError(
            f"{error.message}\nNo lock was written: without a channel's answer it could only be made up.",
            remedy=error.remedy,
        ) from None
    CONDA_LOCK.write_text(lock.text())
    report.note(f"{len(lock.packages)} packages from {', '.join(lock.channels)}")


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
    report.step(f"{name} from {base.reference}: {len(changed)} packages changed")
    if changed:
        table = Table("name", "before", "now")
        for one in changed:
            table.add_row(one.name, one.before, one.now)
        console.out.print(table)


@app.command()
def export(image: Annotated[str, typer.Argument(help="name, tag or ID of an image on the engine")]) -> None:
    """Print the exact environment of a built image as conda env export would, with its Debian packages as comments."""
    typer.echo(inventories.exported(inventory.read(Engine(), image)), nl=False)


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
