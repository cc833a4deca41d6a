"""How long a candidate is waited for while requests are held: the old release must have time to take over again."""

from __future__ import annotations

from build.decisions import holding, timeline
from build.model.states import Strategy
from build.procedures.steps.run import Run
from build.settings import Settings

BOUNDED = ("start_timeout_s", "stall_timeout_s", "gate_timeout_s")


def settings(run: Run, *, loading: bool) -> Settings:
    """Those of the run; in a hold that was not forced, its waits end early enough for nobody to be refused."""
    began = holding.began_at(run.target.journal.read(), run.id) if run.strategy is Strategy.HOLD else None
    if began is None or run.plan.forced:
        return run.settings
    most_s = holding.patience_s(
        run.target.hold_budget_s,
        run.target.engine.now() - timeline.unix(began),
        load_s=run.plan.load_s,
        reload_s=run.plan.reload_s,
        loading=loading,
    )
    return run.settings.model_copy(update={name: min(getattr(run.settings, name), most_s) for name in BOUNDED})
