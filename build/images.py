"""`python -m build.images`: build the base and the app image of this commit."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from build import console
from build.console import Reporter, out
from build.decisions import findings
from build.drivers import git
from build.drivers.engine import Engine
from build.procedures.build_images import BuildImages, peak_bytes
from build.procedures.host import host_facts
from build.procedures.publish import Publisher
from build.procedures.target import Target

app = console.app("Build the images of this commit, each only when its inputs changed.")


class Flavour(StrEnum):
    SLIM = "slim"
    CUDA = "cuda"


@app.command()
def build(
    flavour: Annotated[Flavour | None, typer.Option(help="which base; the setting when left out")] = None,
    push: Annotated[str, typer.Option(metavar="REGISTRY", help="push base and app to this registry, by digest")] = "",
) -> None:
    """Build the images of HEAD, tagged by its full SHA; a dirty tree is built as `<sha>-dirty` and never pushed."""
    settings, report, engine = console.settings(), Reporter(), Engine()
    if flavour:
        settings = settings.model_copy(update={"flavour": flavour.value})
    commit = git.read(settings.root)
    publisher = Publisher(engine, report, push, commit) if push else None
    facts = host_facts(settings, engine)
    findings.refuse(findings.engine(facts) + findings.disk(facts, peak_bytes(settings)))
    if commit.dirty:
        report.note(f"the tree is dirty ({len(commit.dirty)} paths): built as {commit.release}, never pushed")
    built = BuildImages(settings, engine, report, commit).run(publisher)
    Target(settings, engine).adopt(built.image_id, built.proxy)
    if built.standins:
        report.note(f"stands on stand-ins for: {', '.join(built.standins)}; not fit for production")
    out.print(f"{built.reference}  {built.image_id}  in {built.seconds:.1f} s")
    if built.pushed:
        out.print(built.pushed)


if __name__ == "__main__":
    console.main(app)
