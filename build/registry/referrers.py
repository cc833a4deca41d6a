"""Documents attached to a published image: OCI artifacts with the image as subject, found by the image's digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from build.errors import RegistryError
from build.registry.client import OCI_INDEX, OCI_MANIFEST, Registry, sha256

SBOM = "application/vnd.cyclonedx+json"
VERIFICATION = "application/vnd.glm-tts.verification+json"
BUILD_RECORD = "application/vnd.glm-tts.build-record+json"

# Annotation on a base's report: hash of the checks that made it, so that only reports by the current checks are read.
CHECKS = "ai.glm-tts.checks"

EMPTY = "application/vnd.oci.empty.v1+json"
ATTEMPTS = 5


@dataclass(frozen=True)
class AttachedDocument:
    """One attached document; `digest` is the digest of its manifest."""

    digest: str
    artifact_type: str
    annotations: Mapping[str, str]


def attach(
    registry: Registry,
    repository: str,
    subject_digest: str,
    artifact_type: str,
    content: bytes,
    annotations: Mapping[str, str],
) -> str:
    """Attach a document to a published image; return the digest of the document's manifest.

    The call is idempotent: the same document with the same annotations is attached once.

    Raises:
        RegistryError: there is no such image, the registry refuses, or concurrent writers keep changing the list.
    """
    subject = registry.manifest(repository, subject_digest)
    if subject is None:
        raise RegistryError(
            f"nothing can be attached to {registry.full(repository)}@{subject_digest}: the registry does not have it"
        )
    described = {
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "annotations": dict(sorted(annotations.items())),
    }
    manifest = described | {
        "schemaVersion": 2,
        "config": _blob(registry, repository, EMPTY, b"{}"),
        "layers": [_blob(registry, repository, artifact_type, content)],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": len(subject.body)},
    }
    body = json.dumps(manifest, sort_keys=True).encode()
    digest = registry.put_manifest(repository, sha256(body), body, OCI_MANIFEST)
    if registry.referrers(repository, subject_digest) is None:
        entry = described | {"digest": digest, "size": len(body)}
        _list(registry, repository, fallback_tag(subject_digest), entry)
    return digest


def attached(registry: Registry, repository: str, subject_digest: str) -> list[AttachedDocument]:
    """List the documents attached to an image in the registry's order; empty for an unknown image."""
    found = registry.referrers(repository, subject_digest)
    if found is None:
        found = _entries(registry, repository, fallback_tag(subject_digest))
    return [
        AttachedDocument(entry["digest"], entry.get("artifactType", ""), dict(entry.get("annotations") or {}))
        for entry in found
    ]


def find(
    registry: Registry, repository: str, subject_digest: str, artifact_type: str, annotations: Mapping[str, str]
) -> list[AttachedDocument]:
    """List the documents attached to an image that have this type and exactly these annotations."""
    return [
        document
        for document in attached(registry, repository, subject_digest)
        if (document.artifact_type, document.annotations) == (artifact_type, annotations)
    ]


def content(registry: Registry, repository: str, digest: str) -> bytes:
    """Get the bytes of an attached document by the digest of its manifest.

    Raises:
        RegistryError: there is no such document.
    """
    manifest = registry.manifest(repository, digest)
    if manifest is None:
        raise RegistryError(f"the registry has no document {registry.full(repository)}@{digest}")
    return registry.blob(repository, manifest.parsed["layers"][0]["digest"])


def fallback_tag(subject_digest: str) -> str:
    """The tag that holds the list of referrers in a registry without a referrers API (OCI distribution 1.1)."""
    return subject_digest.replace(":", "-")


def _blob(registry: Registry, repository: str, media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": registry.put_blob(repository, content), "size": len(content)}


def _entries(registry: Registry, repository: str, tag: str) -> list[dict[str, Any]]:
    manifest = registry.manifest(repository, tag)
    found: list[dict[str, Any]] = manifest.parsed.get("manifests") or [] if manifest else []
    return found


def _list(registry: Registry, repository: str, tag: str, entry: dict[str, Any]) -> None:
    """Add an entry to the list under a tag.

    A tag cannot be locked, and another runner may overwrite the list. So read it again after each write.
    """
    for _ in range(ATTEMPTS):
        entries = _entries(registry, repository, tag)
        if any(listed["digest"] == entry["digest"] for listed in entries):
            return
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*entries, entry]}
        registry.put_manifest(repository, tag, json.dumps(index, sort_keys=True).encode(), OCI_INDEX)
    if all(listed["digest"] != entry["digest"] for listed in _entries(registry, repository, tag)):
        raise RegistryError(
            f"other processes keep changing {registry.full(repository)}:{tag}", remedy="run the command again"
        )
