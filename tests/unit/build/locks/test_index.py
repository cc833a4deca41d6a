"""`python -m build.lock check` names each lock that does not match its inputs, with reason and command."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from build import console, lock
from build.errors import LockStaleError, MissingFileError
from build.locks import index as pure
from build.locks import index_file

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(REPOSITORY / "locks", tmp_path / "locks")
    shutil.copytree(REPOSITORY / "build/conda/image", tmp_path / "build/conda/image")
    for name in ("environment.yml", "Dockerfile.base"):
        shutil.copy(REPOSITORY / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(root: Path) -> LockStaleError:
    with pytest.raises(LockStaleError) as refused:
        index_file.check(root)
    return refused.value


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_the_locks_of_this_tree_match_their_inputs() -> None:
    assert index_file.check(REPOSITORY) >= len(pure.PIP_LOCKS)


def test_a_changed_input_makes_every_lock_that_includes_it_stale(clone: Path) -> None:
    append(clone / "locks/torch.in", "torchaudio\n")
    refused = refusal(clone)
    assert refused.detail.splitlines() == [
        f"locks/{name}.txt: locks/torch.in changed since it was written (python -m build.lock pip)"
        for name in ("cuda", "torch")
    ]
    assert refused.remedy == "python -m build.lock pip"


def test_a_constraint_is_an_input_like_an_inclusion(clone: Path) -> None:
    append(clone / "locks/slim.txt", "zzz==1\n")
    lines = refusal(clone).detail.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "locks/dev.txt: locks/slim.txt changed since it was written",
        "locks/slim.txt: it was edited by hand",
    ]


def test_a_comment_in_an_input_changes_nothing(clone: Path) -> None:
    append(clone / "locks/service.in", "\n# why not\n")
    index_file.check(clone)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda locks: (locks / "uv.txt").unlink(), "locks/uv.txt: the file does not exist"),
        (lambda locks: (locks / "extra.txt").write_text("a==1\n"), "locks/extra.txt: no lock command wrote it"),
        (lambda locks: append(locks / "apt-slim.standin.txt", "zzz=1\n"), "apt-slim.standin.txt: it was edited by"),
    ],
)
def test_a_missing_or_unknown_lock_is_named(clone: Path, spoil: Callable[[Path], object], why: str) -> None:
    spoil(clone / "locks")
    assert why in refusal(clone).detail


def test_without_the_index_every_lock_is_unknown(clone: Path) -> None:
    (clone / pure.INDEX).unlink()
    assert all("no lock command wrote it" in line for line in refusal(clone).detail.splitlines())
    (clone / pure.INDEX).write_text("[]")
    assert "cannot be read" in refusal(clone).message


def test_a_missing_input_is_an_error(clone: Path) -> None:
    (clone / "locks/service.in").unlink()
    with pytest.raises(MissingFileError, match=r"locks/service\.in"):
        index_file.check(clone)


def test_a_conda_lock_depends_only_on_the_conda_specs_of_its_flavour(clone: Path) -> None:
    name = pure.conda_lock("cuda")
    (clone / name).write_text("@EXPLICIT\n")
    assert f"{name}: no lock command wrote it" in refusal(clone).detail
    index_file.record(clone, name, index_file.conda_command("cuda"), "py-rattler 1")
    environment = clone / "environment.yml"
    environment.write_text(
        environment.read_text().replace("--requirement locks/cuda.txt", "--requirement locks/torch.txt")
    )
    index_file.check(clone)
    environment.write_text(environment.read_text().replace("python=3.11.*", "python=3.12.*"))
    assert refusal(clone).detail == (
        f"{name}: environment.yml changed since it was written (python -m build.lock conda --flavour cuda)"
    )


def test_the_option_and_the_command_are_the_same(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["check"], ["--check"]):
        assert console.run(lock.app, arguments) == 0
    append(clone / "locks/uv.in", "uv<1\n")
    for arguments in (["check"], ["--check"]):
        assert console.run(lock.app, arguments) == LockStaleError.exit_code
        assert "locks/uv.in changed since" in capsys.readouterr().err


def test_the_hashes_of_a_flavour_are_those_of_the_locks_of_its_base(clone: Path) -> None:
    found = index_file.lock_hashes("cuda", clone)
    assert found.keys() == {"cuda.txt", "torch.txt", "apt-cuda.standin.txt"}
    assert found["torch.txt"] == hashlib.sha256((clone / "locks/torch.txt").read_bytes()).hexdigest()
    assert index_file.lock_hashes("slim", clone).keys() == {"slim.txt", "apt-slim.standin.txt"}


def test_inclusions_are_resolved_from_the_folder_of_their_file_and_only_once() -> None:
    texts = {"a/x.in": "-r y.in\n-c ../z.txt  # why\nname==1\n", "a/y.in": "-r x.in\n", "z.txt": "# nothing\n"}
    assert pure.requirements("a/x.in", texts.__getitem__) == {
        "a/x.in": "-r y.in\n-c ../z.txt\nname==1",
        "a/y.in": "-r x.in",
        "z.txt": "",
    }
