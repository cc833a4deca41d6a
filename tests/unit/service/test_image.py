"""Dockerfile.app names every package of the service."""

from pathlib import Path


def test_the_app_image_copies_every_package() -> None:
    copied = {line.split()[2] for line in Path("Dockerfile.app").read_text().splitlines() if line.startswith("COPY ")}
    packages = {str(file.parent) for file in Path("service").glob("*/__init__.py")}
    assert {"batch", "service/*.py", "voices", *packages} == copied
