"""Stored verification reports of images: one file for each image in the clone, and documents attached in a registry.

A report belongs to an image ID. It stays valid until the image is verified again, so a failed image stays failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from docker.models.images import Image

from build.docker.engine import DockerEngine
from build.errors import RegistryError, UnverifiedError, VerificationError
from build.progress import Progress
from build.registry import referrers
from build.registry.registries import at_registry
from build.system import files
from build.verify import rules
from build.verify.rules import VerificationReport

FOLDER = Path("out/verified")


class Verdicts:
    """Store of one clone's reports, `out/verified/ID.json`: on a base, on a proxy, or on an app and its base."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER

    def read(self, image_id: str) -> list[VerificationReport]:
        """Read the reports on an image; empty if there are none or the file is invalid."""
        try:
            return rules.parse_document(self._path(image_id).read_bytes())
        except (OSError, ValueError):
            return []

    def write(self, image_id: str, *reports: VerificationReport) -> None:
        """Store reports on an image; they replace earlier reports on the same parts."""
        parts = {report.part: report for report in (*self.read(image_id), *reports)}
        self._folder.mkdir(parents=True, exist_ok=True)
        files.replace(self._path(image_id), rules.document(list(parts.values())).decode() + "\n")

    def passed(self) -> set[str]:
        """IDs of the app images without a failed line in their reports."""
        known = {f"sha256:{path.stem}": self.read(path.stem) for path in sorted(self._folder.glob("*.json"))}
        return {
            image
            for image, reports in known.items()
            if any(report.part == "app" and report.lines for report in reports) and not rules.verdict(reports)
        }

    def _path(self, image_id: str) -> Path:
        return self._folder / f"{image_id.removeprefix('sha256:')}.json"


def require(reports: Iterable[VerificationReport]) -> None:
    """Raise VerificationError with all failed lines, if there are any."""
    if failed := rules.verdict(reports):
        raise VerificationError(
            f"the image failed its verification (failed checks: {len(failed)})",
            detail="\n".join(failed),
            remedy="fix the failed checks and build again; "
            "`python -m build.images verify --fresh IMAGE` repeats the verification of an image",
        )


def require_verified(root: Path, engine: DockerEngine, progress: Progress, image: str, *, unverified: bool) -> bool:
    """Refuse a release whose verification failed, or that was not verified unless the operator accepts that.

    Args:
        image: image ID or `repo@digest`. If the clone has no report, the registry of a `repo@digest` is queried.
        unverified: the operator accepts a release that was not verified.

    Returns:
        Whether the release is verified.

    Raises:
        VerificationError: the verification failed.
        UnverifiedError: there is no verification.
    """
    found = engine.image(image)
    reports, why = _known(root, engine, found, image)
    require(reports)
    if any(report.part == "app" for report in reports):
        return True
    if not unverified:
        raise UnverifiedError(
            f"{image} is not verified: {why}",
            remedy=f"run `python -m build.images verify {image}`, or accept the image with --unverified, on record",
        )
    progress.note(f"warning: {image} is not verified ({why}); accepted by --unverified")
    return False


def _known(root: Path, engine: DockerEngine, found: Image | None, image: str) -> tuple[list[VerificationReport], str]:
    """The reports on an image, and the reason if there are none."""
    if found is not None and (reports := Verdicts(root).read(str(found.id))):
        return reports, ""
    if "@" not in image:
        return [], f"this clone has no report on it under {FOLDER}"
    reports = []
    try:
        registry, name, digest = at_registry(engine, image)
        for document in referrers.find(registry, name, digest, referrers.VERIFICATION, {}):
            with suppress(ValueError):  # ignore a document of another kind
                reports += rules.parse_document(referrers.content(registry, name, document.digest))
    except RegistryError as error:
        return [], f"this clone has no report on it, and the registry's reports cannot be read: {error.message}"
    return reports, "neither this clone nor the registry has a report on it"


def require_proxy(root: Path, engine: DockerEngine, image: str) -> None:
    """Raise VerificationError if this clone has a failed report on the proxy's image."""
    found = engine.image(image)
    if found is not None:
        require(Verdicts(root).read(str(found.id)))
