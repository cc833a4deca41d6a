"""An empty builder: a nested engine with only the upstream images, which no build here creates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage
from build.host import findings
from build.host.facts import host_facts, peak_bytes
from build.images.builder import ImageBuilder
from build.settings import Settings, load
from build.system import git
from harness.nested import Nested, nested_engine
from harness.stack import Stack


@contextlib.contextmanager
def builder(stack: Stack, flavour: str) -> Iterator[tuple[Nested, dict[str, TaggedImage]]]:
    """Yield the builder and its upstream images by build argument.

    Raises:
        DiskFullError: the disk is too small for the flavour's peak.
        ImageNotFoundError: an upstream image is not on the host's engine.
    """
    settings, engine = _settings(stack, flavour), DockerEngine()
    findings.refuse(findings.disk(host_facts(settings, engine), peak_bytes(settings)))
    upstream = ImageBuilder(settings, engine, Reporter(), git.read(stack.root)).upstream
    with nested_engine(project=stack.project) as nested:
        nested.load(*(image.reference for image in upstream.values()))
        yield nested, upstream


def _settings(stack: Stack, flavour: str) -> Settings:
    return load(stack.root, {**stack.env, "CUTOVER_FLAVOUR": flavour})
