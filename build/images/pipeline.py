"""Pipeline from a commit to a release: build the images, verify them, publish them on request, and record the build."""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import get_args

from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage, standins_of
from build.errors import DriftRefusedError
from build.host.imagestore import unpacked_bytes
from build.images import record_store
from build.images.builder import ImageBuilder
from build.images.identity import BuildEnvironment, Identity
from build.images.publish import Publisher
from build.images.record import Base, Record, Verification, identifier
from build.locks import drift as drifts
from build.locks import inventory_reader
from build.locks.index_file import lock_hashes
from build.model.commit import Commit
from build.model.labels import CACHE_TAG
from build.progress import Progress
from build.registry import referrers
from build.settings import Settings
from build.system import command
from build.verify import rules, verdicts, verifier
from build.verify.rules import Outcome, VerificationReport


@dataclass
class ReleaseResult:
    """Result of a run.

    Attributes:
        reports: verification reports by part: proxy, base, app.
        accepted_drift: the operator accepted a production push although the base drifted from its apt lock.
        pushed: `repo@digest`; empty if the image was not pushed.
        seconds: duration by phase.
        record: None if nothing was built or published.
    """

    app: TaggedImage
    base: TaggedImage
    proxy: TaggedImage
    reports: dict[str, VerificationReport]
    accepted_drift: bool
    pushed: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    record: Record | None = None

    @property
    def standins(self) -> tuple[str, ...]:
        return standins_of(self.app.image)


class ReleasePipeline:
    """One run for one commit. An image that fails verification is never published; its record contains the failure."""

    def __init__(
        self,
        settings: Settings,
        engine: DockerEngine,
        progress: Progress,
        commit: Commit,
        identity: Identity,
        publisher: Publisher | None = None,
        *,
        accept_drift: bool = False,
        refresh: bool = False,
    ) -> None:
        self._settings, self._engine, self._progress = settings, engine, progress
        self._commit, self._identity = commit, identity
        self._images = ImageBuilder(settings, engine, progress, commit, identity, publisher, refresh=refresh)
        self._publisher = publisher
        self._verifier = verifier.Verifier(settings, engine, progress)
        self._accept_drift = accept_drift
        self._seconds: dict[str, float] = {}

    def run(self) -> ReleaseResult:
        """Build the images whose inputs changed, verify them, publish them on request, and record the build.

        Raises:
            VerificationError: an image failed verification; the record contains the failure, and it was not pushed.
            DriftRefusedError: a production push of an image that drifted from its apt lock.
        """
        with self._phase("proxy"):
            proxy = self._images.proxy()
        with self._phase("verify proxy"):
            reports = {"proxy": self._verifier.proxy(proxy.image, self._images.sources.files(verifier.PROXY_INPUTS))}
        with self._phase("base"):
            base = self._images.base()
        with self._phase("verify base"):
            reports["base"] = self._verifier.base(base.image, self._published_reports(base))
        if self._publisher and not rules.verdict(reports.values()):
            self._publisher.refuse_standins(base.image, base.reference)
            self._refuse_drift(reports["base"])
            # From here on the base is referenced by digest. An unpushed base is referenced by tag, because BuildKit
            # cannot build FROM a local image ID.
            base, reports["base"] = self._publish_base(base, reports["base"], self._publisher)
        drift = reports["base"].drift
        accepted = bool(drift) and self._is_production_push
        reports["base"] = replace(reports["base"], accepted_drift=accepted)
        with self._phase("app"):
            app = self._images.app(base, drift, accepted=accepted)
        with self._phase("verify app"):
            reports["app"] = self._verifier.app(app.image, reports["base"])
        result = ReleaseResult(app, base, proxy, reports=reports, accepted_drift=accepted, seconds=self._seconds)
        self._finish(result)
        return result

    @property
    def _is_production_push(self) -> bool:
        return self._publisher is not None and self._identity.environment is BuildEnvironment.PRODUCTION

    def _refuse_drift(self, base: VerificationReport) -> None:
        if base.drift and self._is_production_push and not self._accept_drift:
            raise DriftRefusedError(
                f"{drifts.summary(base.drift)}, and this is a production push of {self._identity.version}",
                detail=drifts.text(base.drift),
                remedy="build from a snapshot archive (setting apt_snapshot), or write the lock again with "
                "`python -m build.lock apt` and commit it, or accept the drift with --accept-drift, which is recorded",
            )

    def _published_reports(self, image: TaggedImage) -> verifier.Published:
        """Reader of the verification reports attached to an image in the registry.

        A base's reports are annotated with the hash of their checks; an app's have no annotation (empty hash).
        """

        def read(checks: str) -> Iterator[VerificationReport]:
            annotations = {referrers.CHECKS: checks} if checks else {}
            documents = self._publisher.documents if self._publisher else lambda *_: iter(())
            for document in documents(image.reference, referrers.VERIFICATION, annotations):
                with suppress(ValueError):  # ignore a document that is not a report
                    yield from (self._with_local_id(report, image) for report in rules.parse_document(document))

        return read

    def _with_local_id(self, report: VerificationReport, image: TaggedImage) -> VerificationReport:
        ids = self._publisher.ids(image.reference) if self._publisher else frozenset()
        return rules.with_local_id(report, str(image.image.id), ids)

    def _publish_base(
        self, base: TaggedImage, report: VerificationReport, publisher: Publisher
    ) -> tuple[TaggedImage, VerificationReport]:
        """Publish the base and attach its report; return the registry's base, verified, and the report."""
        with self._phase("push base"):
            published = TaggedImage(*publisher.publish(base.image, base.reference))
        if published.image.id != base.image.id:
            report = self._verifier.base(
                published.image, self._published_reports(TaggedImage(base.reference, published.image))
            )
            verdicts.require([report])
            self._refuse_drift(report)
        annotations = {referrers.CHECKS: report.checks}
        publisher.attach(published.reference, referrers.VERIFICATION, rules.document([report]), annotations)
        publisher.tag(published.reference, CACHE_TAG, movable=True)
        return published, report

    def _finish(self, result: ReleaseResult) -> None:
        """Publish the app if every report passed. Record a build or push even if it failed."""
        try:
            verdicts.require(result.reports.values())
            if self._publisher:
                self._publish_app(result, self._publisher)
        finally:
            if self._images.built or self._publisher:
                result.record = self._record(result)
                record_store.write(self._settings.root, result.record)
        if self._publisher and result.record:
            self._tag_and_document(result, self._publisher, result.record)

    def _publish_app(self, result: ReleaseResult, publisher: Publisher) -> None:
        with self._phase("push app"):
            result.pushed, image = publisher.publish(result.app.image, result.app.reference, self._identity.version)
        if image.id != result.app.image.id:
            # Another build of this commit was published first. That image is the release, so verify it.
            result.reports["base"], result.reports["app"] = self._verifier.run(image)
            verdicts.require(result.reports.values())
        verdicts.require(self._published_reports(TaggedImage(result.pushed, image))(""))
        result.app = TaggedImage(result.app.reference, image)

    def _tag_and_document(self, result: ReleaseResult, publisher: Publisher, record: Record) -> None:
        """Attach the documents to the pushed image and tag it. If a run is killed here, the next run completes this."""
        from build.images import sbom  # noqa: PLC0415 - only a push needs cyclonedx, which takes 0.1 s to import

        self._progress.step(f"attaching documents to {result.pushed}")
        known = inventory_reader.read(self._engine, str(result.app.image.id))
        facts = sbom.ImageFacts(
            repository=result.app.reference.rpartition(":")[0],
            image_id=str(result.app.image.id),
            digest=record.manifest_digest,
            sha=record.sha,
            committed=self._commit.committed,
            flavour=record.flavour,
        )
        publisher.attach(result.pushed, referrers.SBOM, sbom.make(known, facts))
        publisher.attach(
            result.pushed, referrers.VERIFICATION, rules.document([result.reports["base"], result.reports["app"]])
        )
        publisher.attach(result.pushed, referrers.BUILD_RECORD, record.model_dump_json(indent=2).encode())
        if record.version:
            publisher.tag(result.pushed, record.version, movable=False)
        publisher.tag(result.pushed, record.environment, movable=True)

    def _record(self, result: ReleaseResult) -> Record:
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
            standins=result.standins,
            base=Base(
                reference=result.base.reference,
                image_id=str(result.base.image.id),
                digest=result.base.reference.partition("@")[2],
            ),
            reference=result.app.reference,
            image_id=str(result.app.image.id),
            manifest_digest=result.pushed.partition("@")[2],
            pushed=result.pushed,
            size_bytes=unpacked_bytes(result.app.image),
            seconds={phase: round(seconds, 3) for phase, seconds in self._seconds.items()},
            verification=tuple(_summary(report) for report in result.reports.values()),
            accepted_drift=result.accepted_drift,
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


def _summary(report: VerificationReport) -> Verification:
    by = {
        outcome: tuple(line.name for line in report.lines if line.outcome == outcome) for outcome in get_args(Outcome)
    }
    return Verification(
        part=report.part,
        passed=len(by["passed"]),
        failed=by["failed"],
        not_verified=by["not verified"],
        drift=tuple(asdict(package) for package in report.drift),
    )
