"""`python -m build.doctor`: report problems of this host, each with a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from build import console
from build.console import escape, out
from build.docker.engine import DockerEngine
from build.errors import MissingFileError, NotHealthyError
from build.host import findings
from build.host.facts import host_facts, peak_bytes
from build.host.findings import Finding, Level
from build.images import freshness_reader
from build.settings import Settings, environment_name
from build.table import Column, Records

app = console.app("List the problems of this host, each with its remedy.")

NOT_VERIFIED = Path("docs/not-verified.txt")
COLOURS = {Level.OK: "green", Level.NOT_VERIFIED: "yellow", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@app.callback(invoke_without_command=True)
def check(
    context: typer.Context,
    strict: Annotated[
        bool, typer.Option(help="fail if a check is not verified and docs/not-verified.txt does not list it")
    ] = False,
) -> None:
    """Check engine, plugins, disk, port, subnet, GPU, and the origin, age and security updates of images."""
    if context.invoked_subcommand:
        return
    settings = console.settings()
    engine = DockerEngine()
    facts = host_facts(settings, engine)
    found = findings.evaluate(facts, needed_bytes=peak_bytes(settings))
    if not facts.engine_error:
        found += freshness_reader.judge_host(settings, engine)
    for finding in found:
        out.print(f"[{COLOURS[finding.level]}]{finding.level:>12}[/]  {finding.subject:<16} {escape(finding.message)}")
        if finding.remedy and finding.level is not Level.OK:
            out.print(f"{'':14}remedy: {escape(finding.remedy)}")
    findings.refuse(found)
    if strict:
        _refuse_unlisted(found)


def _refuse_unlisted(found: list[Finding]) -> None:
    """Fail on an unverified finding that the repository does not list: a new gap must not go unnoticed."""
    if not NOT_VERIFIED.exists():
        raise MissingFileError(f"{NOT_VERIFIED} does not exist", remedy=f"git checkout -- {NOT_VERIFIED}")
    new = findings.unlisted(found, NOT_VERIFIED.read_text())
    if new:
        raise NotHealthyError(
            f"not verified, and not listed in {NOT_VERIFIED}: {', '.join(new)}",
            remedy=f"repair the check, or add it to {NOT_VERIFIED} if this host cannot run it",
        )


@app.command()
def settings() -> None:
    """List every setting with its environment variable, current value and meaning."""
    current = console.settings()
    rows = [
        (name, environment_name(name), str(getattr(current, name)), field.description or "")
        for name, field in Settings.model_fields.items()
        if name != "root"
    ]
    out.print(Records(("setting", "environment", "value", Column("meaning", wraps=True)), rows))


if __name__ == "__main__":
    console.main(app)
