"""Preflight step: report everything that is known to fail, all at once, before anything is touched."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from build.cutover.rules import preflight
from build.cutover.run import JournalFacts, Run
from build.host import findings, machine
from build.host.findings import Level
from build.model.labels import ACCEPTED_DRIFT_LABEL, DRIFT_LABEL, MINIMUM_DRIVER_LABEL
from build.state import history


def check(run: Run) -> JournalFacts:
    """Raise the first problem's error, which lists all problems; report and journal warnings."""
    planned = {run.idle.value: run.release.image}
    with ThreadPoolExecutor(max_workers=1) as beside:  # Compose takes as long as all other checks
        found = preflight.evaluate(_facts(run, beside.submit(run.target.stack_error, **planned)))
    findings.refuse(found)
    for finding in found:
        run.progress.note(f"{finding.subject}: {finding.message}")
    return {"warnings": [finding.message for finding in found if finding.level is Level.WARNING]}


def _facts(run: Run, compose_error: Future[str]) -> preflight.PreflightFacts:
    target, servers, place = run.target, run.proxy.servers(), run.target.place
    found = target.image_labels(run.release.image)
    labels = found or {}
    idle = [servers[name] for name in run.idle.servers if name in servers]
    sessions, queued = sum(server.sessions for server in idle), sum(server.queued for server in idle)
    names = (*run.server_names(run.live), *run.standbys(run.live)) if run.live else ()
    lives = [servers[name] for name in names if name in servers]
    checks_keys = found is not None and bool(place.keys_folder)
    minimum = labels.get(MINIMUM_DRIVER_LABEL, "")
    return preflight.PreflightFacts(
        release=run.release,
        idle=run.idle,
        live=run.live,
        image=found is not None,
        minimum_driver=minimum,
        drift=labels.get(DRIFT_LABEL, ""),
        drift_accepted=bool(labels.get(ACCEPTED_DRIFT_LABEL)),
        driver=_driver(run) if minimum else "",
        servers=frozenset(servers),
        place=place,
        published=target.published(),
        keys=target.keys_error(run.release.image, place.keys_folder) if checks_keys else "",
        hold=run.proxy.held().mode,
        unfinished=run.candidate.load(sessions, queued).work if sessions else 0,
        live_usable=any(server.usable for server in lives),
        serving=run.old.release() if run.old else None,
        recorded=history.recorded(target.history()),
        lost_runtime=target.lost_runtime(run.live) if run.live else "",
        skew_s=target.now() - time.time(),
        compose_error=compose_error.result(),
    )


def _driver(run: Run) -> str:
    """Return the NVIDIA driver's version from the live colour (works with any engine), else from this machine."""
    if run.old and run.old.running and (driver := run.old.gpu().driver):
        return driver
    return machine.gpu().rpartition(", ")[2] if run.target.is_here() else ""
