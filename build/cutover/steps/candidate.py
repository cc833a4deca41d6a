"""Steps of the candidate before it gets traffic: start, readiness, gate."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from build.cutover.rules import holding
from build.cutover.run import STOP_GRACE_S, JournalFacts, Run
from build.errors import CommandFailedError, GateRefusedError, ReportedError
from build.gate import gate, golden_files
from build.model.states import Strategy
from build.report import timeline
from build.settings import Settings
from build.target.await_ready import Start
from build.target.container import Replica
from build.target.cpu import CANDIDATE_WEIGHT, SERVING_WEIGHT

# Timeouts that a hold shortens.
BOUNDED = ("start_timeout_s", "stall_timeout_s", "gate_timeout_s")


def start(run: Run) -> None:
    """Start the release in the idle colour; it loads its model at once."""
    launch(run, parked=False)


def launch(run: Run, *, parked: bool) -> None:
    """Start the release's containers in the idle colour; `parked` ones load their model on command."""
    count = run.rollout.replicas
    run.progress.step(f"starting {run.release} in {run.idle}" + (f", {count} replicas" if count > 1 else ""))
    slots = run.idle.slots[:count]
    for slot in slots:
        run.target.orders.write(slot.profile, parked=parked, device=run.plan.assigned(slot.number))
    # Set maint before the container exists: after any earlier run, the candidate gets no request until it is verified.
    take_out(run)
    promote_standby(run)
    run.own(run.idle)
    run.candidate.stop(STOP_GRACE_S)
    run.candidate.remove()
    run.refresh_env(run.live, **{run.idle.value: run.release.image})
    run.target.lock.confirm()
    run.target.start(*slots)
    run.own(run.idle)
    started = run.candidate.release()
    if started != run.release:
        raise CommandFailedError(
            f"Compose started {started} in {run.idle} instead of {run.release}: another process changed .env",
            remedy="run no `docker compose` and write no .env during a cutover; then switch again",
        )
    run.candidate.set_cpu_weight(CANDIDATE_WEIGHT)


def warm(run: Run, every_s: float = 0.5, weight: int = CANDIDATE_WEIGHT) -> JournalFacts:
    """Wait until all containers of the candidate are ready; `weight` is their CPU weight."""
    _, took_s = starting(run, bounded_settings(run, loading=True), weight).await_phases("ready", every_s=every_s)
    if run.plan.devices:  # its memory is in use now, so that other projects measure it
        run.target.reservations.release(run.settings.project)
    return {"warm_s": round(took_s, 2)}


def starting(run: Run, settings: Settings, weight: int) -> Start:
    """Return the start of the candidate's containers, to wait for."""
    return Start(run.candidate, run.release, settings, run.clock, run.progress, weight, run.client_impact)


def verify(run: Run) -> JournalFacts:
    """Run the gate on each of the candidate's containers, compared with the live release."""
    run.candidate.set_cpu_weight(SERVING_WEIGHT)
    folder = run.settings.root / "out/cutovers" / run.id
    # In a hold the old process has unloaded its model, so the calibration is the only reference.
    live = run.old if run.strategy is Strategy.OVERLAP else None
    first, *others = run.candidate.replicas
    bounded = bounded_settings(run, loading=False)

    def judge(replica: Replica) -> JournalFacts:
        recordings = folder if replica is first else folder / replica.slot.server
        return gate.run(replica, live, bounded, run.clock, run.progress, recordings, run.client_impact).facts()

    if live or not others:  # one by one: the live release's speed is the reference
        judged = [judge(replica) for replica in (first, *others)]
    else:  # in parallel: requests wait
        pool = ThreadPoolExecutor()
        try:
            judged = list(pool.map(judge, (first, *others)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for no synthesis
    named = {f"gate {replica.slot.server}": facts for replica, facts in zip(others, judged[1:], strict=True)}
    return {"gate": judged[0], **named, "client_status": _require_access(run, bounded.gate_timeout_s)}


def _require_access(run: Run, timeout_s: float) -> int:
    """Request one text from each container as a client without a key; return the expected status that all answered.

    The gate speaks from inside, where neither keys nor limits apply.

    Raises:
        GateRefusedError: a container serves a client without a key, or refuses one where none is needed.
    """
    keys = bool(run.target.place.keys_folder)
    expected = HTTPStatus.UNAUTHORIZED if keys else HTTPStatus.OK
    golden = golden_files.load(run.settings).texts
    shortest = min(golden.texts, key=lambda text: len(text.say))
    servers = run.proxy.servers()
    for name in run.server_names(run.idle):
        status = run.proxy.status_for_client(servers[name], shortest.say, golden.voice, timeout_s)
        if status != expected:
            raise GateRefusedError(
                f"{name} answers {status or 'nothing'} instead of {expected.value} to a client without an API key, "
                f"and this stack has {'' if keys else 'no '}API keys: clients would notice",
                remedy=f"correct the release's access control or its API, then switch again; {run.client_impact}",
            )
    return expected.value


def take_out(run: Run) -> None:
    """Take the idle colour out of rotation, also as a backup."""
    run.rotate(((*run.idle.servers, *run.idle.standbys), "maint"))


def promote_standby(run: Run) -> None:
    """Make a live colour that serves only as a backup a regular one, since the steps move its regular servers."""
    if run.live and not any(server.admin == "ready" for server in run.servers(run.live)):
        proxy = run.proxy.servers()
        if any(proxy[name].usable for name in run.standbys(run.live)):
            run.rotate((run.server_names(run.live), "ready"), (run.live.standbys, "maint"))


def discard(run: Run, error: BaseException | None = None) -> None:
    """Take the candidate out of rotation, then remove it; its last log lines become the detail of `error`.

    Raises:
        ProxyError: it may still get requests, so it was not removed.
    """
    take_out(run)
    logs = run.candidate.remove()
    if isinstance(error, ReportedError) and logs and not error.detail:
        error.detail = logs


def bounded_settings(run: Run, *, loading: bool) -> Settings:
    """Return the run's settings; in an unforced hold the timeouts end before held requests time out."""
    began = holding.began_at(run.target.journal.read(), run.id) if run.strategy is Strategy.HOLD else None
    if began is None or run.plan.forced:
        return run.settings
    most_s = holding.candidate_timeout_s(
        run.target.hold_budget_s,
        run.target.now() - timeline.unix(began),
        load_s=run.plan.load_s,
        reload_s=run.plan.reload_s,
        loading=loading,
    )
    return run.settings.model_copy(update={name: min(getattr(run.settings, name), most_s) for name in BOUNDED})
