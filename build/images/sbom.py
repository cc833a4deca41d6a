"""Software bill of materials of an image in CycloneDX 1.6, which scanners read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from build.locks.inventory import Inventory

NAMESPACE = uuid.UUID("6f1d2b52-6f0f-5e0b-9a53-0f0a7e3f8c11")  # only used to derive serial numbers from image IDs
DISTRIBUTIONS = {"slim": ("debian", "debian-12"), "cuda": ("ubuntu", "ubuntu-22.04")}


@dataclass(frozen=True)
class ImageFacts:
    """Facts about the image itself for the bill of materials.

    Attributes:
        repository: without the registry, such as glm-tts-slim.
        image_id: the image's ID on the engine, sha256:...
        digest: sha256:... of its manifest in the registry; empty if it was never pushed.
        sha: the full commit.
        committed: time of the commit, ISO 8601 with zone. It is the bill's timestamp, so that the bill is reproducible.
        flavour: slim or cuda.
    """

    repository: str
    image_id: str
    digest: str
    sha: str
    committed: str
    flavour: str


def make(inventory: Inventory, facts: ImageFacts) -> bytes:
    """Make the bill as CycloneDX 1.6 JSON; the same image gives the same bytes.

    Raises:
        ValueError: `committed` is not a valid time.
    """
    bom = Bom(
        serial_number=uuid.uuid5(NAMESPACE, f"{facts.image_id} {facts.digest}"),
        metadata=BomMetaData(component=_image(facts), timestamp=datetime.fromisoformat(facts.committed)),
        components=_components(inventory, facts.flavour),
    )
    bom.register_dependency(bom.metadata.component or _image(facts), bom.components)
    written: str = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    return written.encode()


def _image(facts: ImageFacts) -> Component:
    known = facts.digest or facts.image_id
    properties = {"ai.glm-tts.image-id": facts.image_id, "org.opencontainers.image.revision": facts.sha}
    return Component(
        type=ComponentType.CONTAINER,
        name=facts.repository,
        version=facts.sha,
        bom_ref="image",
        purl=PackageURL("oci", None, facts.repository, known),
        properties=[Property(name=name, value=value) for name, value in properties.items()],
    )


def _components(inventory: Inventory, flavour: str) -> Iterator[Component]:
    for name, (version, build) in sorted(inventory.conda.items()):
        yield _library(PackageURL("conda", None, name, version, {"build": build} if build else None))
    for name, version in sorted(inventory.pip.items()):
        yield _library(PackageURL("pypi", None, name, version))
    vendor, distribution = DISTRIBUTIONS[flavour]
    for qualified, version in sorted(inventory.apt.items()):
        name, _, architecture = qualified.partition(":")
        qualifiers = {"arch": architecture or "amd64", "distro": distribution}
        yield _library(PackageURL("deb", vendor, name, version, qualifiers))


def _library(purl: PackageURL) -> Component:
    return Component(
        type=ComponentType.LIBRARY, name=purl.name, version=purl.version, purl=purl, bom_ref=purl.to_string()
    )
