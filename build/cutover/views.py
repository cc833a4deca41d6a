"""Terminal output of status, history and gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from build.cutover.rules import drain
from build.state.history import Cutover
from build.table import Column, Records, duration, local_time
from build.target.status import TargetStatus

if TYPE_CHECKING:  # numpy, which only `gate` needs
    from build.gate.golden_files import Golden
    from build.gate.verdict import Judgement


STATUS = ("colour", "release", "digest", "container", "health", "rotation", "share", Column("in flight", right=True))
HISTORY = ("id", "began", "took", "kind", "release", "from", "colour", "state", "aborted", "error")


def status(found: TargetStatus) -> RenderableType:
    """Render both colours, the last good release, the cutover in progress and the lock."""
    rows = []
    for colour, facts in found.stack.items():
        share = found.shares[colour]
        rows.append(
            (
                f"{colour}, live" if colour is found.live else str(colour),
                str(facts.release) if facts.release else "-",
                facts.release.digest[:19] if facts.release else "-",
                facts.container + (f" x{facts.replicas}" if facts.replicas > 1 else ""),
                facts.phase or "-",
                facts.admin if found.proxy_running else "no proxy",
                "-" if share is None else f"{share:.0%}",
                str(facts.sessions),
            )
        )
    current = found.in_progress
    lines = [
        f"last good    {found.last_good.sha if found.last_good else '-'}",
        f"in progress  {f'{current.kind} to {current.release}, {current.state}: {current.step}' if current else '-'}",
    ]
    if found.lock:
        lines.append(f"lock         {found.lock}")
    if found.hold and (found.hold.mode != "none" or found.hold.held):
        lines.append(f"hold         {found.hold.mode}, {found.hold.held} held requests")
    warnings = [Text.assemble(("warning", "yellow"), f"      {warning}") for warning in found.warnings]
    return Group(Records(STATUS, rows), *map(Text, lines), *warnings)


def history(past: list[Cutover], broken: list[dict[str, Any]]) -> RenderableType:
    """Render cutovers, oldest first, and broken locks."""
    rows = [
        (
            cutover.id,
            local_time(cutover.began),
            duration(cutover.began, cutover.ended),
            cutover.kind,
            str(cutover.release),
            str(cutover.previous or "-"),
            str(cutover.colour),
            f"{cutover.state}: {cutover.step}" if cutover.step else str(cutover.state),
            drain.describe_aborted(cutover.facts["drain"]) if cutover.facts.get("drain") else "-",
            cutover.error.partition("\n")[0],
        )
        for cutover in past
    ]
    broken_locks = [
        f"{local_time(record['at'])}  {record['by']} broke the lock of {record['owner']}: {record['reason']}"
        for record in broken
    ]
    return Group(Records(HISTORY, rows), *map(Text, broken_locks))


def gate(judged: Judgement, known: Golden) -> RenderableType:
    """Render each synthesis with its measures and bounds, then the overall result."""
    from build.gate import verdict as rules  # noqa: PLC0415 - see above

    heading, *rows = rules.table(judged.results, known.bounds, known.texts.expect)
    allowed = f"at most {known.speaker}" + (f", DNSMOS at least {known.quality}" if known.quality else "")
    return Group(Records(heading, rows), Text(f"{judged}; speaker {allowed}"))
