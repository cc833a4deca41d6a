"""Documents attached to an image, in a registry without a referrers API (Debian's 2.8 has none)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from build.errors import RegistryError
from build.registry.client import OCI_INDEX, OCI_MANIFEST, Registry
from build.registry.referrers import SBOM, VERIFICATION, attach, attached, content
from harness.registry import Running, running_registry

NAME = "glm-tts-slim"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with running_registry() as found:
        yield found


def image(registry: Registry, marker: bytes) -> str:
    """Push an image without layers; return its digest."""
    config = registry.put_blob(NAME, marker)
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config,
            "size": len(marker),
        },
        "layers": [],
    }
    return registry.put_manifest(NAME, "sha", json.dumps(body).encode(), OCI_MANIFEST)


def test_documents_are_found_by_the_digest_of_their_image(running: Running) -> None:
    registry = Registry(running.address)
    subject = image(registry, b'{"one": 1}')
    assert attached(registry, NAME, subject) == []
    bill = attach(registry, NAME, subject, SBOM, b'{"bill": 1}', {"part": "app"})
    for _ in range(2):
        report = attach(registry, NAME, subject, VERIFICATION, b'{"report": 1}', {})

    found = attached(registry, NAME, subject)
    assert [(document.digest, document.artifact_type, document.annotations) for document in found] == [
        (bill, SBOM, {"part": "app"}),
        (report, VERIFICATION, {}),
    ]
    assert content(registry, NAME, bill) == b'{"bill": 1}'

    manifest = registry.manifest(NAME, bill)
    assert manifest
    assert manifest.parsed["subject"]["digest"] == subject
    index = registry.manifest(NAME, subject.replace(":", "-"))
    assert index
    assert index.media_type == OCI_INDEX


def test_attaching_to_a_missing_image_fails(running: Running) -> None:
    with pytest.raises(RegistryError, match="nothing can be attached"):
        attach(Registry(running.address), NAME, "sha256:" + "0" * 64, SBOM, b"{}", {})
