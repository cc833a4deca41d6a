"""Command line of `python -m build.images`: build, verify and publish the images of this commit; list past builds."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.text import Text

from build import console
from build.console import Reporter, err, out
from build.docker.engine import DockerEngine
from build.host import findings
from build.host.facts import host_facts, peak_bytes
from build.images import freshness_reader, inspection, record_store, upstream
from build.images.identity import Identity, claim, identify
from build.images.pipeline import ReleasePipeline, ReleaseResult
from build.images.publish import Publisher
from build.images.record import Record
from build.locks import compatibility_check, drift
from build.model.commit import Commit
from build.model.labels import Flavour
from build.settings import Settings
from build.system import git
from build.table import Column, Records, local_time
from build.target.target import ComposeTarget
from build.verify import rules, verdicts, verifier

app = console.app("Build, verify and publish the images of this commit; only images with changed inputs are built.")


@app.callback(invoke_without_command=True)
def build(
    context: typer.Context,
    flavour: Annotated[Flavour | None, typer.Option(help="the base; default: the setting `flavour`")] = None,
    push: Annotated[str, typer.Option(metavar="REGISTRY", help="push base and app to this registry")] = "",
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift", help="push to production although packages differ from the apt lock")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="pull the OS image again and build base and proxy without cache")
    ] = False,
) -> None:
    """Build and verify the images of HEAD and tag them with its full SHA.

    A dirty tree is tagged `<sha>-dirty` and never pushed.
    """
    if context.invoked_subcommand:
        return
    settings, progress, engine = console.settings(), Reporter(), DockerEngine()
    if flavour:
        settings = settings.model_copy(update={"flavour": flavour.value})
    commit = git.read(settings.root)
    identity = identify(commit, claim(os.environ))
    compatibility_check.require(settings.root, settings.flavour)
    publisher = Publisher(engine, progress, push, commit) if push else None
    facts = host_facts(settings, engine)
    findings.refuse(findings.engine(facts) + findings.disk(facts, peak_bytes(settings)))
    _note_commit(progress, commit, identity)
    if refresh:
        upstream.refresh(settings, progress)
    result = ReleasePipeline(
        settings, engine, progress, commit, identity, publisher, accept_drift=accept_drift, refresh=refresh
    ).run()
    ComposeTarget(settings, engine).adopt(str(result.app.image.id), result.proxy.reference)
    if result.standins:
        progress.note(f"built on stand-ins for {', '.join(result.standins)}: a production push refuses these images")
    _warn_of_drift(result)
    _note_freshness(progress, settings, engine, result)
    _show(result)


def _note_commit(progress: Reporter, commit: Commit, identity: Identity) -> None:
    if commit.dirty:
        progress.note(f"the tree has {len(commit.dirty)} uncommitted paths: tagged {commit.release}, never pushed")
    if identity.ignored_tags:
        progress.note(f"ignored git tags, because they cannot be image tags: {', '.join(identity.ignored_tags)}")
    if commit.shallow and not commit.tags:
        progress.note("the clone is shallow and may lack a tag, so this is a staging build")


def _note_freshness(progress: Reporter, settings: Settings, engine: DockerEngine, result: ReleaseResult) -> None:
    for line in freshness_reader.notes_of_build(
        settings, engine, base=result.base.image, proxy=result.proxy.image, check_security=result.record is not None
    ):
        progress.note(line)


def _warn_of_drift(result: ReleaseResult) -> None:
    drifted = result.reports["base"].drift
    if drifted:
        accepted = "accepted by --accept-drift" if result.accepted_drift else "a production push refuses it"
        err.print(
            f"[bold yellow]warning:[/] {drift.summary(drifted)}; {accepted}. "
            "Run `python -m build.lock apt` to lock the packages."
        )
        err.print(drift.table(drifted))


def _show(result: ReleaseResult) -> None:
    # Show the time for verification and push separately from the build time.
    after = {phase: took for phase, took in result.seconds.items() if phase.startswith(("verify", "push"))}
    building = sum(result.seconds.values()) - sum(after.values())
    more = "".join(f", {phase} {took:.1f} s" for phase, took in after.items())
    out.print(f"{result.app.reference}  {result.app.image.id}  in {building:.1f} s{more}")
    if result.pushed:
        out.print(result.pushed)


@app.command(name="verify")
def verify_(
    ref: Annotated[str, typer.Argument(help="an image on the engine, by name, tag, digest or ID")],
    fresh: Annotated[bool, typer.Option("--fresh", help="verify again despite an existing report")] = False,
    json: Annotated[bool, typer.Option("--json", help="print each report as a JSON document")] = False,
) -> None:
    """Verify an image by running it and reading its layers: environment, layers, identity, code, voice."""
    settings, engine = console.settings(), DockerEngine()
    reports = verifier.verify_reference(settings, engine, Reporter(), ref, fresh)
    if json:
        for report in reports:
            out.print(report.to_json(), soft_wrap=True, markup=False)
    else:
        out.print(rules.table(reports))
        if drifted := [package for report in reports for package in report.drift]:
            out.print(drift.table(drifted))
    verdicts.require(reports)


HISTORY = (
    *("built at", "release", "environment", "flavour", Column("MB", right=True), Column("seconds", right=True)),
    *("OS packages of", "verified", "published as"),
)


@app.command()
def history(
    json: Annotated[bool, typer.Option("--json", help="print each record as a line of JSON")] = False,
) -> None:
    """List the builds of this clone, oldest first."""
    settings = console.settings()
    records = record_store.read(settings.root)
    if json:
        for record in records:
            out.print(record.model_dump_json(), soft_wrap=True, markup=False)
        return
    ages = freshness_reader.of_records(
        DockerEngine(), [record.base.image_id for record in records], settings.base_max_age_days
    )
    rows = []
    for record in records:
        age, is_old = ages.get(record.base.image_id, ("-", False))
        rows.append(_row(record, Text(f"{age}, refresh", style="yellow") if is_old else Text(age)))
    out.print(Records(HISTORY, rows))


def _row(record: Record, age: Text) -> tuple[str | Text, ...]:
    failed = [line for part in record.verification for line in part.failed]
    verified = f"failed: {', '.join(failed)}" if failed else "passed" if record.verification else "not verified"
    where = f"{record.environment} {record.version}".strip()
    size, took = f"{record.size_bytes / 1e6:.0f}", f"{sum(record.seconds.values()):.1f}"
    return (
        local_time(record.built_at),
        str(record.release),
        where,
        record.flavour,
        size,
        took,
        age,
        verified,
        record.pushed or "-",
    )


@app.command()
def inspect(
    ref: Annotated[str, typer.Argument(help="a commit, or an image by name, tag, digest or ID")],
) -> None:
    """Show where an image comes from: its labels, and its build record if this clone has it."""
    settings = console.settings()
    out.print_json(data=inspection.inspect(settings, DockerEngine(), Reporter(), ref))


if __name__ == "__main__":
    console.main(app)
