"""Scan of saved layers: plain or compressed, next to JSON files, and with files that later layers delete."""

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any, cast

import pytest
from docker.models.images import Image

from build.verify import layers


def tar(files: dict[str, bytes], compression: str = "", **attributes: Any) -> bytes:
    out = io.BytesIO()
    with cast(Any, tarfile.open)(fileobj=out, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Saved:
    """The part of an image that scan() uses."""

    def __init__(self, blobs: list[bytes]) -> None:
        self._whole = tar({f"blobs/sha256/{number}": blob for number, blob in enumerate(blobs)})

    def save(self) -> Iterator[bytes]:
        """Yield the archive in pieces of 700 bytes."""
        return (self._whole[at : at + 700] for at in range(0, len(self._whole), 700))


@pytest.mark.parametrize("compression", ["", "gz"])
def test_a_file_that_a_later_layer_deletes_is_found(compression: str) -> None:
    blobs = [
        json.dumps({"layers": []}).encode(),
        tar({"root/.netrc": b"secret", "root/.cache/pip/x": b"wheel"}, compression),
        tar({"root/.wh..netrc": b""}, compression),
    ]
    found = layers.scan(cast(Image, Saved(blobs)))
    assert (found.layers, found.secrets, found.caches) == (2, ["root/.netrc"], ["root/.cache/pip/x"])
    assert found.size == len(b"secret") + len(b"wheel"), "the size must not depend on the compression"


def test_owners_and_modes_of_a_layer_are_checked() -> None:
    blobs = [
        tar({"opt/mine": b"", "run/service/own": b"", "tmp/own": b""}, uid=10001),
        tar({"opt/all": b""}, mode=0o666),
        tar({"opt/rise": b"", "usr/bin/su": b""}, mode=0o4755),
    ]
    found = layers.scan(cast(Image, Saved(blobs)))
    assert (found.ownership, found.setuid) == (["opt/mine", "opt/all"], ["opt/rise"])
