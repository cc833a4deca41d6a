"""A .conda package: reproducible bytes and the metadata for an installer."""

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from build.conda.standin import package
from build.conda.standin.package import PLACEHOLDER, Metadata

METADATA = Metadata("tool", "1.0", "test_0", "MIT", ("python >=3.9",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_text("#!/bin/sh\necho tool\n")
    (root / "bin/tool").chmod(0o755)
    (root / "bin/alias").symlink_to("tool")
    (root / "lib").mkdir()
    (root / "lib/paths.py").write_text(f"prefix = '{PLACEHOLDER}'\n")
    return root


def members(archive: Path, part: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    with zipfile.ZipFile(archive) as outer:
        packed = outer.read(f"{part}-{archive.stem}.tar.zst")
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().decompressobj().decompress(packed))) as tar:
        return {
            member.name: (member, content.read() if (content := tar.extractfile(member)) else b"") for member in tar
        }


def document(archive: Path, name: str) -> Any:
    return json.loads(members(archive, "info")[name][1])


def test_the_same_content_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    first = package.write(tree, METADATA, tmp_path / "one").read_bytes()
    for path in tree.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    (tree / "lib/paths.py").chmod(0o600)  # another umask
    assert package.write(tree, METADATA, tmp_path / "two").read_bytes() == first


def test_other_content_gives_other_bytes(tree: Path, tmp_path: Path) -> None:
    first = package.write(tree, METADATA, tmp_path / "one").read_bytes()
    (tree / "bin/tool").write_text("#!/bin/sh\necho other\n")
    assert package.write(tree, METADATA, tmp_path / "two").read_bytes() != first


def test_a_package_goes_into_the_channel_folder_of_its_platform(tree: Path, tmp_path: Path) -> None:
    noarch = Metadata("tool", "1.0", "test_0", "MIT", noarch="generic")
    assert package.write(tree, METADATA, tmp_path) == tmp_path / "linux-64/tool-1.0-test_0.conda"
    assert package.write(tree, noarch, tmp_path) == tmp_path / "noarch/tool-1.0-test_0.conda"


def test_files_keep_the_executable_bit_and_lose_their_owner(tree: Path, tmp_path: Path) -> None:
    packed = members(package.write(tree, METADATA, tmp_path), "pkg")
    assert set(packed) == {"bin/tool", "bin/alias", "lib/paths.py"}
    assert packed["bin/tool"][0].mode == 0o755
    assert packed["lib/paths.py"][0].mode == 0o644
    assert packed["bin/alias"][0].linkname == "tool"
    assert {(member.uid, member.uname) for member, _ in packed.values()} == {(0, "")}


def test_only_files_that_contain_the_placeholder_are_marked(tree: Path, tmp_path: Path) -> None:
    paths = document(package.write(tree, METADATA, tmp_path), "info/paths.json")["paths"]
    assert [entry["_path"] for entry in paths if "prefix_placeholder" in entry] == ["lib/paths.py"]
    assert {entry["_path"]: entry["path_type"] for entry in paths}["bin/alias"] == "softlink"


def test_the_index_contains_the_fields_that_a_solver_reads(tree: Path, tmp_path: Path) -> None:
    index = document(package.write(tree, METADATA, tmp_path), "info/index.json")
    assert index["depends"] == ["python >=3.9"]
    assert (index["subdir"], index["platform"]) == ("linux-64", "linux")
    assert "noarch" not in index


def test_a_python_package_lists_its_entry_points(tree: Path, tmp_path: Path) -> None:
    metadata = Metadata("tool", "1.0", "test_0", "MIT", noarch="python", entry_points=("tool = tool:main",))
    link = document(package.write(tree, metadata, tmp_path), "info/link.json")
    assert link["noarch"] == {"type": "python", "entry_points": ["tool = tool:main"]}
