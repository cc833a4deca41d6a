from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.engines.glm_tts import manifest
from service.engines.glm_tts.manifest import Comparison, ManifestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    for name in ("llm/model.safetensors", "flow/flow.pt", ".cache/notes"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(name)
    assert manifest.write(folder) == 2
    return folder


def alter(path: Path) -> None:
    """Change the content but keep size and time, which only a full check detects."""
    before = path.stat()
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_unchanged_files_match_without_hashing(folder: Path) -> None:
    assert manifest.check(folder) == Comparison((), 2, 0)
    assert manifest.check(folder, full=True) == Comparison((), 2, 2)


def test_a_file_with_a_changed_time_is_hashed(folder: Path) -> None:
    os.utime(folder / "flow/flow.pt", (1, 1))
    assert manifest.check(folder) == Comparison((), 2, 1)
    (folder / "flow/flow.pt").write_text("tp.wolf/wolf")
    assert manifest.check(folder) == Comparison(("flow/flow.pt differs from the manifest",), 2, 1)


def test_only_a_full_check_detects_a_change_with_equal_size_and_time(folder: Path) -> None:
    alter(folder / "flow/flow.pt")
    assert manifest.check(folder).problems == ()
    assert manifest.check(folder, full=True).problems == ("flow/flow.pt differs from the manifest",)


def test_every_difference_is_reported(folder: Path) -> None:
    (folder / "flow/flow.pt").unlink()
    (folder / "llm/model.safetensors").write_text("cut")
    (folder / "llm/model-2.safetensors").touch()
    assert manifest.check(folder).problems == (
        "flow/flow.pt is missing",
        "llm/model-2.safetensors is not in the manifest",
        "llm/model.safetensors has 3 bytes instead of 21",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "have no manifest.json and cannot be verified; if the weights are correct, record them with `python -m"),
        ("{", "is not JSON"),
        ("[]", "is not a manifest"),
        ('{"format": 1}', "is not a manifest"),
        ('{"format": 1, "files": {"a": {"size": 1}}}', "is not a manifest"),
        ('{"format": 2, "files": {}}', "has format 2 instead of 1"),
    ],
)
def test_an_unreadable_manifest_is_rejected(folder: Path, content: str | None, message: str) -> None:
    (folder / "manifest.json").unlink()
    if content is not None:
        (folder / "manifest.json").write_text(content)
    with pytest.raises(ManifestError) as error:
        manifest.check(folder)
    assert message in str(error.value)


def test_write_reports_a_missing_or_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no such folder: .*none"):
        manifest.write(tmp_path / "none")
    with pytest.raises(ManifestError, match="has no files to record"):
        manifest.write(tmp_path)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "service.engines.glm_tts.manifest", *arguments]
    return subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_command_line(folder: Path) -> None:
    done = run("write", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"recorded 2 files in {folder}/manifest.json\n"
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == {"flow/flow.pt", "llm/model.safetensors"}
    alter(folder / "flow/flow.pt")
    assert run("check", TTS_GLM_WEIGHTS=str(folder)).returncode == 0
    done = run("check", "--full", TTS_GLM_WEIGHTS=str(folder))
    assert (done.returncode, done.stdout) == (1, "checked 2 files, hashed 2 of them\n")
    assert done.stderr == "flow/flow.pt differs from the manifest\n"
    assert run("check", str(folder / "none")).returncode == 1
