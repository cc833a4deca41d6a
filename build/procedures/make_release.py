"""From a commit to a release: images built, looked into, published where that was asked for, and written down."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from docker.models.images import Image

from build.decisions import verification
from build.decisions.identity import Commit, Identity
from build.decisions.names import CACHE_TAG
from build.decisions.record import Base, Record, Verification, identifier
from build.decisions.verification import Report as Findings
from build.drivers import command
from build.drivers.engine import Engine
from build.procedures import attach, inventory, records, verify
from build.procedures.build_images import BuildImages, Named, standins_of
from build.procedures.lockindex import lock_hashes
from build.procedures.publish import Publisher
from build.procedures.report import Report
from build.settings import Settings


@dataclass
class Made:
    """What a run made. `pushed` is `repo@digest`, empty when it stayed on the engine.

    `seconds` are by phase; `record` is None when nothing was built and nothing published.
    """

    app: Named
    base: Named
    proxy: Named
    pushed: str = ""
    findings: list[Findings] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    record: Record | None = None

    @property
    def standins(self) -> tuple[str, ...]:
        return standins_of(self.app.image)


# Debian's archive moves on and forgets: what has drifted from its lock can be built and tried here, as a dirty tree
# can, and is never pushed.
DRIFT: tuple[str, ...] = ("apt lock",)


class MakeRelease:
    """One run for one commit. An image that fails its verification is never published, and its record says so."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        report: Report,
        commit: Commit,
        identity: Identity,
        publisher: Publisher | None = None,
    ) -> None:
        self._settings, self._engine, self._report = settings, engine, report
        self._commit, self._identity = commit, identity
        self._images = BuildImages(settings, engine, report, commit, identity, publisher)
        self._publisher = publisher
        self._verifier = verify.Verifier(settings, engine, report)
        self._seconds: dict[str, float] = {}
        self._findings: list[Findings] = []
        self._tolerated = DRIFT

    def run(self) -> Made:
        """Builds what changed, verifies what was built, publishes where there is a publisher, records.

        Raises:
            VerificationError: an image is not as it must be; its record says so, and nothing of it was pushed.
        """
        with self._phase("proxy"):
            proxy = self._images.proxy()
        with self._phase("base"):
            base = self._images.base()
        if publisher := self._publisher:
            # By digest from here on. BuildKit cannot build FROM a local image's ID: unpushed, its tag must do.
            base = self._published(base, publisher)
        with self._phase("app"):
            app = self._images.app(base)
        made = Made(app, base, proxy, findings=self._findings, seconds=self._seconds)
        if self._images.built or publisher:
            self._finish(made, publisher)
        return made

    def _published(self, base: Named, publisher: Publisher) -> Named:
        """The base as it is in the registry, looked into here or by whoever published it, its report beside it."""
        self._tolerated = ()

        def told(checks: str) -> Iterator[Findings]:
            for document in publisher.documents(base.reference, attach.VERIFICATION, {attach.CHECKS: checks}):
                with suppress(ValueError):  # what is no report says nothing
                    yield from verification.of_document(document)

        def look(image: Image) -> Findings:
            return self._verifier.base(image, told)

        self._look(look, base)
        with self._phase("push base"):
            published = Named(*publisher.publish(base.image, base.reference))
        if published.image.id != base.image.id:
            self._findings.clear()
            self._look(look, published)
        annotations = {attach.CHECKS: self._findings[0].checks}
        publisher.attach(published.reference, attach.VERIFICATION, verification.document(self._findings), annotations)
        publisher.tag(published.reference, CACHE_TAG, movable=True)
        return published

    def _finish(self, made: Made, publisher: Publisher | None) -> None:
        """Whatever comes of it is written down, also that it failed."""
        try:
            if not self._findings:
                self._look(self._verifier.base, made.base)
            self._look(self._verifier.app, made.app)
            if publisher:
                with self._phase("push app"):
                    made.pushed, image = publisher.publish(made.app.image, made.app.reference)
                    made.app = Named(made.app.reference, image)
        finally:
            made.record = self._record(made)
            records.write(self._settings.root, made.record)
        if publisher:
            self._tag_and_document(made, publisher, made.record)
        for line in (bad for found in self._findings for bad in found.failed):
            self._report.note(
                f"{line.name}: {line.detail}: not fit for a push; `python -m build.lock apt` locks it anew"
            )

    def _tag_and_document(self, made: Made, publisher: Publisher, record: Record) -> None:
        """Names for people, and what is known about the image, beside it; a run after a killed one completes them."""
        from build.procedures import sbom  # noqa: PLC0415 - cyclonedx: 0.1 s that all but a push can spare

        self._report.step(f"documents beside {made.pushed}")
        known = inventory.read(self._engine, str(made.app.image.id))
        facts = sbom.ImageFacts(
            repository=made.app.reference.rpartition(":")[0],
            image_id=str(made.app.image.id),
            digest=record.manifest_digest,
            sha=record.sha,
            committed=self._commit.committed,
            flavour=record.flavour,
        )
        publisher.attach(made.pushed, attach.SBOM, sbom.make(known, facts))
        publisher.attach(made.pushed, attach.VERIFICATION, verification.document(made.findings))
        publisher.attach(made.pushed, attach.BUILD_RECORD, record.model_dump_json(indent=2).encode())
        if record.version:
            publisher.tag(made.pushed, record.version, movable=False)
        publisher.tag(made.pushed, record.environment, movable=True)

    def _look(self, verifier: Callable[[Image], Findings], image: Named) -> None:
        part = "base" if not self._findings else "app"
        with self._phase(f"verify {part}"):
            self._findings.append(verifier(image.image))
        verify.require(self._findings, self._tolerated)

    def _record(self, made: Made) -> Record:
        commit, identity = self._commit, self._identity
        built_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Record(
            id=identifier(built_at, commit.release),
            built_at=built_at,
            sha=commit.sha,
            dirty=bool(commit.dirty),
            ref=identity.ref,
            environment=identity.environment.value,
            version=identity.version,
            triggered_by=identity.triggered_by,
            run_id=identity.run_id,
            host=socket.gethostname(),
            flavour=self._settings.flavour,
            tools=self._tools(),
            locks=lock_hashes(self._settings.flavour, self._settings.root),
            standins=made.standins,
            base=Base(
                reference=made.base.reference,
                image_id=str(made.base.image.id),
                digest=made.base.reference.partition("@")[2],
            ),
            reference=made.app.reference,
            image_id=str(made.app.image.id),
            manifest_digest=made.pushed.partition("@")[2],
            pushed=made.pushed,
            size_bytes=int(made.app.image.attrs["Size"]),
            seconds={phase: round(seconds, 3) for phase, seconds in self._seconds.items()},
            verification=tuple(_summary(each) for each in made.findings),
        )

    def _tools(self) -> dict[str, str]:
        return {
            "python": platform.python_version(),
            "git": command.run(["git", "version"]).decode().split()[2],
            "engine": str(self._engine.info()["ServerVersion"]),
            "buildx": command.run(["docker", "buildx", "version"]).decode().split()[1],
        }

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = time.monotonic() - began


_OUTCOMES = ("passed", "failed", "not verified")


def _summary(found: Findings) -> Verification:
    by = {outcome: tuple(line.name for line in found.lines if line.outcome == outcome) for outcome in _OUTCOMES}
    return Verification(
        part="base" if found.part == "base" else "app",
        passed=len(by["passed"]),
        failed=by["failed"],
        not_verified=by["not verified"],
    )
