"""Refuse a release that is older than the live one, such as that of a late CI job."""

from __future__ import annotations

from build.errors import OlderReleaseError
from build.model import timestamps
from build.model.labels import OCI
from build.model.release import Release
from build.progress import Progress
from build.system import git
from build.target.types import Target


def check(target: Target, progress: Progress, wanted: Release, live: Release | None, *, accepted: bool) -> None:
    """Warn if `wanted` seems older than the live release.

    Args:
        accepted: go on although the clone's git proves that it is older.

    Raises:
        OlderReleaseError: git proves it, and it is not accepted.
    """
    if live is None or live.sha == wanted.sha:
        return
    older = git.is_ancestor(target.settings.root, _commit(wanted), _commit(live))
    if older and not accepted:
        raise OlderReleaseError(
            f"{wanted} is older than the live release {live}: its commit is an ancestor of the live one, "
            "so the switch would undo newer changes",
            remedy=f"`python -m build.cutover rollback {wanted.sha}` goes back on purpose, as does `switch --older`; "
            "nothing was changed",
        )
    if older:
        progress.note(f"warning: {wanted} is older than the live release {live}; --older accepts it")
    elif older is None and 0 < _created(target, wanted) < _created(target, live):
        progress.note(
            f"warning: the commit of {wanted} is older than that of the live release {live}, by the labels of their "
            "images; this clone does not know both commits"
        )


def _commit(release: Release) -> str:
    return release.sha.removesuffix("-dirty")


def _created(target: Target, release: Release) -> float:
    """Return the time of a release's commit, in seconds since 1970; 0 if it is unknown."""
    return timestamps.unix((target.image_labels(release.image) or {}).get(OCI + "created", ""))
