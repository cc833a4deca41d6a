"""The janitor: survey the engine, registry and files, plan the removals, and execute the plan.

It never removes anything that a running or journaled release needs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from docker.errors import ImageNotFound

from build.docker.engine import convert_errors
from build.errors import CommandFailedError, LockHeldError, RegistryError, RetentionRefusedError
from build.host import imagestore
from build.host.findings import GB
from build.janitor import files, retention
from build.janitor.host import HostSurvey, Scope
from build.janitor.registry import RegistrySurvey
from build.janitor.retention import HOUR_S, Action, Location, Policy, StorageFacts, StoredItem
from build.progress import Progress
from build.target.target import ComposeTarget
from build.verify.verdicts import Verdicts

DAY_S = 86400.0


@dataclass(frozen=True)
class CleaningResult:
    """Plan and result. Free disk is in bytes; None if the engine's disk is on another machine."""

    actions: tuple[Action, ...]
    acted: bool
    free_before: int | None
    free_after: int | None
    failed: tuple[str, ...] = ()


class Janitor:
    """One survey of a target's engine, its registry and its records, and one round of removals."""

    def __init__(
        self,
        target: ComposeTarget,
        progress: Progress,
        *,
        scope: Scope | None = None,
        registry: RegistrySurvey | None = None,
        young_s: float = HOUR_S,
    ) -> None:
        """
        Args:
            young_s: age in seconds; a younger image may belong to a build in progress and is kept.
        """
        self._target = target
        self._engine = target.engine
        self._progress = progress
        self._scope = scope or Scope()
        self._registry = registry
        self._young_s = young_s
        self._host = HostSurvey(target.engine, target.settings, self._scope)
        self._verified = Verdicts(target.settings.root).passed()

    def run(self, *, dry_run: bool, now: bool, collect_garbage: str = "") -> CleaningResult:
        """Remove what the plan does not keep, if disk is short or `now` is set; a dry run only plans.

        Raises:
            RetentionRefusedError: a cutover is in progress or the last one failed; nothing was removed.
        """
        with self._no_cutover(lock=not dry_run):
            actions = tuple(self.plan())
            free = self.free()
            minimum = int(self._target.settings.min_free_gb * GB)
            if dry_run or not (now or (free is not None and free < minimum)):
                return CleaningResult(actions, acted=False, free_before=free, free_after=free)
            failed = [error for action in actions if not action.keep and (error := self._remove(action))]
            if collect_garbage:
                self._collect_garbage(collect_garbage)
            return CleaningResult(actions, acted=True, free_before=free, free_after=self.free(), failed=tuple(failed))

    def plan(self) -> list[Action]:
        """Plan what to remove and what to keep."""
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
        return retention.plan(StorageFacts(tuple(items), needs.needed, time.time(), cache), policy)

    def free(self) -> int | None:
        """Free disk (bytes) where the engine keeps its images; None if the engine is on another machine."""
        return imagestore.free_bytes(self._engine)

    @contextlib.contextmanager
    def _no_cutover(self, *, lock: bool) -> Iterator[None]:
        """Refuse during a cutover and after a failed one; with `lock`, hold the cutover lock against new cutovers."""
        self._refuse()
        if not (lock and self._target.running("agent")):
            yield
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._target.lock.held("janitor"))
            except LockHeldError as error:
                raise _refused(error.message) from None
            self._refuse(locked=True)  # check again: a cutover may have failed just before we acquired the lock
            yield

    def _refuse(self, *, locked: bool = False) -> None:
        if not locked and (holder := self._target.lock_holder()):
            raise _refused(f"{holder} holds the cutover lock")
        if reason := retention.refusal(self._target.history()):
            raise _refused(reason)

    def _remove(self, action: Action) -> str:
        """Remove one item; return an error text if it fails, so that the other removals continue."""
        item = action.item
        self._progress.step(f"removing {item.name} ({item.place}): {action.why}")
        try:
            if item.place is Location.HOST:
                self._remove_image(item)
            elif item.place is Location.REGISTRY and self._registry:
                self._registry.remove(item)
            elif item.place is Location.CACHE:
                freed = self._host.prune_cache(int(self._target.settings.build_cache_gb * GB))
                self._progress.note(f"{freed / GB:.2f} GB of build cache freed")
            else:
                files.remove(self._target.settings.root, item)
        except (CommandFailedError, RegistryError) as error:
            self._progress.note(f"not removed: {error.message}")
            return f"{item.name}: {error.message}"
        return ""

    def _remove_image(self, item: StoredItem) -> None:
        """Remove the project's own names; the engine deletes the image with its last name. Never use force."""
        tags = [name for name in item.names if "@" not in name]
        for name in [*tags, *(name for name in item.names if "@" in name)] or [item.id]:
            with convert_errors():
                try:
                    self._engine.client.images.remove(name)
                except ImageNotFound:
                    continue  # the digest disappeared with the last tag of its repository

    def _collect_garbage(self, container: str) -> None:
        self._progress.step(f"collecting garbage in {container}")
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
                remedy="check that the container runs a registry with its configuration in /etc/docker/registry",
            )
        found = self._engine.container(container)
        if found is not None:
            # The registry caches blobs in memory; without a restart it would skip a push of blobs that are deleted now.
            with convert_errors():
                found.restart()


def _refused(why: str) -> RetentionRefusedError:
    return RetentionRefusedError(
        f"removed nothing: {why}, so it is unknown which images a retry or a rollback needs",
        remedy="run `python -m build.cutover status`, then complete a switch or a rollback",
    )
