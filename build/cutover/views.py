"""How the state of a target is shown to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from build.cutover.rules import drain
from build.state.history import Cutover
from build.target.status import Status

if TYPE_CHECKING:  # numpy, which most of what is shown here has no use for
    from build.gate.golden_files import Golden
    from build.gate.verdict import Judgement


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def status(found: Status) -> RenderableType:
    """Both colours, and what is going on."""
    table = _table("", "colour", "release", "digest", "container", "health", "rotation", "share", "in flight")
    for colour, facts in found.stack.items():
        share = found.shares[colour]
        table.add_row(
            "live" if colour is found.live else "",
            colour,
            facts.release.sha if facts.release else "-",
            facts.release.digest[:19] if facts.release else "-",
            facts.container + (f" x{facts.replicas}" if facts.replicas > 1 else ""),
            facts.phase or "-",
            facts.admin if found.proxy_running else "no proxy",
            "-" if share is None else f"{share:.0%}",
            str(facts.sessions),
        )
    doing = found.in_progress
    lines = [
        f"last good    {found.last_good.sha if found.last_good else '-'}",
        f"in progress  {f'{doing.kind} to {doing.release}, {doing.state}: {doing.step}' if doing else '-'}",
    ]
    if found.lock:
        lines.append(f"lease        {found.lock}")
    if found.hold and (found.hold.mode != "none" or found.hold.held):
        lines.append(f"hold         {found.hold.mode}, {found.hold.held} requests wait")
    warnings = [Text.assemble(("warning", "yellow"), f"      {warning}") for warning in found.warnings]
    return Group(table, *map(Text, lines), *warnings)


def history(past: list[Cutover], broken: list[dict[str, Any]]) -> RenderableType:
    """Cutovers, oldest first, and leases that were broken."""
    table = _table(
        "id", "began (target's clock)", "ended", "kind", "release", "from", "colour", "state", "cut", "error"
    )
    for each in past:
        error = each.error.partition("\n")[0]
        table.add_row(
            each.id,
            each.began,
            each.ended or "-",
            each.kind,
            str(each.release),
            str(each.previous or "-"),
            each.colour,
            f"{each.state}: {each.step}" if each.step else each.state,
            drain.cut(each.facts["drain"]) if each.facts.get("drain") else "-",
            Text(error[:80]),
        )
    taken = [f"{each['at']}  {each['by']} broke the lease of {each['owner']}: {each['reason']}" for each in broken]
    return Group(table, *map(Text, taken))


def gate(judged: Judgement, known: Golden) -> RenderableType:
    """Each synthesis with its measures under their bounds, then what was found in all of them."""
    from build.gate import verdict as rules  # noqa: PLC0415 - see above

    heading, *rows = rules.table(judged.results, known.bounds, known.texts.expect)
    table = _table(*heading)
    for row in rows:
        table.add_row(*row)
    allowed = f"at most {known.speaker}" + (f", DNSMOS at least {known.quality}" if known.quality else "")
    return Group(table, Text(f"{judged}; speaker {allowed}"))
