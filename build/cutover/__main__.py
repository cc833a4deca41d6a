"""`python -m build.cutover`: switch to a release, roll back, and show the state of the target."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from build import console
from build.console import Reporter, out
from build.cutover import cutover, views
from build.cutover.prefetch import StandbyPrefetch
from build.cutover.state_machine import StrategyRequest
from build.errors import NoLastGoodError
from build.model import rollout
from build.model.colours import MOST_REPLICAS
from build.model.release import Release
from build.model.rollout import Rollout
from build.model.states import Strategy
from build.settings import Settings
from build.state import history as past_of
from build.state.history import Cutover
from build.target.stack import ensure_up
from build.target.status import TargetStatus, read
from build.target.target import Target

app = console.app("Blue/green cutover that loses no request.")
lock = console.app("The lock that keeps cutovers apart.")
app.add_typer(lock, name="lock")

Wish = Literal["auto", "overlap", "hold"]
Sharing = Annotated[
    Wish,
    typer.Option(
        "--strategy", help="both releases loaded, or one at a time while requests wait; auto: as memory allows"
    ),
]
ForceHold = Annotated[
    bool, typer.Option("--force-hold", help="hold even where clients are expected to get 503 for a while")
]
Canary = Annotated[
    str | None,
    typer.Option(metavar="SHARES", help="percent of the traffic, step by step, such as 5,25,100; or `none`"),
]
Soak = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0, help="after the switch, how long the old colour can take over")
]
Replicas = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=MOST_REPLICAS, help="how many containers, each with a GPU of its own"),
]
Unverified = Annotated[
    bool, typer.Option("--unverified", help="go on with a release that has no verification, on record")
]
Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="how long to wait for another cutover")]


@app.command()
def switch(
    ref: Annotated[str | None, typer.Argument(help="commit, image or digest; the clone's HEAD when left out")] = None,
    strategy: Sharing = "auto",
    canary: Canary = None,
    soak: Soak = None,
    replicas: Replicas = None,
    force_hold: ForceHold = False,
    unverified: Unverified = False,
    wait: Wait = 0,
) -> None:
    """Make a release live: start it in the idle colour, pass the gate, move the traffic, drain the old colour."""
    from build.verify import verdicts  # noqa: PLC0415 - saves a rollback 0.1 s

    settings, progress = console.settings(), Reporter()
    let_in = _rollout(settings, canary, soak, replicas)
    target = Target(settings)
    wanted = _named(target, progress, ref)
    if not verdicts.require_verified(settings.root, target.engine, progress, wanted.image, unverified=unverified):
        let_in = replace(let_in, unverified=True)
    verdicts.require_proxy(settings.root, target.engine, target.proxy_image)
    ensure_up(target, progress)
    release = cutover.run(
        target,
        progress,
        "switch",
        lambda _history, _live: wanted,
        asked=_asked(strategy, force_hold),
        rollout=let_in,
        wait_s=wait,
    )
    out.print(f"[bold]{release.sha}[/bold] is live at {settings.url}")


@app.command()
def rollback(
    ref: Annotated[str | None, typer.Argument(help="an earlier release; the last good one when left out")] = None,
    strategy: Sharing = "auto",
    force_hold: ForceHold = False,
    wait: Wait = 0,
) -> None:
    """Roll back to the last good release or REF: within seconds if it is on standby, else through the gate."""
    settings, progress = console.settings(), Reporter()
    target = Target(settings)
    # An explicit --strategy means that the operator is not in a hurry, so nothing is prefetched.
    ahead = StandbyPrefetch(Target(settings), Target(settings)) if strategy == "auto" else None
    named = _named(target, progress, ref) if ref else None
    ensure_up(target, progress)
    release = cutover.run(
        target,
        progress,
        "rollback",
        lambda past, live: named or _last_good(past, live),
        asked=_asked(strategy, force_hold),
        rollout=Rollout(replicas=settings.replicas),
        ahead=ahead,
        wait_s=wait,
    )
    out.print(f"back on [bold]{release.sha}[/bold], live at {settings.url}")


def _rollout(settings: Settings, canary: str | None, soak_s: float | None, replicas: int | None) -> Rollout:
    """Combine the options with the settings; an option wins."""
    try:
        shares = settings.canary if canary is None else rollout.parse(canary)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--canary") from None
    return Rollout(shares, settings.soak_s if soak_s is None else soak_s, replicas or settings.replicas)


def _named(target: Target, progress: Reporter, ref: str | None) -> Release:
    from build.images.resolve import resolve  # noqa: PLC0415 - saves a rollback 0.2 s

    return resolve(target.settings, target.engine, progress, ref)


def _asked(wish: Wish, force_hold: bool) -> StrategyRequest:
    return StrategyRequest(None if wish == "auto" else Strategy(wish), force_hold)


def _last_good(past: list[Cutover], live: Release | None) -> Release:
    release = past_of.last_good(past, live)
    if release is None:
        raise NoLastGoodError(
            "there is no earlier good release to go back to", remedy="name one: `build.cutover rollback COMMIT`"
        )
    return release


def _up() -> tuple[Target, Reporter]:
    """Start the proxy and the state container if needed; return the target and a reporter."""
    target, progress = Target(console.settings()), Reporter()
    ensure_up(target, progress)
    return target, progress


@app.command()
def resume(wait: Wait = 0) -> None:
    """Continue an interrupted or paused cutover from the journal."""
    target, progress = _up()
    release = cutover.resume(target, progress, wait_s=wait)
    out.print(f"[bold]{release.sha}[/bold] is live at {target.settings.url}")


@app.command()
def abort(wait: Wait = 0) -> None:
    """Roll back an interrupted or paused cutover: move traffic to the old colour and remove the candidate."""
    target, progress = _up()
    release = cutover.abort(target, progress, wait_s=wait)
    out.print(f"[bold]{release.sha}[/bold] is live at {target.settings.url}" if release else "nothing is live")


@app.command()
def gate(
    ref: Annotated[str | None, typer.Argument(help="commit, image or digest; the clone's HEAD when left out")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Run the gate on a release in a separate container, beside the live release; nothing goes live."""
    from build.gate import golden_files, standalone_gate  # noqa: PLC0415 - numpy, which a rollback does not need
    from build.verify import verdicts  # noqa: PLC0415 - numpy, which a rollback does not need

    settings, progress = console.settings(), Reporter()
    target = Target(settings)
    wanted = _named(target, progress, ref)
    verdicts.require_verified(settings.root, target.engine, progress, wanted.image, unverified=True)
    judged, keep = standalone_gate.run(target, progress, wanted)
    if as_json:
        out.print_json(json.dumps({"release": wanted.sha, "gate": judged.facts()}))
        return
    out.print(views.gate(judged, golden_files.load(settings)))
    out.print(f"[bold]{wanted.sha}[/bold] passes; listen to it in {keep}")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="for programs; with --watch one document a line")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="again and again, until interrupted")] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.2, help="how often, with --watch")] = 1,
) -> None:
    """Show both colours (release, health, traffic, requests in flight), last good release, cutover in progress."""
    target = Target(console.settings())
    if not watch:
        found = _look(target)
        out.print_json(json.dumps(found.json())) if as_json else out.print(views.status(found))
    elif as_json:
        for found in _looks(target, every):
            out.print(json.dumps(found.json()), markup=False, soft_wrap=True)
    else:
        from rich.live import Live  # noqa: PLC0415 - only --watch needs it

        with Live(console=out, auto_refresh=False) as screen:
            for found in _looks(target, every):
                screen.update(views.status(found), refresh=True)


def _looks(target: Target, every_s: float) -> Iterator[TargetStatus]:
    while True:
        yield _look(target)
        time.sleep(every_s)


def _look(target: Target) -> TargetStatus:
    found = read(target)
    if not found.lock:  # a running cutover writes .env itself
        target.refresh_env(found.live)
    return found


@app.command()
def history(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """List every cutover in the target's journal, oldest first."""
    target = Target(console.settings())
    records = target.records()
    past, broken = target.history(records), past_of.broken_locks(records)
    if as_json:
        out.print_json(json.dumps({"cutovers": [asdict(entry) for entry in past], "locks_broken": broken}))
    else:
        out.print(views.history(past, broken))


@app.command()
def report(
    identity: Annotated[str | None, typer.Argument(metavar="ID", help="as `history` names it; the newest one")] = None,
    to: Annotated[Path | None, typer.Option("--out", help="write a copy of it there")] = None,
) -> None:
    """Print the path of a cutover's report, a self-contained HTML page."""
    from build.report import gather  # noqa: PLC0415 - only this command needs a template engine

    path = gather.find(Target(console.settings()), identity)
    if to:
        to.write_bytes(path.read_bytes())
    out.print(str(to or path), markup=False)


@lock.command(name="show")
def show_lock() -> None:
    """Show which process holds the cutover lock."""
    out.print(str(Target(console.settings()).lock.holder() or "nobody holds the lock"), markup=False)


@lock.command(name="break")
def break_lock(
    reason: Annotated[str, typer.Option(help="why; it goes into the journal")],
) -> None:
    """Break the cutover lock of a dead process and journal the reason; then run `resume` or `abort`."""
    cutover.break_lock(Target(console.settings()), Reporter(), getpass.getuser(), reason)


if __name__ == "__main__":
    console.main(app)
