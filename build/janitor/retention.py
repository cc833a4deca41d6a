"""Retention rules: facts and a policy in, a plan out that keeps or removes each item with a reason. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from build.images import refreshed
from build.model.release import Release
from build.model.states import State
from build.state import history as past
from build.state.history import Cutover

PIN = "pinned-"
STAGING = re.compile(r"[0-9a-f]{40}(-dirty)?")
KEY = refreshed.TAG  # bases, proxies and channels are tagged by their inputs
ARTIFACT = re.compile(r"sha256-([0-9a-f]{64})(\.[a-z]+)?")  # the fallback tag for attached documents in a registry
SHORTEST_SHA = 7
HOUR_S = 3600.0


class Role(StrEnum):
    """Role of an image in this project."""

    APP = "app"
    BASE = "base"
    PROXY = "proxy"
    CHANNEL = "channel"
    ARTIFACT = "artifact"


class Location(StrEnum):
    HOST = "host"
    REGISTRY = "registry"
    CACHE = "build cache"
    FILES = "files"


@dataclass(frozen=True)
class StoredItem:
    """One item that uses space: an image, an artifact, the build cache or a file.

    Attributes:
        id: image ID, manifest digest, or path relative to the clone.
        size: minimum number of bytes that its removal frees, if known.
        created: seconds since 1970; for an app the commit's time, which orders releases.
        modified: seconds since 1970 of the last build, tagging or writing.
        names: `repository:tag` and `repository@digest`, only the project's own.
        release: value of the release label; empty if the item is not a release.
        verified: it served, or passed verification.
        parents: names and digests of its base, or of an artifact's subject; any of them may match an item here.
        layers: digests of its layers, lowest first.
        text: content of a file, searched for the images it mentions.
    """

    place: Location
    id: str
    size: int
    created: float
    modified: float
    role: Role | None = None
    names: tuple[str, ...] = ()
    release: str = ""
    verified: bool = False
    parents: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    text: str = ""

    @property
    def name(self) -> str:
        """Name for display: the first name, otherwise the ID."""
        return next(iter(self.names), self.id)

    @property
    def repository(self) -> str:
        return self.name.partition("@")[0].rpartition(":")[0] if self.names else ""

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(name.rpartition(":")[2] for name in self.names if "@" not in name)

    @property
    def identifiers(self) -> frozenset[str]:
        """All identifiers by which a container, a journal or another item may refer to it."""
        digests = {name.partition("@")[2] for name in self.names if "@" in name}
        return frozenset({self.id, *self.names, *digests, self.release} - {""})


@dataclass(frozen=True)
class Policy:
    """How much to keep. Times in seconds, sizes in bytes."""

    keep_releases: int
    cache_bytes: int
    keep_logs_s: float
    young_s: float = HOUR_S


@dataclass(frozen=True)
class StorageFacts:
    """All facts of a survey. `needed` maps IDs, digests, names and releases to the reason to keep them."""

    items: tuple[StoredItem, ...]
    needed: Mapping[str, str]
    now: float
    cache_bytes: int = 0


@dataclass(frozen=True)
class Action:
    """Decision for one item, with the reason."""

    item: StoredItem
    keep: bool
    why: str


def plan(facts: StorageFacts, policy: Policy) -> list[Action]:
    """Plan one action for every item and one for the build cache: images in the given order, then cache, then files."""
    images = [item for item in facts.items if item.place in {Location.HOST, Location.REGISTRY}]
    kept = _kept(images, facts, policy)
    actions = [
        Action(image, keep=image in kept, why=kept.get(image) or _removal_reason(image, policy)) for image in images
    ]
    actions.append(_cache(facts, policy))
    files = (item for item in facts.items if item.place is Location.FILES)
    return actions + [_file(file, facts, policy, kept) for file in files]


def chosen(items: Iterable[StoredItem], names: Iterable[str]) -> dict[str, list[StoredItem]]:
    """Map each of an operator's names to its items: a commit of at least 7 digits, an image, a digest or an ID."""
    items = list(items)
    return {
        name: [
            item
            for item in items
            if name in item.identifiers or (len(name) >= SHORTEST_SHA and item.release.startswith(name))
        ]
        for name in names
    }


def refusal(history: list[Cutover]) -> str:
    """Reason why nothing may be removed now, judged by the newest cutover; empty if removal is allowed."""
    newest = history[-1] if history else None
    if newest is None:
        return ""
    if past.in_progress(history):
        return (
            f"the {newest.kind} to {newest.release} is in progress, or was interrupted at {newest.step or newest.state}"
        )
    if not newest.served or (newest.error and newest.state is not State.RETIRED):
        return f"the last {newest.kind}, to {newest.release}, failed: {newest.error or newest.state}"
    return ""


def journaled(history: list[Cutover], lives: Iterable[Release | None]) -> dict[str, str]:
    """What the journal needs, whichever release is live: ID, digest, reference or release -> reason."""
    needed: dict[Release, str] = {}
    newest = history[-1] if history else None
    for live in lives:
        if live:
            needed.setdefault(live, "release of a colour")
    if newest:
        needed.setdefault(newest.release, "newest in the journal")
        if newest.previous:
            needed.setdefault(newest.previous, "before the newest in the journal")
    for live in (*lives, None):
        if good := past.last_good(history, live):
            needed.setdefault(good, "last good release")
    return {
        name: why
        for release, why in needed.items()
        for name in (release.image, release.image.partition("@")[2], release.sha)
        if name
    }


def served(history: list[Cutover]) -> set[str]:
    """Image names and digests of all releases that served according to the journal."""
    releases = [cutover.release for cutover in history if cutover.served]
    releases += [cutover.previous for cutover in history if cutover.previous]
    return {name for release in releases for name in (release.image, release.image.partition("@")[2]) if name}


def _kept(images: list[StoredItem], facts: StorageFacts, policy: Policy) -> dict[StoredItem, str]:
    """Images to keep with the reason. Apps are judged first: bases are kept for apps, artifacts for both."""
    kept: dict[StoredItem, str] = {}
    rules: list[tuple[Callable[[StoredItem], bool], Callable[[StoredItem], str]]] = []
    newest = _newest(images, policy)
    rules.append((lambda image: image.role is Role.APP, lambda image: newest.get(image, "")))
    first = _first_of_each(images)
    rules.append((lambda image: image.role is Role.BASE, lambda image: _base_of(image, kept) or first.get(image, "")))
    rules.append((lambda image: image.role in {Role.PROXY, Role.CHANNEL}, lambda image: first.get(image, "")))
    rules.append((lambda image: image.role is Role.ARTIFACT, lambda image: _subject(image, kept)))
    for applies, rule in rules:
        for image in filter(applies, images):
            if why := _general_reason(image, facts, policy) or rule(image):
                kept[image] = why
    return kept


def _general_reason(image: StoredItem, facts: StorageFacts, policy: Policy) -> str:
    """Reason to keep an image of any role; empty if none."""
    for name in sorted(image.identifiers):
        if name in facts.needed:
            return facts.needed[name]
    if any(tag.startswith(PIN) for tag in image.tags):
        return "pinned"
    if image.place is Location.REGISTRY and (tag := _lasting_tag(image)):
        return f"tagged {tag}"
    if facts.now - image.modified < policy.young_s:
        return "younger than an hour: a build may still need it"
    return ""


def _lasting_tag(image: StoredItem) -> str:
    """A tag that a build of an ordinary commit does not create: a version, a build cache, or a user's own tag."""
    ordinary = {Role.APP: STAGING, Role.ARTIFACT: ARTIFACT}.get(image.role or Role.APP, KEY)
    return next((tag for tag in image.tags if not ordinary.fullmatch(tag)), "")


def _newest(images: list[StoredItem], policy: Policy) -> dict[StoredItem, str]:
    """The last K verified apps of each place and repository."""
    found: dict[StoredItem, str] = {}
    ranks: dict[tuple[Location, str], list[str]] = {}
    apps = [image for image in images if image.role is Role.APP and image.verified]
    for image in sorted(apps, key=lambda image: image.created, reverse=True):
        releases = ranks.setdefault((image.place, image.repository), [])
        # The staging image and the production image of a commit count as one release.
        release = image.release or image.id
        if release not in releases:
            releases.append(release)
        rank = releases.index(release) + 1
        if rank <= policy.keep_releases:
            found[image] = f"number {rank} of the last {policy.keep_releases} verified"
    return found


def _first_of_each(images: list[StoredItem]) -> dict[StoredItem, str]:
    """The newest image of each repository, because the next build starts from it."""
    newest: dict[tuple[Location, str], StoredItem] = {}
    for image in images:
        where = (image.place, image.repository)
        if image.names and (where not in newest or image.modified > newest[where].modified):
            newest[where] = image
    return dict.fromkeys(newest.values(), "newest of its repository: the next build starts from it")


def _base_of(base: StoredItem, kept: Mapping[StoredItem, str]) -> str:
    for app in kept:
        by_layers = bool(base.layers) and app.layers[: len(base.layers)] == base.layers
        if app.role is Role.APP and (by_layers or base.identifiers & _parent_identifiers(app)):
            return f"base of {app.name}"
    return ""


def _parent_identifiers(item: StoredItem) -> set[str]:
    return {name for parent in item.parents for name in (parent, parent.partition("@")[2]) if name}


def _subject(artifact: StoredItem, kept: Mapping[StoredItem, str]) -> str:
    for image in kept:
        if image.role is not Role.ARTIFACT and image.identifiers & _parent_identifiers(artifact):
            return f"belongs to {image.name}"
    return ""


def _removal_reason(image: StoredItem, policy: Policy) -> str:
    if image.role is Role.APP:
        return f"older than the last {policy.keep_releases} verified" if image.verified else "never verified"
    if image.role is Role.ARTIFACT:
        return "its image is removed or missing"
    return "no kept release is built on it" if image.role is Role.BASE else "not in use and not the newest"


def _cache(facts: StorageFacts, policy: Policy) -> Action:
    excess = max(0, facts.cache_bytes - policy.cache_bytes)
    item = StoredItem(Location.CACHE, "least recently used records", excess or facts.cache_bytes, facts.now, facts.now)
    if excess:
        return Action(
            item, keep=False, why=f"{facts.cache_bytes / 1e9:.1f} GB, more than {policy.cache_bytes / 1e9:.1f} GB"
        )
    return Action(item, keep=True, why=f"within {policy.cache_bytes / 1e9:.1f} GB")


def _file(file: StoredItem, facts: StorageFacts, policy: Policy, kept: Mapping[StoredItem, str]) -> Action:
    if facts.now - file.modified < policy.keep_logs_s:
        return Action(file, keep=True, why=f"younger than {policy.keep_logs_s / 86400:.0f} days")
    for image in kept:
        names = [name.removeprefix("sha256:") for name in (image.id, image.release) if name]
        if any(name in file.text for name in names):
            return Action(file, keep=True, why=f"mentions {image.name}")
    if needed := next((why for name, why in facts.needed.items() if name.removeprefix("sha256:") in file.text), ""):
        return Action(file, keep=True, why=f"mentions a needed image: {needed}")
    return Action(file, keep=False, why=f"older than {policy.keep_logs_s / 86400:.0f} days")
