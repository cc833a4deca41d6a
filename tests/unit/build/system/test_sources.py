"""Input files of images: git's bytes and modes, independent of the user's git settings."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from build.errors import InputRefusedError
from build.model.commit import Commit
from build.system import git
from build.system.sources import WRITTEN, Sources
from harness.repository import Repository, repository

__all__ = ["repository"]

INPUTS = ("service", "voices", "Dockerfile.app")
REPOSITORY = Path(__file__).resolve().parents[4]
UNUSUAL = ("voices/小明.wav", 'voices/"quoted".wav', "voices/a b.wav", "voices/two\nlines.wav", "voices/-x")


def sources(repository: Repository) -> Sources:
    return Sources(repository.root, git.read(repository.root))


def exported(repository: Repository, into: Path) -> dict[str, bytes]:
    into.mkdir()
    sources(repository).export(INPUTS, into)
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


def states(repository: Repository, change: Callable[[], object]) -> list[Commit]:
    """Apply a change; return the commit of the dirty tree and the commit after it is committed."""
    change()
    dirty = git.read(repository.root)
    repository.commit()
    return [dirty, git.read(repository.root)]


def test_files_with_names_in_any_script_are_exported(repository: Repository, tmp_path: Path) -> None:
    expected = {name: name.encode() for name in UNUSUAL}
    for number, _ in enumerate(states(repository, lambda: repository.write(expected))):
        repository.git("config", "core.quotePath", ("true", "false")[number])
        assert exported(repository, tmp_path / str(number)) == expected


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_modes_and_times_are_independent_of_the_umask(repository: Repository, tmp_path: Path, umask: int) -> None:
    repository.write({"service/web/a.py": "1", "voices/run": "2", "Dockerfile.app": "FROM x"})
    (repository.root / "voices/run").chmod(0o700)
    repository.commit()
    repository.git("config", "tar.umask", "0")
    into = tmp_path / "context"
    into.mkdir()
    # In another process, because a umask applies to the whole process.
    code = (
        "import os, sys; from pathlib import Path; from build.system import git; from build.system.sources import *\n"
        f"os.umask({umask}); root = Path(sys.argv[1])\n"
        f"Sources(root, git.read(root)).export({INPUTS}, Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, repository.root, into], check=True, cwd=REPOSITORY)
    found = {str(path.relative_to(into)): path.stat() for path in into.rglob("*")}
    assert {name: oct(stat.S_IMODE(status.st_mode)) for name, status in found.items()} == {
        "Dockerfile.app": "0o644",
        "service": "0o755",
        "service/web": "0o755",
        "service/web/a.py": "0o644",
        "voices": "0o755",
        "voices/run": "0o755",
    }
    assert {status.st_mtime for status in found.values()} == {WRITTEN}


# Every attribute with which git changes a file at checkout.
ATTRIBUTES = """\
*.sh text eol=crlf
*.txt text
*.md export-ignore
*.in export-subst ident
*.xml working-tree-encoding=UTF-16
"""


@pytest.mark.parametrize(("place", "conversion"), [("tree", "autocrlf"), ("clone", "eol"), ("user", "autocrlf")])
def test_the_export_contains_the_blobs_of_the_tree(
    repository: Repository, tmp_path: Path, place: str, conversion: str
) -> None:
    text = b"one = '$Id$ $Format:%H$'\ntwo\n"
    expected = {f"service/a.{suffix}": text for suffix in ("py", "sh", "txt", "md", "in", "xml")}
    repository.write(expected)
    repository.commit()
    key = sources(repository).files(INPUTS)
    repository.git("config", f"core.{conversion}", {"autocrlf": "true", "eol": "crlf"}[conversion])
    repository.git("config", "core.attributesFile", str(tmp_path / "attributes"))
    where = {
        "tree": repository.root / ".gitattributes",
        "clone": repository.root / ".git/info/attributes",
        "user": tmp_path / "attributes",
    }[place]
    where.parent.mkdir(exist_ok=True)
    where.write_text(ATTRIBUTES)
    if place == "tree":
        repository.git("add", ".gitattributes")
        repository.git("commit", "--quiet", "-m", "attributes")
    repository.git("config", "core.safecrlf", "true")
    # The working tree as this configuration checks it out.
    repository.git("rm", "--quiet", "--cached", "-r", ".")
    repository.git("reset", "--quiet", "--hard")
    assert (repository.root / "service/a.txt").read_bytes() != text
    assert sources(repository).files(INPUTS) == key
    assert exported(repository, tmp_path / "clean") == expected
    repository.write({"service/a.txt": b"new\r\nand old\n"})
    assert git.read(repository.root).dirty
    assert exported(repository, tmp_path / "dirty") == expected | {"service/a.txt": b"new\nand old\n"}


def test_a_dirty_tree_is_exported_as_git_add_would_store_it(repository: Repository, tmp_path: Path) -> None:
    repository.write(dict.fromkeys(("service/kept.py", "service/removed.py", "service/folder/x", "voices/file"), "old"))
    repository.write({".gitignore": "*.pyc"})
    repository.commit()
    for removed in ("service/removed.py", "service/folder/x", "voices/file"):
        (repository.root / removed).unlink()
    (repository.root / "service/folder").rmdir()
    expected = {"service/kept.py": b"new", "service/folder": b"now a file", "voices/file/x": b"now a folder"}
    repository.write({**expected, "service/ignored.pyc": "x", "outside.txt": "x"})
    assert sources(repository).present(("service", "voices", "voi", "Dockerfile.app")) == ("service", "voices")
    # The working tree takes precedence over the index.
    repository.write({"service/staged.py": "staged"})
    repository.git("add", "service/staged.py")
    (repository.root / "service/staged.py").unlink()
    assert exported(repository, tmp_path / "dirty") == expected
    key = sources(repository).files(INPUTS)
    repository.commit()
    assert sources(repository).files(INPUTS) == key


def test_a_change_within_one_clock_tick_is_detected(repository: Repository, tmp_path: Path) -> None:
    """The file has the size and times of the index entry; git reads its content if the index keeps its timestamp."""
    repository.git("config", "core.trustctime", "false")
    file, index = repository.root / "service/a.py", repository.root / ".git/index"
    repository.write({"service/a.py": "1"})
    os.utime(file, (WRITTEN, WRITTEN))
    repository.commit()
    repository.write({"service/a.py": "2"})
    for path in (file, index):
        os.utime(path, (WRITTEN, WRITTEN))
    assert exported(repository, tmp_path / "dirty") == {"service/a.py": b"2"}


def test_a_file_that_changes_during_a_build_is_the_same_in_key_and_image(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit()
    repository.write({"service/a.py": "first"})
    found = sources(repository)
    found.files(("service",))
    repository.write({"service/a.py": "second"})
    found.export(("service",), tmp_path)
    assert (tmp_path / "service/a.py").read_text() == "first"


def test_a_project_in_a_folder_of_a_repository_has_its_own_inputs(repository: Repository, tmp_path: Path) -> None:
    repository.write({"service/a.py": "another project's", "line/service/a.py": "ours"})
    inner = Repository.__new__(Repository)
    inner.root = repository.root / "line"
    repository.commit()
    assert exported(inner, tmp_path / "clean") == {"service/a.py": b"ours"}
    repository.write({"line/service/a.py": "changed", "line/service/b.py": "new", "service/a.py": "changed, too"})
    assert exported(inner, tmp_path / "dirty") == {"service/a.py": b"changed", "service/b.py": b"new"}


def stored(repository: Repository) -> dict[str, int]:
    objects = repository.root / ".git/objects"
    return {str(path): path.stat().st_size for path in objects.rglob("*") if path.is_file()}


def test_files_outside_the_inputs_are_neither_stored_nor_read(repository: Repository, tmp_path: Path) -> None:
    repository.write({"service/a.py": "1"})
    repository.commit()
    before, index = stored(repository), (repository.root / ".git/index").read_bytes()
    weights = repository.root / "weights/model.bin"
    weights.parent.mkdir()
    with weights.open("wb") as file:
        file.truncate(1 << 30)
    # Reading the file would fail, or take seconds as root; `git add` fails on a nested clone without a commit.
    weights.chmod(0)
    Repository(repository.root / "nested").write({"README": "x"})
    repository.write({"service/a.py": "2"})
    assert git.read(repository.root).dirty == ("service/a.py", "nested/", "weights/")
    assert exported(repository, tmp_path / "dirty") == {"service/a.py": b"2"}
    assert stored(repository) == before
    assert (repository.root / ".git/index").read_bytes() == index


def refusal(repository: Repository, tmp_path: Path) -> str:
    with pytest.raises(InputRefusedError) as refused:
        exported(repository, tmp_path / secrets.token_hex(4))
    return refused.value.detail


def test_an_lfs_pointer_is_named(repository: Repository, tmp_path: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 300\n"
    for _ in states(repository, lambda: repository.write({"voices/joe.wav": pointer, "service/a.py": "1"})):
        assert refusal(repository, tmp_path) == "voices/joe.wav: a Git LFS pointer"


def test_a_filtered_file_is_named_only_among_the_inputs(repository: Repository, tmp_path: Path) -> None:
    files = {".gitattributes": "*.key filter=crypt\n*.wav filter=lfs\n", "voices/a.wav": "sound", "notes/b.key": "x"}
    repository.write(files)
    repository.commit()
    assert exported(repository, tmp_path / "fit") == {"voices/a.wav": b"sound"}
    repository.git("config", "filter.crypt.clean", "tr a-z A-Z")
    for _ in states(repository, lambda: repository.write({"service/a.key": "secret"})):
        assert refusal(repository, tmp_path) == "service/a.key: stored through the git filter crypt"


def test_a_symbolic_link_is_named(repository: Repository, tmp_path: Path) -> None:
    repository.write({"service/a.py": "1"})
    for _ in states(repository, lambda: (repository.root / "service/b.py").symlink_to("a.py")):
        assert refusal(repository, tmp_path) == "service/b.py: a symbolic link"


def test_a_nested_repository_is_named(repository: Repository, tmp_path: Path) -> None:
    repository.write({"service/a.py": "1"})
    repository.commit()
    nested = Repository(repository.root / "voices/others")
    nested.write({"x": "1"})
    nested.commit()
    assert refusal(repository, tmp_path) == "voices/others/: a git repository of its own"
    repository.commit()
    assert refusal(repository, tmp_path) == "voices/others: a submodule"
