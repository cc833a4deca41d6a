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
from batch.book import characters as characters_file
from batch.errors import BatchError, BookError, StoppedError, TasksError
from batch.output.output import Output
from batch.output.verify import verify as verify_output
from batch.settings import Settings
from batch.tasks import validate
from service import VERSION
from service.formats import ClipFormat
from service.taskfile.tasks import Rules
from service.telemetry.trace_context import from_header

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
MaxChars = Annotated[int, typer.Option(help="the longest text that the service accepts, in characters")]


@app.command()
def run(  # noqa: PLR0913, PLR0917 - a command line
    tasks: Annotated[Path | None, typer.Argument(help="a JSONL file of tasks")] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="the service: http://127.0.0.1:7860")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="folder for shards and manifest")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSONL file of settings; options override it")] = None,
    in_flight: Annotated[int | None, typer.Option(help="initial number of concurrent requests [4]")] = None,
    in_flight_min: Annotated[int | None, typer.Option(help="lower bound of concurrent requests [1]")] = None,
    in_flight_max: Annotated[int | None, typer.Option(help="upper bound of concurrent requests [16]")] = None,
    shard_size: Annotated[int | None, typer.Option(help="clips per zip [10]")] = None,
    response_format: Annotated[ClipFormat | None, typer.Option(help="audio format of the clips [wav]")] = None,
    voice: Annotated[str | None, typer.Option(help="voice of tasks that name none")] = None,
    max_chars: Annotated[int | None, typer.Option(help="longest text that the service accepts [4096]")] = None,
    retries: Annotated[int | None, typer.Option(help="retries of a failed item [5]")] = None,
    timeout_s: Annotated[float | None, typer.Option(help="time limit of one response, in seconds [300]")] = None,
    patience_s: Annotated[float | None, typer.Option(help="time limit without an accepted request [600]")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help=f"file with the API key [{settings.KEY_NAME}]")] = None,
) -> None:
    """Check a whole file of tasks, then synthesize each clip once; a repeated run continues where it stopped."""
    config_file = config
    options = {name: value for name, value in locals().items() if name in Settings.model_fields}
    resolved = settings.resolve(options, config_file)
    _run(resolved, settings.api_key(resolved.api_key_file, os.environ))


def _run(resolved: Settings, key: str) -> None:
    # Only this command needs the HTTP libraries (0.4 s) and the progress bar (0.04 s).
    from batch.run.client import Client  # noqa: PLC0415
    from batch.run.progress import ConsoleProgress  # noqa: PLC0415
    from batch.run.run import Run  # noqa: PLC0415

    with Output(resolved.out, resolved.clip_settings) as output:
        checked = validate.check(resolved.tasks, resolved.rules, output.done, _bad_line)
        total = checked.done + len(checked.pending)
        if checked.done:
            err.print(f"{checked.done} of {total} clips exist already")

        async def synthesize() -> None:
            async with Client(resolved, checked.prompts, key, from_header(os.environ.get("TRACEPARENT", ""))) as client:
                await Run(resolved, checked, output, client, progress).run()

        with ConsoleProgress(err, total, checked.done) as progress:
            asyncio.run(synthesize())


@app.command()
def check(tasks: Tasks, response_format: ClipFormat = "wav", max_chars: MaxChars = 4096) -> None:
    """Check a file of tasks without synthesis."""
    checked = validate.check(tasks, Rules(response_format, max_chars), {}, _bad_line)
    out.print(f"{len(checked.pending)} tasks, all valid")


@app.command()
def convert(
    tasks: Annotated[Path, typer.Argument(help="JSON, CSV, a list with |, OpenAI's batch form, or another encoding")],
    out_file: Annotated[Path, typer.Option("--out", metavar="JSONL", help="task file to write")],
    encoding: Annotated[str, typer.Option(help="encoding of the list [UTF-8, or by its first bytes]")] = "",
    force: Annotated[bool, typer.Option("--force", help="overwrite an existing task file")] = False,
) -> None:
    """Write a task file from a list of tasks in another form."""
    from batch import convert as conversion  # noqa: PLC0415 - 0.01 s

    if out_file.exists() and not force:
        raise TasksError(f"{out_file} exists already", "choose another --out, or overwrite it by --force")
    result = conversion.convert(tasks, out_file, encoding)
    for name, count in result.left_out.most_common():
        err.print(f"{count} tasks have {escape(name)}, which a task file does not take: left out")
    out.print(f"{result.tasks} tasks in {escape(str(out_file))}")


@app.command()
def generate(
    book: Annotated[Path, typer.Argument(help="a text file, English or Chinese")],
    characters: Annotated[Path, typer.Option(metavar="YAML", help="characters file: names and voices")],
    out_file: Annotated[Path, typer.Option("--out", metavar="JSONL", help="task file to write")] = Path("tasks.jsonl"),
    encoding: Annotated[str, typer.Option(help="encoding of the book")] = "utf-8",
    max_chars: MaxChars = 4096,
    force: Annotated[bool, typer.Option("--force", help="overwrite an existing task file")] = False,
) -> None:
    """Create a task file from a book, with a voice per speaker, and a list of uncertain speakers for review."""
    from batch.book import generate as generation  # noqa: PLC0415 - 0.05 s

    if out_file.exists() and not force:
        raise BookError(
            f"{out_file} exists already and may contain corrections", "choose another --out, or overwrite it by --force"
        )
    cast = characters_file.read(characters)
    result = generation.generate(generation.read_book(book, encoding), cast, characters.parent, out_file, max_chars)
    for speaker, tasks in result.tasks.most_common():
        out.print(f"{tasks:6} {escape(speaker)}")
    out.print(f"{result.tasks.total()} tasks in {escape(str(out_file))}")
    if result.unread.counts:
        err.print(f"perhaps speech, not read as such: {escape(str(result.unread))}")
    if result.review:
        err.print(f"{len(result.review)} uncertain speakers: review {escape(str(generation.review_path(out_file)))}")


@app.command()
def verify(
    tasks: Tasks, folder: Annotated[Path, typer.Argument(help="output folder of `run`")], max_chars: MaxChars = 4096
) -> None:
    """Check that an output has the clip of each task exactly once and unchanged, and no other clips."""
    clips = verify_output(tasks, folder, max_chars, lambda problem: err.print(escape(problem)))
    out.print(f"{clips} clips: none missing, repeated or changed")


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
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def main() -> NoReturn:
    """Run the command line and exit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores the signal on purpose
            signal.signal(number, _stopped)  # `run` handles them itself while requests are in flight
    sys.exit(command())


def _stopped(_number: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedError("stopped", "run the same command again to continue")


if __name__ == "__main__":
    main()
