"""The two image stores, with recorded output of engine 26.1.5 about the same images in both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from build.docker import imagestore
from build.docker.imagestore import RepoDigest
from build.registry.client import DOCKER_INDEX, OCI_INDEX, Manifest

CLASSIC = {
    "DockerRootDir": "/var/lib/docker",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"], ["Native Overlay Diff", "true"]],
}
CONTAINERD = {
    "DockerRootDir": "/var/lib/docker",
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
}
LAYER = "sha256:a427033361c856c88b5e1b2619a272e2b501ea33f1dd63941216382ce97aa479"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OS_IMAGE: dict[str, Any] = {
    "Id": "sha256:4d0148f1eada5d6842d5feb798dc535c202e312d3a87ec604531dbfd5664b372",
    "Config": {"Env": [PATH], "Cmd": ["bash"], "Labels": {"ai.glm-tts.standin": "os"}},
    "RootFS": {"Type": "layers", "Layers": [LAYER]},
    "Size": 73469127,
}
MANIFEST = "sha256:28c0870abe9857f4f6d98c041e36f386ea50e2f2628727f344ec23edfb3b45f7"
OS_IMAGE_IN_CONTAINERD = {**OS_IMAGE, "Id": MANIFEST, "Size": 76471146}
PUSHED = "sha256:e8c75eb14c6a7e247e53bc003219dbf0cfa04993094e9453a7a90c5abcd261d8"
REGISTRY = "127.0.0.1:57205/glm-tts-slim"


@pytest.mark.parametrize(
    ("info", "configured", "expected"),
    [
        (CLASSIC, "", ["/var/lib/docker"]),
        (CLASSIC, "/srv/containerd", ["/var/lib/docker"]),
        (CONTAINERD, "", ["/var/lib/docker/containerd/daemon", "/var/lib/containerd"]),
        (CONTAINERD, "/srv/containerd", ["/var/lib/docker/containerd/daemon", "/srv/containerd"]),
        (
            {**CONTAINERD, "Containerd": {"Address": "/run/containerd/containerd.sock"}},
            "",
            ["/var/lib/containerd"],
        ),
        (
            {**CONTAINERD, "Containerd": {"Address": "/var/run/docker/containerd/containerd.sock"}},
            "/srv/containerd",
            ["/var/lib/docker/containerd/daemon"],
        ),
    ],
)
def test_the_disk_path_is_where_the_store_keeps_images(
    info: dict[str, Any], configured: str, expected: list[str]
) -> None:
    assert list(imagestore.disk_paths(info, configured)) == expected


def test_a_local_tag_in_containerds_store_is_not_a_publication() -> None:
    assert imagestore.claims(PUSHED, [f"glm-tts-slim@{PUSHED}"]) == []


def test_only_the_registry_knows_whether_a_tag_for_it_was_pushed() -> None:
    digests = [f"glm-tts-slim@{PUSHED}", f"{REGISTRY}@{PUSHED}"]
    assert imagestore.claims(PUSHED, digests) == [RepoDigest(f"{REGISTRY}@{PUSHED}", certain=False)]


def test_digests_of_the_classic_store_come_from_a_registry() -> None:
    found = imagestore.claims(OS_IMAGE["Id"], [f"{REGISTRY}@{PUSHED}", f"b.example/x@{PUSHED}"], "b.example/x")
    assert found == [
        RepoDigest(f"b.example/x@{PUSHED}", certain=True),
        RepoDigest(f"{REGISTRY}@{PUSHED}", certain=True),
    ]


@pytest.mark.parametrize(
    ("tags", "digests", "survives"),
    [
        (["glm-tts-slim:pinned-1"], [], False),
        # containerd's store derives the digest from the tag, so it disappears with the tag.
        (["glm-tts-slim:pinned-1"], [f"glm-tts-slim@{PUSHED}"], False),
        (["glm-tts-slim:pinned-1", "glm-tts-slim:1"], [f"glm-tts-slim@{PUSHED}"], True),
        (["glm-tts-slim:pinned-1"], [f"{REGISTRY}@{PUSHED}"], True),
        (["glm-tts-slim:pinned-1", f"glm-tts-slim@{PUSHED}"], [f"glm-tts-slim@{PUSHED}"], False),
    ],
)
def test_an_image_survives_if_it_has_another_name(tags: list[str], digests: list[str], *, survives: bool) -> None:
    assert imagestore.survives_untagging("glm-tts-slim:pinned-1", tags, digests) is survives


def test_both_stores_give_the_same_content_digest() -> None:
    assert imagestore.content(OS_IMAGE) == imagestore.content(OS_IMAGE_IN_CONTAINERD)
    # Engines differ in the empty fields of a configuration.
    padded = {**OS_IMAGE, "Config": {**OS_IMAGE["Config"], "Entrypoint": None, "User": "", "Volumes": None}}
    assert imagestore.content(padded) == imagestore.content(OS_IMAGE)


@pytest.mark.parametrize(
    "change",
    [
        {"RootFS": {"Layers": [LAYER, LAYER]}},
        {"Config": {**OS_IMAGE["Config"], "Env": [PATH, "A=b"]}},
        {"Config": {**OS_IMAGE["Config"], "Labels": {}}},
    ],
)
def test_another_layer_or_configuration_gives_another_content_digest(change: dict[str, Any]) -> None:
    assert imagestore.content({**OS_IMAGE, **change}) != imagestore.content(OS_IMAGE)


@pytest.mark.parametrize(
    ("packed", "size", "shared", "freed"),
    [
        (624525969, 624525969, 623995979, 529990),  # classic: an app above its base
        (73469127, 73469127, -1, 73469127),  # classic, the engine did not compute the shared size
        (321292511, 997709209, 676192256, 224442),  # containerd: the packed layers may all be the base's
        (321080628, 997497308, 676417536, 0),
        (20756382, 20756382, 0, 20756382),  # containerd: never unpacked
    ],
)
def test_a_removal_frees_the_bytes_that_no_other_image_shares(packed: int, size: int, shared: int, freed: int) -> None:
    assert imagestore.freed_bytes({"Size": packed}, {"Size": size, "SharedSize": shared}) == freed


IMAGE = {"digest": LAYER, "platform": {"os": "linux", "architecture": "amd64"}}
ARM = {"digest": PUSHED, "platform": {"os": "linux", "architecture": "arm64"}}
ATTESTATION = {
    "digest": MANIFEST,
    "platform": {"os": "unknown", "architecture": "unknown"},
    "annotations": {"vnd.docker.reference.digest": LAYER, "vnd.docker.reference.type": "attestation-manifest"},
}


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX])
@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([IMAGE, ATTESTATION], LAYER),
        ([ATTESTATION, ARM, IMAGE], LAYER),
        ([ATTESTATION, ARM], PUSHED),
        ([{"digest": LAYER}], LAYER),
        ([ATTESTATION], ""),
    ],
)
def test_the_image_of_an_index_is_never_an_attestation(
    listed: list[dict[str, Any]], expected: str, media_type: str
) -> None:
    body = json.dumps({"mediaType": media_type, "manifests": listed}).encode()
    assert Manifest("sha256:1", media_type, body).platform_digest == expected
