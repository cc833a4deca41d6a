"""Image builds with BuildKit through buildx, driven by python-on-whales because docker-py has no BuildKit.

Build progress goes directly to the terminal. The library is imported only when an image is built, because the import
takes a third of a second.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from docker.models.images import Image

from build.errors import CommandFailedError, PlatformError

# The platform of the locks, and the engine's own builder. Another builder does not put images into the engine's store.
PLATFORM, BUILDER = "linux/amd64", "default"


@dataclass(frozen=True)
class Recipe:
    """The buildx arguments of one image.

    Attributes:
        file: Dockerfile, relative to the exported tree.
        contexts: named build contexts, such as `{"channel": "docker-image://name:tag"}`.
    """

    file: str
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)


def build(
    tree: Path, recipe: Recipe, *, tag: str, secrets: Sequence[str] = (), cache: str = "", no_cache: bool = False
) -> None:
    """Build one image from an exported tree into the engine's store.

    The image contains BuildKit's inline cache metadata, so a later build can use it as `cache`.

    Args:
        cache: a pushed image; the build reuses each of its layers that matches a step.
        no_cache: run every step again without any cache.
        secrets: BuildKit secrets, such as `id=ca,src=/path`.

    Raises:
        CommandFailedError: the build failed; its output is already on the terminal.
    """
    from python_on_whales import DockerClient

    dockerfile = tree / recipe.file
    with _convert_errors(tag):
        DockerClient().buildx.build(
            tree,
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
            cache=not no_cache,
            load=True,
            # An attestation would turn the image into an index of two manifests in containerd's store. The project
            # attaches its own documents to the image in the registry instead.
            provenance=False,
            progress="auto" if sys.stderr.isatty() else "plain",
        )


@contextmanager
def _convert_errors(tag: str) -> Iterator[None]:
    from python_on_whales.exceptions import DockerException, NoSuchImage

    try:
        yield
    except NoSuchImage:
        # python-on-whales looks up the new image by its configuration's digest, which containerd's store does not know.
        # The build itself succeeded: a failed build raises a plain DockerException.
        return
    except DockerException as error:
        raise CommandFailedError(
            f"the build of {tag} failed with exit code {error.return_code}",
            remedy="read the end of its output above: it names the failed step and the reason",
        ) from None


def require_platform(reference: str, image: Image) -> None:
    """Raise PlatformError if the image is for another platform than the locks.

    A pull with DOCKER_DEFAULT_PLATFORM set stores such an image under the same name.
    """
    found = f"{image.attrs.get('Os')}/{image.attrs.get('Architecture')}"
    if found != PLATFORM:
        raise PlatformError(
            f"{reference} on the engine is for {found}, but the locks are for {PLATFORM}",
            remedy=f"docker pull --platform {PLATFORM} {reference}",
        )
