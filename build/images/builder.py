"""Builder of a commit's images: proxy, base (with the environment) and app, each only if its inputs changed."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from docker.models.images import Image

from build import VERSION
from build.docker import buildx, imagestore
from build.docker.buildx import Recipe
from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage, standins_of
from build.errors import CommandFailedError, ImageNotFoundError, MissingFileError
from build.images import build_secrets, refreshed
from build.images.identity import CiClaim, Identity, identify
from build.images.remote_cache import RemoteCache
from build.images.standins import GUIDE
from build.locks import compatibility_check
from build.locks import drift as drifts
from build.locks.drift import AptLock, Drift
from build.locks.index import apt_lock, conda_lock
from build.locks.index_file import lock_hashes
from build.model.commit import Commit
from build.model.labels import (
    ACCEPTED_DRIFT_LABEL,
    APT_MOMENT_LABEL,
    CACHE_TAG,
    CHANNEL_REPOSITORY,
    DRIFT_LABEL,
    ENVIRONMENT_LABEL,
    FLAVOUR_LABEL,
    INPUTS_LABEL,
    LINE_LABEL,
    LOCKS_LABEL,
    OCI,
    PROXY_REPOSITORY,
    RELEASE_LABEL,
    RUN_ID_LABEL,
    STANDIN_LABEL,
    TRIGGERED_BY_LABEL,
    app_repository,
    base_repository,
)
from build.progress import Progress
from build.settings import Settings
from build.system import sources
from build.verify.verifier import PROXY_INPUTS

# The genuine upstream image, and the stand-in that bootstrap makes if it cannot be pulled.
OS_IMAGES = ("debian:bookworm-slim", "standin/debian:bookworm-slim")
CUDA_IMAGES = ("nvidia/cuda:11.8.0-base-ubuntu22.04", "standin/nvidia-cuda:11.8.0-base")

CHANNEL_INPUTS = ("Dockerfile.standin", "build/conda", "environment.yml", "locks/tools.txt", "locks/channel.txt")

APP_INPUTS = ("Dockerfile.app", "batch", "service", "voices")


def base_inputs(flavour: str) -> tuple[str, ...]:
    """Every file that determines the content of the base image."""
    torch = ("locks/torch.txt",) if flavour == "cuda" else ()
    return ("Dockerfile.base", "build/conda", "locks/tools.txt", *torch, f"locks/{flavour}.txt", conda_lock(flavour))


class ImageBuilder:
    """One build of one commit, or of a dirty tree under its own name."""

    def __init__(
        self,
        settings: Settings,
        engine: DockerEngine,
        progress: Progress,
        commit: Commit,
        identity: Identity | None = None,
        remote: RemoteCache | None = None,
        *,
        refresh: bool = False,
    ) -> None:
        """
        Args:
            remote: place with images of other builds, to fetch from and to use as build cache.
            refresh: rebuild proxy, channel and base, each under a new unique name.
        """
        self._settings = settings
        self._engine = engine
        self._progress = progress
        self._commit = commit
        self._identity = identity or identify(commit, CiClaim())
        self._flavour = settings.flavour
        self.sources = sources.Sources(settings.root, commit)
        self._remote = remote
        self._refresh = refresh
        self.built = 0

    @cached_property
    def upstream(self) -> dict[str, TaggedImage]:
        """The upstream images, by the build argument that takes them."""
        images = {"OS_IMAGE": self._genuine_or_standin(*OS_IMAGES, "scripts/bootstrap")}
        if self._flavour == "cuda":
            images["CUDA_IMAGE"] = self._genuine_or_standin(*CUDA_IMAGES, "scripts/bootstrap --cuda")
        return images

    def _genuine_or_standin(self, genuine: str, standin: str, bootstrap: str) -> TaggedImage:
        if image := self._engine.image(genuine):
            buildx.require_platform(genuine, image)
            return TaggedImage(genuine, image)
        if image := self._engine.image(standin):
            self._progress.note(f"{genuine} is not on the engine; using the stand-in {standin} ({GUIDE})")
            return TaggedImage(standin, image)
        raise ImageNotFoundError(f"neither {genuine} nor its stand-in is on the engine", remedy=f"run `{bootstrap}`")

    def proxy(self) -> TaggedImage:
        """Return the proxy image; build it if its inputs changed."""
        os_image = self.upstream["OS_IMAGE"]
        recipe = Recipe("proxy/Dockerfile", args={"OS_IMAGE": os_image.reference})
        return self._build_once(PROXY_REPOSITORY, PROXY_INPUTS, [os_image], recipe)

    def base(self) -> TaggedImage:
        """Return the base image for the current inputs: from the engine, else from the remote, else built."""
        upstream = self.upstream
        inputs = self._present(base_inputs(self._flavour))
        contexts: dict[str, str] = {}
        parents = list(upstream.values())
        # A refresh takes current packages from the mirror. `build.lock apt` then writes the apt lock from the result.
        snapshot, moment = ({}, {}) if self._refresh else self._snapshot(parents)
        inputs += tuple(snapshot[name] for name in ("APT_LOCK",) if name in snapshot)
        if conda_lock(self._flavour) not in inputs:
            channel = self.channel()
            contexts["channel"] = f"docker-image://{channel.reference}"
            parents.append(channel)
        standins = sorted({name for parent in parents for name in standins_of(parent.image)})
        recipe = Recipe(
            "Dockerfile.base",
            target=self._flavour,
            args={name: parent.reference for name, parent in upstream.items()} | snapshot,
            contexts=contexts,
            labels={
                STANDIN_LABEL: ",".join(standins),
                FLAVOUR_LABEL: self._flavour,
                LOCKS_LABEL: ",".join(
                    f"{name}={digest}" for name, digest in lock_hashes(self._flavour, self._settings.root).items()
                ),
                **compatibility_check.facts_for_labels(self._settings.root, self._flavour),
                **moment,
            },
        )
        return self._build_once(base_repository(self._flavour), inputs, parents, recipe, CACHE_TAG)

    def _snapshot(self, parents: list[TaggedImage]) -> tuple[dict[str, str], dict[str, str]]:
        """Build arguments to take Debian packages from the snapshot archive, and the label with the snapshot's time.

        Both are empty if no archive is configured or the lock does not exist.
        """
        archive = self._settings.apt_snapshot
        if not archive:
            return {}, {}
        standin = any("os" in standins_of(parent.image) for parent in parents)
        lock = apt_lock(self._flavour, standin=standin)
        if lock not in self.sources.present((lock,)):
            self._progress.note(
                f"{lock} does not exist, so packages come from the mirror; `python -m build.lock apt` writes it"
            )
            return {}, {}
        moment = AptLock.parse((self._settings.root / lock).read_text()).snapshot
        arguments = {"APT_SOURCE": "snapshot", "APT_SNAPSHOT": archive, "APT_LOCK": lock}
        return arguments, {APT_MOMENT_LABEL: moment}

    def channel(self) -> TaggedImage:
        """Return the image of the stand-in conda channel; build it if its inputs changed."""
        os_image = self.upstream["OS_IMAGE"]
        lock = conda_lock(self._flavour)
        self._progress.note(f"{lock} does not exist; using the stand-in channel instead of conda-forge ({GUIDE})")
        recipe = Recipe(
            "Dockerfile.standin",
            target="channel",
            args={"OS_IMAGE": os_image.reference},
            labels={STANDIN_LABEL: "conda"},
        )
        return self._build_once(CHANNEL_REPOSITORY, CHANNEL_INPUTS, [os_image], recipe)

    def app(self, base: TaggedImage, drift: Sequence[Drift] = (), *, accepted: bool = False) -> TaggedImage:
        """Return the app image of the commit on a base; build it unless the engine's image has the same inputs.

        Args:
            drift: the base's drift from its apt lock, recorded in a label.
            accepted: the drift is accepted for production, recorded in a label.
        """
        commit, identity = self._commit, self._identity
        reference = f"{app_repository(self._flavour)}:{commit.release}"
        labels = {
            OCI + "revision": commit.sha,
            OCI + "source": commit.source,
            OCI + "version": identity.version or commit.release,
            # The commit's time instead of the build's, so that building a commit again gives the same image.
            OCI + "created": commit.committed,
            OCI + "base.name": base.reference,
            OCI + "base.digest": base.reference.partition("@")[2] or str(base.image.id),
            RELEASE_LABEL: commit.release,
            LINE_LABEL: VERSION,
            FLAVOUR_LABEL: self._flavour,
            STANDIN_LABEL: ",".join(standins_of(base.image)),
            ENVIRONMENT_LABEL: identity.environment.value,
            DRIFT_LABEL: drifts.label(drift),
            ACCEPTED_DRIFT_LABEL: "true" if accepted else "",
        }
        labels[INPUTS_LABEL] = self._key(APP_INPUTS, [base], labels)
        if (image := self._engine.image(reference)) and image.labels.get(INPUTS_LABEL) == labels[INPUTS_LABEL]:
            return TaggedImage(reference, image)
        # The user and run are not inputs: two requests for the same commit give one image.
        labels |= {TRIGGERED_BY_LABEL: identity.triggered_by, RUN_ID_LABEL: identity.run_id}
        recipe = Recipe("Dockerfile.app", args={"BASE": base.reference, "RELEASE": commit.release}, labels=labels)
        self._progress.step(f"building {reference}")
        # The commit's staging image has the same layers as its production image, so it serves as cache.
        app = self._build(reference, APP_INPUTS, recipe, commit.release, identity.environment.value)
        _check_ancestry(app.image, base)
        return app

    def _build_once(
        self,
        repository: str,
        inputs: tuple[str, ...],
        parents: list[TaggedImage],
        recipe: Recipe,
        cache_tag: str = "",
    ) -> TaggedImage:
        """Return the image tagged by its inputs; build it only if no image with this tag exists.

        Args:
            cache_tag: tag in the shared registry to take cached layers from. If empty, only the engine is searched.
        """
        key = self._key(inputs, parents, recipe.labels)
        if self._refresh:
            reference = f"{repository}:{refreshed.tag(key, self._engine.now())}"
            self._progress.step(f"building {reference} without cache")
            return self._build(reference, inputs, recipe, no_cache=True)
        shared = self._remote if cache_tag else None
        known = [*self._engine.tags(repository), *(shared.tags(repository) if shared else ())]
        reference = f"{repository}:{refreshed.newest(key, known)}"
        if image := self._engine.image(reference) or (shared.fetch(reference) if shared else None):
            return TaggedImage(reference, image)
        self._progress.step(f"building {reference}")
        return self._build(reference, inputs, recipe, *filter(None, [cache_tag]))

    def _build(
        self, reference: str, inputs: tuple[str, ...], recipe: Recipe, *cache_tags: str, no_cache: bool = False
    ) -> TaggedImage:
        """Build an image, with the first published tag among `cache_tags` as cache."""
        cached = [f"{reference.rpartition(':')[0]}:{tag}" for tag in cache_tags]
        found = (self._remote.cache(name) for name in cached) if self._remote else iter(())
        cache = next(filter(None, found), "")
        secrets = [*build_secrets.ca(), *build_secrets.channels()]
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch)
            self.sources.export(inputs, tree)
            buildx.build(tree, recipe, tag=reference, secrets=secrets, cache=cache, no_cache=no_cache)
        image = self._engine.image(reference)
        self.built += 1
        if image is None:
            raise CommandFailedError(f"the build of {reference} succeeded, but the engine does not have the image")
        return TaggedImage(reference, image)

    def _present(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        """The paths that exist in the tree; only the conda lock may be missing."""
        present = self.sources.present(paths)
        missing = [path for path in paths if path not in present and path != conda_lock(self._flavour)]
        if missing:
            raise MissingFileError(
                f"the commit lacks {', '.join(missing)}", remedy="restore these files: the build needs them"
            )
        return present

    def _key(self, inputs: tuple[str, ...], parents: Iterable[TaggedImage], labels: Mapping[str, str]) -> str:
        """Hash (16 hex digits) of the input files, the parent images, the labels and the export format."""
        files = self.sources.files(self._present(inputs))
        rows = sorted((path, entry.mode, entry.blob) for path, entry in files.items())
        below = [imagestore.content(parent.image.attrs) for parent in parents]
        text = json.dumps([sources.EXPORT, rows, below, sorted(labels.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_ancestry(app: Image, base: TaggedImage) -> None:
    """Raise CommandFailedError if the app was built on another image than `base`.

    BuildKit cannot build FROM an ID. It resolves the base by name, and the name may move during the build.
    """
    layers: list[str] = base.image.attrs["RootFS"]["Layers"]
    if app.attrs["RootFS"]["Layers"][: len(layers)] != layers:
        raise CommandFailedError(
            f"the app image is not built on {base.reference} ({base.image.id}): the tag moved during the build",
            remedy="run the build again",
        )
