"""Frees space without touching what a running or journaled release needs: survey, plan, and what the plan says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from docker.errors import ImageNotFound

from build.docker.engine import explained
from build.errors import CommandFailedError, LockHeldError, RegistryError, RetentionRefusedError
from build.host import imagestore
from build.host.findings import GB
from build.janitor import files, retention
from build.janitor.host import HostSurvey, Scope
from build.janitor.registry import RegistrySurvey
from build.janitor.retention import HOUR_S, Action, Facts, Item, Place, Policy
from build.progress import Report
from build.target.target import Target
from build.verify.verdicts import Verdicts

DAY_S = 86400.0


@dataclass(frozen=True)
class Outcome:
    """What was planned and what came of it. Disk in bytes, None where the engine's disk is on another machine."""

    actions: tuple[Action, ...]
    acted: bool
    free_before: int | None
    free_after: int | None
    failed: tuple[str, ...] = ()


class Janitor:
    """One look at a target's engine, its registry and its records, and one round of removals."""

    def __init__(
        self,
        target: Target,
        report: Report,
        *,
        scope: Scope | None = None,
        registry: RegistrySurvey | None = None,
        young_s: float = HOUR_S,
    ) -> None:
        """`young_s` is the age (seconds) up to which an image may still be in the making."""
        self._target = target
        self._engine = target.engine
        self._report = report
        self._scope = scope or Scope()
        self._registry = registry
        self._young_s = young_s
        self._host = HostSurvey(target.engine, target.settings, self._scope)
        self._verified = Verdicts(target.settings.root).passed()

    def run(self, *, dry_run: bool, now: bool, collect_garbage: str = "") -> Outcome:
        """Removes what the plan does not keep, when disk is short or `now` asks for it; a dry run only plans.

        Raises:
            RetentionRefusedError: a cutover is under way or the last one failed; nothing was removed.
        """
        with self._undisturbed(alone=not dry_run):
            actions = tuple(self.plan())
            free = self.free()
            wanted = int(self._target.settings.min_free_gb * GB)
            if dry_run or not (now or (free is not None and free < wanted)):
                return Outcome(actions, acted=False, free_before=free, free_after=free)
            failed = [said for action in actions if not action.keep and (said := self._remove(action))]
            if collect_garbage:
                self._collect_garbage(collect_garbage)
            return Outcome(actions, acted=True, free_before=free, free_after=self.free(), failed=tuple(failed))

    def plan(self) -> list[Action]:
        """What would go and what would stay."""
        settings = self._target.settings
        needs = self._host.needs()
        verified = self._verified | needs.served
        items = self._host.images(verified)
        if self._registry:
            items += self._registry.items()
        items += files.records(settings.root)
        cache = self._host.cache_bytes() if self._scope.build_cache else 0
        policy = Policy(
            keep_releases=settings.keep_releases,
            cache_bytes=int(settings.build_cache_gb * GB),
            keep_logs_s=settings.keep_logs_days * DAY_S,
            young_s=self._young_s,
        )
        return retention.plan(Facts(tuple(items), needs.needed, time.time(), cache), policy)

    def free(self) -> int | None:
        """Free disk (bytes) where the engine keeps its images; None when that is another machine's."""
        return imagestore.free_bytes(self._engine)

    @contextlib.contextmanager
    def _undisturbed(self, *, alone: bool) -> Iterator[None]:
        """Refuses during and after a bad cutover; `alone` keeps the next one from beginning meanwhile."""
        self._refuse()
        image = self._target.proxy_image if alone else ""
        if not image:
            yield
            return
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._target.lease.held(image, "janitor"))
            except LockHeldError as error:
                raise _refused(error.message) from None
            self._refuse(locked=True)  # what ended before the lock was ours may have failed
            yield

    def _refuse(self, *, locked: bool = False) -> None:
        if not locked and (holder := self._target.lease.holder()):
            raise _refused(f"the cutover's lease is held by {holder}")
        if said := retention.refusal(self._target.history()):
            raise _refused(said)

    def _remove(self, action: Action) -> str:
        """Does what an action says; what could not be done is returned, and the rest goes on."""
        item = action.item
        self._report.step(f"removing {item.name} ({item.place}): {action.why}")
        try:
            if item.place is Place.HOST:
                self._remove_image(item)
            elif item.place is Place.REGISTRY and self._registry:
                self._registry.remove(item)
            elif item.place is Place.CACHE:
                freed = self._host.prune_cache(int(self._target.settings.build_cache_gb * GB))
                self._report.note(f"{freed / GB:.2f} GB of build cache freed")
            else:
                files.remove(self._target.settings.root, item)
        except (CommandFailedError, RegistryError) as error:
            self._report.note(f"stays: {error.message}")
            return f"{item.name}: {error.message}"
        return ""

    def _remove_image(self, item: Item) -> None:
        """Takes the project's own names off; the image goes with its last one. Never by force."""
        tags = [name for name in item.names if "@" not in name]
        for name in [*tags, *(name for name in item.names if "@" in name)] or [item.id]:
            with explained():
                try:
                    self._engine.client.images.remove(name)
                except ImageNotFound:
                    continue  # a digest goes with the last tag of its repository

    def _collect_garbage(self, container: str) -> None:
        self._report.step(f"collecting garbage in {container}")
        script = (
            "set -e; program=$(command -v docker-registry || command -v registry); "
            "for file in /etc/docker/registry/config.yml /etc/distribution/config.yml; do "
            'if [ -e "$file" ]; then exec "$program" garbage-collect "$file"; fi; done; '
            "echo no configuration >&2; exit 1"
        )
        answer = self._engine.execute(container, ["sh", "-c", script])
        if answer.exit_code:
            raise CommandFailedError(
                f"the registry in {container} could not collect its garbage",
                detail=(answer.error or answer.text)[-2000:],
                remedy="see that it is a registry's container with its configuration in /etc/docker/registry",
            )
        found = self._engine.container(container)
        if found is not None:
            # It remembers blobs in memory, and would take a push's word that they are still there.
            with explained():
                found.restart()


def _refused(why: str) -> RetentionRefusedError:
    return RetentionRefusedError(
        f"nothing was removed: {why}; what the next try or a way back needs is not known",
        remedy="see `python -m build.cutover status`; finish with a switch or a rollback that serves",
    )
