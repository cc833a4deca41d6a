"""Command line of `python -m batch`; the modules beside it do the work."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from batch import settings
from batch.errors import BatchError, BookError, StoppedError
from batch.settings import Settings
from batch.tasks import validate
from service import VERSION
from service.formats import ClipFormat
from service.taskfile.tasks import Rules

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
app = typer.Typer(
    help="Make many clips: run a file of tasks, make one from a book, check clips. Exit codes: docs/guides/batch.md.",
    epilog="`--version` alone prints the version.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)


Tasks = Annotated[Path, typer.Argument(help="a JSONL file of tasks")]
MaxChars = Annotated[int, typer.Option(help="the most characters of a text that the service takes")]


@app.command()
def run(  # noqa: PLR0913, PLR0917 - a command line
    tasks: Annotated[Path | None, typer.Argument(help="a JSONL file of tasks")] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="the service, as http://127.0.0.1:7860")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="the folder for shards and manifest")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSONL with settings; options here win")] = None,
    in_flight: Annotated[int | None, typer.Option(help="requests at a time to begin with [4]")] = None,
    in_flight_min: Annotated[int | None, typer.Option(help="never fewer [1]")] = None,
    in_flight_max: Annotated[int | None, typer.Option(help="never more [16]")] = None,
    shard_size: Annotated[int | None, typer.Option(help="clips in a zip [10]")] = None,
    response_format: Annotated[ClipFormat | None, typer.Option(help="what the clips are [wav]")] = None,
    voice: Annotated[str | None, typer.Option(help="for tasks that name none")] = None,
    max_chars: Annotated[int | None, typer.Option(help="the most that the service takes [4096]")] = None,
    retries: Annotated[int | None, typer.Option(help="more tries at an item that may be at fault [5]")] = None,
    timeout_s: Annotated[float | None, typer.Option(help="for one answer [300]")] = None,
    patience_s: Annotated[float | None, typer.Option(help="with a service that takes nothing [600]")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help=f"else the key in {settings.KEY_NAME}")] = None,
) -> None:
    """Check a whole file of tasks, then synthesize each clip once; a repeated run continues where it stopped."""
    config_file = config
    given = {name: value for name, value in locals().items() if name in Settings.model_fields}
    resolved = settings.resolve(given, config_file)
    _run(resolved, settings.api_key(resolved.api_key_file, os.environ))


def _run(resolved: Settings, key: str) -> None:
    # Only this command needs the HTTP libraries.
    from batch.output.output import Output  # noqa: PLC0415
    from batch.run.client import Client  # noqa: PLC0415
    from batch.run.progress import Shown  # noqa: PLC0415
    from batch.run.run import Run  # noqa: PLC0415

    with Output(resolved.out, resolved.made_with) as output:
        checked = validate.check(resolved.tasks, resolved.rules, output.done, _bad_line)
        total = checked.done + len(checked.pending)
        if checked.done:
            err.print(f"{checked.done} of {total} are done already")

        async def go() -> None:
            async with Client(resolved, checked.prompts, key) as client:
                await Run(resolved, checked, output, client, progress).run()

        with Shown(err, total, checked.done) as progress:
            asyncio.run(go())


@app.command()
def check(tasks: Tasks, response_format: ClipFormat = "wav", max_chars: MaxChars = 4096) -> None:
    """Check a file of tasks without synthesis."""
    checked = validate.check(tasks, Rules(response_format, max_chars), {}, _bad_line)
    out.print(f"{len(checked.pending)} tasks, all good")


@app.command()
def generate(
    book: Annotated[Path, typer.Argument(help="a text file, English or Chinese")],
    characters: Annotated[Path, typer.Option(metavar="YAML", help="who speaks with which voice")],
    out_file: Annotated[Path, typer.Option("--out", metavar="JSONL", help="the task file to write")] = Path(
        "tasks.jsonl"
    ),
    encoding: Annotated[str, typer.Option(help="the book's")] = "utf-8",
    max_chars: MaxChars = 4096,
    force: Annotated[bool, typer.Option("--force", help="write over a task file that is there")] = False,
) -> None:
    """Create a file of tasks from a book, for narrator and speakers, and a list of uncertain speakers."""
    from batch.book import characters as cast  # noqa: PLC0415
    from batch.book import generate as making  # noqa: PLC0415

    if out_file.exists() and not force:
        raise BookError(f"{out_file} is there already", "it may have been corrected: name another --out, or --force")
    read = cast.read(characters)
    written = making.generate(making.read_book(book, encoding), read, characters.parent, out_file, max_chars)
    for speaker, tasks in written.tasks.most_common():
        out.print(f"{tasks:6} {escape(speaker)}")
    out.print(f"{written.tasks.total()} tasks in {escape(str(out_file))}")
    if written.review:
        err.print(f"{len(written.review)} to be looked at in {escape(str(making.review_path(out_file)))}")


@app.command()
def verify(
    tasks: Tasks, folder: Annotated[Path, typer.Argument(help="what --out was")], max_chars: MaxChars = 4096
) -> None:
    """Check that an output has the clip of each task exactly once and unchanged, and no other clips."""
    from batch.output.verify import verify as look  # noqa: PLC0415

    clips = look(tasks, folder, max_chars, lambda problem: err.print(escape(problem)))
    out.print(f"{clips} clips, each once and as it was made")


def _bad_line(number: int, problem: str) -> None:
    err.print(f"line {number}: {escape(problem)}")


def command(args: list[str] | None = None) -> int:
    """Run a command line (sys.argv if None) and return its exit code: 0, typer's 2, or that of the error."""
    if (sys.argv[1:] if args is None else args) == ["--version"]:
        out.print(f"glm-tts-line {VERSION}")
        return 0
    try:
        app(args)
    except BatchError as error:
        err.print(f"[bold red]error:[/bold red] {escape(error.message)}")
        if error.remedy:
            err.print(f"[bold]remedy:[/bold] {escape(error.remedy)}")
        return error.exit_code
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    return 0


def main() -> NoReturn:
    """Run the command line and exit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores the signal on purpose
            signal.signal(number, _stopped)  # `run` handles them itself while requests are in flight
    sys.exit(command())


def _stopped(_number: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedError("stopped", "the same command goes on from what was done")


if __name__ == "__main__":
    main()
