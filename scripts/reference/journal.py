"""Page of the journal: records, states, steps and their ends."""

from __future__ import annotations

from collections.abc import Iterator

from build.cutover.state_machine import FINAL_STATE, TABLES
from build.model import states
from build.model.states import State
from build.state import history, journal
from scripts.reference.markdown import code, codes, fill, table


def page() -> str:
    """Return the page."""
    return fill(
        "journal.md.in",
        file=journal.FILE,
        fields=codes(history.FIELDS),
        kinds=table(("event", "meaning", "further fields"), _kinds()),
        states=table(("state", "meaning", "kind"), _states()),
        steps=table(("strategy", "step", "leads to", "after a failure", "then ends as"), _steps()),
    )


def _kinds() -> Iterator[tuple[str, ...]]:
    for event in history.Event:
        kind = history.KINDS[event]
        yield code(event), kind.meaning, codes(kind.fields)


def _states() -> Iterator[tuple[str, ...]]:
    for state in State:
        kinds = [name for name, members in (("serving", states.SERVING), ("final", states.FINAL)) if state in members]
        yield code(state), states.MEANINGS[state], ", ".join(kinds)


def _steps() -> Iterator[tuple[str, ...]]:
    for strategy, steps in TABLES.items():
        for number, step in enumerate(steps):
            shown = code(strategy) if number == 0 else ""
            yield shown, code(step.name), code(step.ends), code(step.on_failure), code(FINAL_STATE[step.on_failure])
