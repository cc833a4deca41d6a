"""`python -m build.cutover`: make a release live, go back, and see where things stand."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from build import console
from build.console import Reporter, out
from build.decisions import gate as rules
from build.decisions import history
from build.decisions.history import Cutover, Release
from build.errors import NoLastGoodError
from build.procedures import cutover, golden, trial
from build.procedures.resolve import resolve
from build.procedures.stack import ensure_up
from build.procedures.status import Status, read
from build.procedures.target import Target

app = console.app("Blue/green cutover that loses no request.")


@app.command()
def switch(
    ref: Annotated[str | None, typer.Argument(help="commit, image or digest; the clone's HEAD when left out")] = None,
) -> None:
    """Make a release live: start it idle, have it speak, move the traffic, drain the other colour."""
    settings, report = console.settings(), Reporter()
    target = Target(settings)
    wanted = resolve(settings, target.engine, report, ref)
    ensure_up(target, report)
    release = cutover.run(target, report, "switch", lambda _history, _live: wanted)
    out.print(f"[bold]{release.sha}[/bold] is live at {settings.url}")


@app.command()
def rollback(
    ref: Annotated[str | None, typer.Argument(help="an earlier release; the last good one when left out")] = None,
) -> None:
    """Go back to the last good release, through the same gate."""
    settings, report = console.settings(), Reporter()
    target = Target(settings)
    named = resolve(settings, target.engine, report, ref) if ref else None
    ensure_up(target, report)
    release = cutover.run(target, report, "rollback", lambda past, live: named or _last_good(past, live))
    out.print(f"back on [bold]{release.sha}[/bold], live at {settings.url}")


def _last_good(past: list[Cutover], live: Release | None) -> Release:
    release = history.last_good(past, live)
    if release is None:
        raise NoLastGoodError(
            "there is no earlier good release to go back to", remedy="name one: `build.cutover rollback COMMIT`"
        )
    return release


@app.command()
def gate(
    ref: Annotated[str | None, typer.Argument(help="commit, image or digest; the clone's HEAD when left out")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Have a release speak in a container of its own and judge it, beside the live one; nothing goes live."""
    settings, report = console.settings(), Reporter()
    target = Target(settings)
    wanted = resolve(settings, target.engine, report, ref)
    judged, keep = trial.run(target, report, wanted)
    if as_json:
        out.print_json(json.dumps({"release": wanted.sha, "gate": judged.facts()}))
        return
    known = golden.load(settings)
    heading, *rows = rules.table(judged.results, known.bounds, known.texts.expect)
    table = Table(*heading, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    out.print(table)
    live = "none live" if judged.live_realtime is None else f"live {judged.live_realtime:.2f}"
    quality = "not asked" if judged.quality is None else f"{judged.quality:.2f}, at least {known.quality}"
    out.print(f"DNSMOS {quality}; {judged.realtime:.2f} of real time ({live})")
    out.print(f"[bold]{wanted.sha}[/bold] passes; listen to it in {keep}")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Both colours, their releases, health, traffic, what is in flight, last good, in progress."""
    target = Target(console.settings())
    found = read(target)
    if not found.lock:  # while a cutover is under way, .env is its business
        target.refresh_env(found.live)
    if as_json:
        out.print_json(json.dumps(found.json()))
    else:
        _show(found)


def _show(found: Status) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "colour", "release", "digest", "container", "health", "rotation", "share", "in flight"):
        table.add_column(heading, no_wrap=True)
    for colour, facts in found.stack.items():
        share = found.shares[colour]
        table.add_row(
            "live" if colour is found.live else "",
            colour,
            facts.release.sha if facts.release else "-",
            facts.release.digest[:19] if facts.release else "-",
            facts.container,
            facts.phase or "-",
            facts.admin if found.proxy_running else "no proxy",
            "-" if share is None else f"{share:.0%}",
            str(facts.sessions),
        )
    out.print(table)
    out.print(f"last good    {found.last_good.sha if found.last_good else '-'}")
    doing = found.in_progress
    out.print(f"in progress  {f'{doing.kind} to {doing.release}, {doing.state}: {doing.step}' if doing else '-'}")
    if found.lock:
        out.print(f"lock         {found.lock}")
    if found.hold and (found.hold.mode != "none" or found.hold.held):
        out.print(f"hold         {found.hold.mode}, {found.hold.held} requests wait")
    for warning in found.warnings:
        out.print(f"[yellow]warning[/yellow]      {warning}")


if __name__ == "__main__":
    console.main(app)
