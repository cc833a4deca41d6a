"""BuildKit through buildx, by python-on-whales (docker-py cannot drive it). Progress goes straight to the terminal.

The library is imported when something is built: a run that changes nothing is spared its third of a second.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from docker.models.images import Image

from build.errors import CommandFailedError, PlatformError

# That of the locks. The engine's own builder, whichever one is current: another keeps images elsewhere.
PLATFORM, BUILDER = "linux/amd64", "default"


@dataclass(frozen=True)
class Recipe:
    """How an image is made from its context.

    Attributes:
        file: the Dockerfile, relative to the exported tree; its folder is the context when `own_folder` is set.
        contexts: named build contexts, such as `{"channel": "docker-image://name:tag"}`.
    """

    file: str
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    own_folder: bool = False


def build(
    tree: Path, recipe: Recipe, *, tag: str, secrets: Sequence[str] = (), cache: str = "", anew: bool = False
) -> None:
    """Builds one image from an exported tree into the engine's store.

    Its configuration says which step made which layer (BuildKit's inline cache), so that it can be another's `cache`.

    Args:
        cache: a pushed image whose layers may be taken, each when it is the one that a step needs.
        anew: run every step again, without layers of any cache.
        secrets: BuildKit secrets, such as `id=ca,src=/path`.

    Raises:
        CommandFailedError: the build failed; its output has been shown by then.
    """
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException, NoSuchImage

    dockerfile = tree / recipe.file
    try:
        DockerClient().buildx.build(
            dockerfile.parent if recipe.own_folder else tree,
            file=dockerfile,
            tags=[tag],
            builder=BUILDER,
            platforms=[PLATFORM],
            target=recipe.target,
            build_args=dict(recipe.args),
            labels=dict(recipe.labels),
            build_contexts=dict(recipe.contexts),
            secrets=list(secrets),
            cache_from=f"type=registry,ref={cache}" if cache else None,
            cache_to="type=inline",
            cache=not anew,
            load=True,
            # An attestation would make the image an index of two manifests in containerd's store; what is known of a
            # build lies beside the image in the registry.
            provenance=False,
            progress="auto" if sys.stderr.isatty() else "plain",
        )
    except NoSuchImage:
        # python-on-whales looks the new image up by its configuration's digest, which is no name in containerd's store.
        # The build itself ended well: its own errors are plain DockerExceptions.
        return
    except DockerException as error:
        raise CommandFailedError(
            f"the build of {tag} failed with exit code {error.return_code}",
            remedy="the last lines of its output above say which step and why",
        ) from None


def require_platform(reference: str, image: Image) -> None:
    """Raises PlatformError for an image of another platform than the locks.

    A pull under DOCKER_DEFAULT_PLATFORM brings such an image, under the same name.
    """
    found = f"{image.attrs.get('Os')}/{image.attrs.get('Architecture')}"
    if found != PLATFORM:
        raise PlatformError(
            f"{reference} on the engine is for {found}, and the locks are for {PLATFORM}",
            remedy=f"docker pull --platform {PLATFORM} {reference}",
        )
