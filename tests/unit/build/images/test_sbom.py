"""The bill of materials: valid by CycloneDX's schema, complete and reproducible."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from build.images.sbom import ImageFacts, make
from build.locks.inventory import Inventory

INVENTORY = Inventory(
    python="3.11.9",
    name="base",
    prefix="/opt/conda",
    channels=("conda-forge",),
    conda={"python": ("3.11.9", "h1"), "zlib": ("1.3.1", "")},
    pip={"gradio": "5.0.0", "zope-interface": "7.0"},
    apt={"libc6": "2.36-9+deb12u9", "libc6:i386": "2.36-9+deb12u9", "adduser": "3.134"},
)
FACTS = ImageFacts(
    repository="glm-tts-slim",
    image_id="sha256:" + "a" * 64,
    digest="sha256:" + "b" * 64,
    sha="c" * 40,
    committed="2026-01-02T03:04:05+01:00",
    flavour="slim",
)


def test_the_bill_is_valid() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(make(INVENTORY, FACTS).decode()) is None


def test_every_package_is_listed_by_its_package_url() -> None:
    bill = json.loads(make(INVENTORY, FACTS))
    assert {component["purl"] for component in bill["components"]} == {
        "pkg:conda/python@3.11.9?build=h1",
        "pkg:conda/zlib@1.3.1",
        "pkg:pypi/gradio@5.0.0",
        "pkg:pypi/zope-interface@7.0",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=i386&distro=debian-12",
        "pkg:deb/debian/adduser@3.134?arch=amd64&distro=debian-12",
    }


def test_the_bill_names_the_image() -> None:
    image = json.loads(make(INVENTORY, FACTS))["metadata"]["component"]
    assert (image["type"], image["name"], image["version"]) == ("container", "glm-tts-slim", FACTS.sha)
    assert image["purl"] == f"pkg:oci/glm-tts-slim@{FACTS.digest}"
    assert {"name": "ai.glm-tts.image-id", "value": FACTS.image_id} in image["properties"]


def test_the_bill_is_reproducible_and_differs_between_images() -> None:
    assert make(INVENTORY, FACTS) == make(INVENTORY, FACTS)
    other = make(INVENTORY, replace(FACTS, image_id="sha256:" + "d" * 64))
    assert json.loads(other)["serialNumber"] != json.loads(make(INVENTORY, FACTS))["serialNumber"]


@pytest.mark.parametrize(("flavour", "distribution"), [("slim", "pkg:deb/debian/"), ("cuda", "pkg:deb/ubuntu/")])
def test_system_packages_have_the_distribution_of_the_flavour(flavour: str, distribution: str) -> None:
    bill = json.loads(make(INVENTORY, replace(FACTS, flavour=flavour)))
    packages = [part for part in bill["components"] if part["purl"].startswith(distribution)]
    assert len(packages) == 3
