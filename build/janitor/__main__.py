"""Command line of `python -m build.janitor`: free disk on the host, in a registry and in the build cache; set pins."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from build import console
from build.console import Reporter, out
from build.docker.engine import DockerEngine
from build.errors import CommandFailedError
from build.host.findings import GB
from build.images.resolve import resolve
from build.janitor.cleaner import CleaningResult, Janitor
from build.janitor.pins import Pins
from build.janitor.registry import RegistrySurvey
from build.janitor.retention import Action
from build.registry import registries
from build.table import Column, Records
from build.target.target import ComposeTarget

app = console.app("Remove old images, build cache and records that no release needs.")

REGISTRY = typer.Option(metavar="HOST/PREFIX", help="also this registry, as given to `--push`")


@app.callback(invoke_without_command=True)
def clean(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan with reasons and remove nothing")] = False,
    now: Annotated[bool, typer.Option("--now", help="remove even if more than min_free_gb is free")] = False,
    registry: Annotated[str, REGISTRY] = "",
    collect_garbage: Annotated[
        str, typer.Option(metavar="CONTAINER", help="collect the registry's garbage; concurrent pushes can be lost")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print plan and result as a JSON document")] = False,
) -> None:
    """Remove old releases when disk is short; keep live, journaled, pinned and the last verified releases."""
    if context.invoked_subcommand:
        return
    settings, progress = console.settings(), Reporter()
    target = ComposeTarget(settings)
    survey = RegistrySurvey(registries.connect(target.engine, registry)) if registry else None
    janitor = Janitor(target, progress, registry=survey)
    outcome = janitor.run(dry_run=dry_run, now=now, collect_garbage=collect_garbage)
    if as_json:
        out.print_json(data=document(outcome))
    else:
        if dry_run:
            out.print(table(outcome.actions))
        _summary(outcome, settings.min_free_gb, dry_run=dry_run)
    if outcome.failed:
        raise CommandFailedError(
            f"{len(outcome.failed)} items could not be removed; all others were", detail="\n".join(outcome.failed)
        )


@app.command()
def pin(ref: str, registry: Annotated[str, REGISTRY] = "") -> None:
    """Pin a release, so that the janitor keeps it until it is unpinned. REF is a commit, an image or a digest."""
    settings, engine = console.settings(), DockerEngine()
    release = resolve(settings, engine, Reporter(), ref)
    for name in _pins(engine, registry).add(release):
        out.print(name)


@app.command()
def unpin(ref: str, registry: Annotated[str, REGISTRY] = "") -> None:
    """Remove a pin; the image stays until the janitor finds no other reason to keep it."""
    settings, engine = console.settings(), DockerEngine()
    release = resolve(settings, engine, Reporter(), ref)
    for name in _pins(engine, registry).remove(release):
        out.print(name)


@app.command()
def pins(registry: Annotated[str, REGISTRY] = "") -> None:
    """List the pins."""
    for name in _pins(DockerEngine(), registry).all():
        out.print(name)


def _pins(engine: DockerEngine, registry: str) -> Pins:
    return Pins(engine, registry=registries.connect(engine, registry) if registry else None)


def table(actions: tuple[Action, ...]) -> Records:
    """Format the plan as a table: removals first, then kept items."""
    columns = ("action", "where", "what", Column("size", right=True), Column("why", wraps=True))
    rows = [
        (
            "keep" if action.keep else "remove",
            action.item.place,
            short(action.item.name),
            f"{action.item.size / 1e6:.1f} MB",
            action.why,
        )
        for action in sorted(actions, key=lambda action: action.keep)
    ]
    return Records(columns, rows)


def document(outcome: CleaningResult) -> dict[str, Any]:
    """Plan and result as a JSON document; sizes in bytes."""
    actions = [
        {
            "action": "keep" if action.keep else "remove",
            "where": str(action.item.place),
            "names": list(action.item.names),
            "id": action.item.id,
            "bytes": action.item.size,
            "why": action.why,
        }
        for action in outcome.actions
    ]
    return {
        "actions": actions,
        "removed": outcome.acted,
        "failed": list(outcome.failed),
        "free_bytes_before": outcome.free_before,
        "free_bytes_after": outcome.free_after,
    }


def short(name: str) -> str:
    """Shorten digests and commits in an image's name to 12 digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b", r"\1", name)


def _summary(outcome: CleaningResult, min_free_gb: float, *, dry_run: bool) -> None:
    sizes = [action.item.size for action in outcome.actions if not action.keep]
    free = "unknown" if outcome.free_before is None else f"{outcome.free_before / GB:.1f} GB"
    what = f"{len(sizes)} of {len(outcome.actions)} items, at least {sum(sizes) / 1e6:.1f} MB"
    if outcome.acted:
        after = "unknown" if outcome.free_after is None else f"{outcome.free_after / GB:.1f} GB"
        out.print(f"removed {what}; free disk before: {free}, after: {after}")
    elif dry_run:
        out.print(f"would remove {what}, if less than {min_free_gb:g} GB is free (now {free}) or with --now")
    else:
        out.print(f"removed nothing: {free} is free, and the limit is {min_free_gb:g} GB; --now would remove {what}")


if __name__ == "__main__":
    console.main(app)
