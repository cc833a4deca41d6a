"""`python -m build.cutover`: switch to a release, roll back, and show the state of the target."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from build import console
from build.console import Reporter, out
from build.cutover import age, cutover, gpu_room, views
from build.cutover.options import (
    Again,
    Canary,
    ForceHold,
    Older,
    Replicas,
    Soak,
    StrategyName,
    StrategyOption,
    Unverified,
    Wait,
)
from build.cutover.prefetch import StandbyPrefetch
from build.cutover.state_machine import StrategyRequest
from build.errors import LiveUnhealthyError, NoLastGoodError
from build.model import rollout
from build.model.release import Release
from build.model.rollout import Rollout
from build.model.states import Strategy
from build.settings import Settings
from build.state import history as journal_history
from build.state.history import Cutover
from build.system import users
from build.target.stack import ensure_up
from build.target.status import TargetStatus, read
from build.target.target import ComposeTarget

REPLACE = (
    "`python -m build.cutover switch` with the same commit replaces a sick release; "
    "`rollback` returns to the last good one"
)

app = console.app("Replace the live release without losing a request.")
lock = console.app("The cutover lock: one cutover at a time on a target.")
app.add_typer(lock, name="lock")


@app.command()
def switch(  # noqa: PLR0913, PLR0917 - one parameter per option
    ref: Annotated[str | None, typer.Argument(help="commit, image or digest; default: the clone's HEAD")] = None,
    strategy: StrategyOption = "auto",
    canary: Canary = None,
    soak: Soak = None,
    replicas: Replicas = None,
    force_hold: ForceHold = False,
    unverified: Unverified = False,
    again: Again = False,
    older: Older = False,
    wait: Wait = 0,
) -> None:
    """Make a release live: start it in the idle colour, pass the gate, move the traffic, drain the old colour.

    A live release does the same if it is unhealthy or its settings have changed."""
    from build.verify import verdicts  # noqa: PLC0415 - saves a rollback 0.1 s

    settings, progress = console.settings(), Reporter()
    requested = _rollout(settings, canary, soak, replicas)
    target = ComposeTarget(settings)
    wanted = _resolve(target, progress, ref)
    if not verdicts.require_verified(settings.root, target.engine, progress, wanted.image, unverified=unverified):
        requested = replace(requested, unverified=True)
    verdicts.require_proxy(settings.root, target.engine, target.proxy_image)
    ensure_up(target, progress)

    def choose(_history: list[Cutover], live: Release | None) -> Release:
        age.check(target, progress, wanted, live, accepted=older)
        return wanted

    release = cutover.run(
        target,
        progress,
        "switch",
        choose,
        request=replace(_strategy_request(strategy, force_hold), again=again),
        rollout=requested,
        wait_s=wait,
    )
    out.print(f"[bold]{release.sha}[/bold] is live at {settings.url}")


@app.command()
def rollback(
    ref: Annotated[str | None, typer.Argument(help="an earlier release; default: the last good release")] = None,
    strategy: StrategyOption = "auto",
    force_hold: ForceHold = False,
    wait: Wait = 0,
) -> None:
    """Roll back to the last good release or REF: within seconds if it is on standby, else through the gate."""
    settings, progress = console.settings(), Reporter()
    target = ComposeTarget(settings)
    # An explicit --strategy means that the operator is not in a hurry, so nothing is prefetched.
    ahead = StandbyPrefetch(ComposeTarget(settings), ComposeTarget(settings)) if strategy == "auto" else None
    wanted = _resolve(target, progress, ref) if ref else None
    ensure_up(target, progress)
    release = cutover.run(
        target,
        progress,
        "rollback",
        lambda past, live: wanted or _last_good(target, progress, past, live),
        request=_strategy_request(strategy, force_hold),
        rollout=Rollout(replicas=settings.replicas),
        ahead=ahead,
        wait_s=wait,
    )
    out.print(f"rolled back to [bold]{release.sha}[/bold], live at {settings.url}")


def _rollout(settings: Settings, canary: str | None, soak_s: float | None, replicas: int | None) -> Rollout:
    """Combine the options with the settings; an option wins."""
    try:
        shares = settings.canary if canary is None else rollout.parse(canary)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--canary") from None
    return Rollout(shares, settings.soak_s if soak_s is None else soak_s, replicas or settings.replicas)


def _resolve(target: ComposeTarget, progress: Reporter, ref: str | None) -> Release:
    from build.images.resolve import resolve  # noqa: PLC0415 - saves a rollback 0.2 s

    return resolve(target.settings, target.engine, progress, ref)


def _strategy_request(strategy: StrategyName, force_hold: bool) -> StrategyRequest:
    return StrategyRequest(None if strategy == "auto" else Strategy(strategy), force_hold)


def _last_good(target: ComposeTarget, progress: Reporter, past: list[Cutover], live: Release | None) -> Release:
    """Return the journal's last good release with its image on the engine, which a prune may have removed."""
    release = journal_history.last_good(past, live)
    if release is None:
        raise NoLastGoodError(
            "the journal has no earlier good release", remedy="name one: `python -m build.cutover rollback COMMIT`"
        )
    if target.engine.image(release.image) is None:
        from build.images.resolve import pull  # noqa: PLC0415 - saves a rollback 0.2 s

        pull(target.engine, progress, release)
    return release


def _up() -> tuple[ComposeTarget, Reporter]:
    """Start the proxy and the agent if needed; return the target and a reporter."""
    target, progress = ComposeTarget(console.settings()), Reporter()
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
    ref: Annotated[str | None, typer.Argument(help="commit, image or digest; default: the clone's HEAD")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Run the gate on a release in a separate container, beside the live release; nothing goes live."""
    from build.gate import golden_files, standalone_gate  # noqa: PLC0415 - numpy, which a rollback does not need
    from build.verify import verdicts  # noqa: PLC0415 - numpy, which a rollback does not need

    settings, progress = console.settings(), Reporter()
    target = ComposeTarget(settings)
    wanted = _resolve(target, progress, ref)
    verdicts.require_verified(settings.root, target.engine, progress, wanted.image, unverified=True)
    judgement, folder = standalone_gate.run(target, progress, wanted, gpu_room.alone)
    if as_json:
        out.print_json(json.dumps({"release": wanted.sha, "gate": judgement.facts()}))
        return
    out.print(views.gate(judgement, golden_files.load(settings)))
    out.print(f"[bold]{wanted.sha}[/bold] passes; its recordings are in {folder}")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON; with --watch one document per line")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="refresh until interrupted")] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.2, help="interval of --watch")] = 1,
) -> None:
    """Show both colours (release, health, traffic, requests in flight), last good release, cutover in progress.

    Exits with 48 if the live release does not serve clients.
    """
    target = ComposeTarget(console.settings())
    if not watch:
        found = _read_status(target)
        out.print_json(json.dumps(found.json())) if as_json else out.print(views.status(found))
        if found.unhealthy:
            raise LiveUnhealthyError(found.unhealthy, remedy=REPLACE)
    elif as_json:
        for found in _statuses(target, every):
            out.print(json.dumps(found.json()), markup=False, soft_wrap=True)
    else:
        with Live(console=out, auto_refresh=False) as screen:
            for found in _statuses(target, every):
                screen.update(views.status(found), refresh=True)


def _statuses(target: ComposeTarget, every_s: float) -> Iterator[TargetStatus]:
    while True:
        yield _read_status(target)
        time.sleep(every_s)


def _read_status(target: ComposeTarget) -> TargetStatus:
    found = read(target)
    if not found.lock:  # a running cutover writes .env itself
        target.refresh_env(found.live)
    return found


@app.command()
def history(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """List every cutover in the target's journal, oldest first."""
    target = ComposeTarget(console.settings())
    records = target.records()
    past, broken = target.history(records), journal_history.broken_locks(records)
    if as_json:
        out.print_json(json.dumps({"cutovers": [asdict(entry) for entry in past], "locks_broken": broken}))
    else:
        out.print(views.history(past, broken))


@app.command()
def report(
    identity: Annotated[
        str | None, typer.Argument(metavar="ID", help="cutover ID from `history`; default: the newest")
    ] = None,
    to: Annotated[Path | None, typer.Option("--out", help="write a copy to this path")] = None,
) -> None:
    """Print the path of a cutover's report, a self-contained HTML page."""
    from build.report import gather  # noqa: PLC0415 - only this command needs a template engine

    path = gather.find(ComposeTarget(console.settings()), identity)
    if to:
        to.write_bytes(path.read_bytes())
    out.print(str(to or path), markup=False)


@lock.command(name="show")
def show_lock() -> None:
    """Show which process holds the cutover lock."""
    out.print(str(ComposeTarget(console.settings()).lock_holder() or "the lock is free"), markup=False)


@lock.command(name="break")
def break_lock(
    reason: Annotated[str, typer.Option(help="the reason, for the journal")],
) -> None:
    """Break the cutover lock of a dead process and journal the reason; then run `resume` or `abort`."""
    cutover.break_lock(ComposeTarget(console.settings()), Reporter(), users.name(), reason)


if __name__ == "__main__":
    console.main(app)
