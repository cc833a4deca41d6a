"""From a commit to images: the proxy, the base with its environment, the app; each built when its inputs changed."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from docker.models.images import Image

from build.decisions.identity import Commit
from build.decisions.names import (
    CHANNEL_REPOSITORY,
    FLAVOUR_LABEL,
    PROXY_REPOSITORY,
    RELEASE_LABEL,
    STANDIN_LABEL,
    app_repository,
    base_repository,
)
from build.drivers import buildx, git
from build.drivers.buildx import Recipe
from build.drivers.engine import Engine
from build.errors import CommandFailedError, ImageNotFoundError, MissingFileError
from build.procedures.publish import Publisher
from build.procedures.report import Report
from build.settings import Settings

OCI = "org.opencontainers.image."
CONDA_LOCK = "locks/conda-forge-linux-64.lock"

# The genuine image each flavour stands on, and what bootstrap makes where that cannot be pulled.
OS_IMAGES = ("debian:bookworm-slim", "standin/debian:bookworm-slim")
CUDA_IMAGES = ("nvidia/cuda:11.8.0-base-ubuntu22.04", "standin/nvidia-cuda:11.8.0-base")

CHANNEL_INPUTS = ("Dockerfile.standin", "build/conda", "environment.yml", "locks/tools.txt", "locks/channel.txt")
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

PROXY_INPUTS = ("proxy",)
APP_INPUTS = ("Dockerfile.app", "service", "voices")


# Free disk (GB) a build may need at its peak: layers, build cache, and what the engine unpacks beside them.
PEAK_GB = {"slim": 4.0, "cuda": 20.0}


def peak_bytes(settings: Settings) -> int:
    """Free disk that a build demands before it begins."""
    return int((PEAK_GB[settings.flavour] if settings.free_gb is None else settings.free_gb) * 10**9)


def base_inputs(flavour: str) -> tuple[str, ...]:
    """Every file that decides what the base image holds."""
    torch = ("locks/torch.txt",) if flavour == "cuda" else ()
    return ("Dockerfile.base", "build/conda", "locks/tools.txt", *torch, f"locks/{flavour}.txt", CONDA_LOCK)


@dataclass(frozen=True)
class Named:
    """An image under the reference that it is known by here."""

    reference: str
    image: Image


@dataclass(frozen=True)
class Built:
    """What a build made. `pushed` is `repo@digest`, empty when it stayed on the engine."""

    reference: str
    image_id: str
    base: str
    proxy: str
    pushed: str
    standins: tuple[str, ...]
    seconds: float


class BuildImages:
    """One build of one commit (or of a dirty tree, under its own name)."""

    def __init__(self, settings: Settings, engine: Engine, report: Report, commit: Commit) -> None:
        self._settings = settings
        self._engine = engine
        self._report = report
        self._commit = commit
        self._flavour = settings.flavour

    def run(self, publisher: Publisher | None = None) -> Built:
        """Builds what changed and returns what came of it; with a publisher, base and app end in its registry."""
        began = time.monotonic()
        upstream = self._upstreams()
        proxy = self._proxy(upstream["OS_IMAGE"])
        base = self._base(upstream)
        if publisher:
            # A pushed base is named by digest; BuildKit cannot build FROM a local image's ID, so there its tag must do.
            base = Named(publisher.push(base.image, base.reference), base.image)
        app = self._app(base)
        return Built(
            reference=app.reference,
            image_id=str(app.image.id),
            base=base.reference,
            proxy=proxy.reference,
            pushed=publisher.push(app.image, app.reference) if publisher else "",
            standins=_standins(app.image),
            seconds=time.monotonic() - began,
        )

    def base(self) -> Named:
        """The base image alone, built when its inputs changed."""
        return self._base(self._upstreams())

    def _upstreams(self) -> dict[str, Named]:
        images = {"OS_IMAGE": self._genuine_or_standin(*OS_IMAGES, "scripts/bootstrap")}
        if self._flavour == "cuda":
            images["CUDA_IMAGE"] = self._genuine_or_standin(*CUDA_IMAGES, "scripts/bootstrap --cuda")
        return images

    def _genuine_or_standin(self, genuine: str, standin: str, bootstrap: str) -> Named:
        if image := self._engine.image(genuine):
            return Named(genuine, image)
        if image := self._engine.image(standin):
            self._report.note(f"{genuine} is not here; {standin} stands in for it")
            return Named(standin, image)
        raise ImageNotFoundError(f"neither {genuine} nor its stand-in is on the engine", remedy=f"run `{bootstrap}`")

    def _proxy(self, os_image: Named) -> Named:
        recipe = Recipe("proxy/Dockerfile", args={"OS_IMAGE": os_image.reference}, own_folder=True)
        return self._build_once(PROXY_REPOSITORY, PROXY_INPUTS, [os_image], recipe)

    def _base(self, upstream: dict[str, Named]) -> Named:
        inputs = self._present(base_inputs(self._flavour))
        contexts: dict[str, str] = {}
        parents = list(upstream.values())
        if CONDA_LOCK not in inputs:
            channel = self._channel(upstream["OS_IMAGE"])
            contexts["channel"] = f"docker-image://{channel.reference}"
            parents.append(channel)
        standins = sorted({name for parent in parents for name in _standins(parent.image)})
        recipe = Recipe(
            "Dockerfile.base",
            target=self._flavour,
            args={name: parent.reference for name, parent in upstream.items()},
            contexts=contexts,
            labels={STANDIN_LABEL: ",".join(standins), FLAVOUR_LABEL: self._flavour},
        )
        return self._build_once(base_repository(self._flavour), inputs, parents, recipe)

    def _channel(self, os_image: Named) -> Named:
        self._report.note(f"the repository has no {CONDA_LOCK}; a channel of our own making stands in for conda-forge")
        recipe = Recipe(
            "Dockerfile.standin",
            target="channel",
            args={"OS_IMAGE": os_image.reference},
            labels={STANDIN_LABEL: "conda"},
        )
        return self._build_once(CHANNEL_REPOSITORY, CHANNEL_INPUTS, [os_image], recipe)

    def _app(self, base: Named) -> Named:
        commit = self._commit
        reference = f"{app_repository(self._flavour)}:{commit.release}"
        labels = {
            OCI + "revision": commit.sha,
            OCI + "source": commit.source,
            OCI + "version": next(reversed(commit.tags), commit.release),
            # The commit's time, not the build's: building a commit again gives the same image.
            OCI + "created": commit.committed,
            OCI + "base.name": base.reference,
            OCI + "base.digest": base.reference.partition("@")[2] or str(base.image.id),
            RELEASE_LABEL: commit.release,
            FLAVOUR_LABEL: self._flavour,
            "ai.glm-tts.triggered-by": os.environ.get("GITHUB_ACTOR", ""),
            STANDIN_LABEL: ",".join(_standins(base.image)),
        }
        recipe = Recipe("Dockerfile.app", args={"BASE": base.reference, "RELEASE": commit.release}, labels=labels)
        self._report.step(f"app image {reference}")
        app = self._build(reference, APP_INPUTS, recipe)
        _check_ancestry(app.image, base)
        return app

    def _build_once(self, repository: str, inputs: tuple[str, ...], parents: list[Named], recipe: Recipe) -> Named:
        """The image tagged by its inputs, so that it is built when one of them changed and else never."""
        reference = f"{repository}:{self._key(inputs, parents)}"
        if image := self._engine.image(reference):
            return Named(reference, image)
        self._report.step(f"building {reference}")
        return self._build(reference, inputs, recipe)

    def _build(self, reference: str, inputs: tuple[str, ...], recipe: Recipe) -> Named:
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch)
            git.export(self._settings.root, self._commit.tree, inputs, tree)
            buildx.build(tree, recipe, tag=reference, secrets=_ca_secret())
        image = self._engine.image(reference)
        if image is None:
            raise CommandFailedError(f"the build of {reference} ended well, but the engine does not have the image")
        return Named(reference, image)

    def _present(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `paths` that the tree has; only the conda lock may be missing."""
        tracked = git.identity_of(self._settings.root, self._commit.tree, paths)
        present = tuple(path for path in paths if f"\t{path}" in tracked)
        missing = [path for path in paths if path not in present and path != CONDA_LOCK]
        if missing:
            raise MissingFileError(f"the commit lacks {', '.join(missing)}", remedy="restore them; a build needs each")
        return present

    def _key(self, inputs: tuple[str, ...], parents: Iterable[Named]) -> str:
        """16 hex digits that change when an input file or a parent image does."""
        text = git.identity_of(self._settings.root, self._commit.tree, self._present(inputs))
        return hashlib.sha256("\n".join([text, *(str(parent.image.id) for parent in parents)]).encode()).hexdigest()[
            :16
        ]


def _standins(image: Image) -> tuple[str, ...]:
    return tuple(name for name in image.labels.get(STANDIN_LABEL, "").split(",") if name)


def _check_ancestry(app: Image, base: Named) -> None:
    """BuildKit cannot build FROM an ID, so the name it was given is verified by what came out."""
    layers: list[str] = base.image.attrs["RootFS"]["Layers"]
    if app.attrs["RootFS"]["Layers"][: len(layers)] != layers:
        raise CommandFailedError(
            f"the app image does not stand on {base.reference} ({base.image.id}): the tag was moved during the build",
            remedy="build again",
        )


def _ca_secret() -> list[str]:
    """The host's CA bundle, for networks that inspect TLS; a secret is never part of a layer."""
    bundles = (os.environ.get("SSL_CERT_FILE", ""), SYSTEM_BUNDLE)
    return next(([f"id=ca,src={bundle}"] for bundle in bundles if bundle and Path(bundle).is_file()), [])
