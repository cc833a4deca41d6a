"""Refusal of stand-ins with the replacement for each kind, and the guide's commands, files and settings."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import service.keys
from build.docker.engine import DockerEngine
from build.errors import StandinRefusedError
from build.images import builder, standins
from build.images.publish import Publisher
from build.locks.index import apt_lock, conda_lock
from build.model.commit import Commit
from harness import documents
from harness.command_lines import complaint
from harness.recorded_progress import RecordedProgress

ROOT = Path(__file__).resolve().parents[4]
GUIDE = ROOT / standins.GUIDE
REPLACEMENTS = {
    "os": f"docker pull {builder.OS_IMAGES[0]}",
    "cuda": f"docker pull {builder.CUDA_IMAGES[0]}",
    "conda": "uv run python -m build.lock conda --flavour",
}


def commit(*tags: str) -> Commit:
    fields = dict.fromkeys(Commit.__dataclass_fields__, "") | {"tags": tags, "dirty": ()}
    return Commit(**cast(Any, fields))


def push(kinds: str, flavour: str, *tags: str) -> None:
    publisher = Publisher(
        cast(DockerEngine, SimpleNamespace(info=dict)), RecordedProgress(), "127.0.0.1:1", commit(*tags)
    )
    labels = {"ai.glm-tts.standin": kinds, "ai.glm-tts.flavour": flavour}
    publisher.refuse_standins(cast(Any, SimpleNamespace(labels=labels)), "glm-tts")


@pytest.mark.parametrize("flavour", ["slim", "cuda"])
def test_a_refusal_names_the_replacement_of_each_kind_and_the_guide(flavour: str) -> None:
    with pytest.raises(StandinRefusedError) as refused:
        push("conda,cuda,os", flavour, "v1.0.0")
    lines = dict(line.split(": ", 1) for line in refused.value.detail.splitlines())
    assert lines.keys() == REPLACEMENTS.keys()
    for kind, command in REPLACEMENTS.items():
        assert command in lines[kind]
    assert f"commit {conda_lock(flavour)} and locks/index.json" in lines["conda"]
    assert standins.GUIDE in refused.value.remedy


def test_a_refusal_names_only_the_kinds_in_use_and_staging_accepts_all() -> None:
    with pytest.raises(StandinRefusedError) as refused:
        push("os", "slim", "v1.0.0")
    assert refused.value.detail.startswith("os: ")
    assert "\n" not in refused.value.detail
    push("conda,cuda,os", "slim")


def test_every_kind_of_standin_has_a_replacement() -> None:
    kinds = {"conda"}  # ImageBuilder.channel
    for file in ("Dockerfile.standin", "scripts/lib/images.sh"):
        for value in re.findall(r"ai\.glm-tts\.standin=\"?([a-z,]+)", (ROOT / file).read_text()):
            kinds |= set(value.split(","))
    assert set(standins.KINDS) == kinds == set(REPLACEMENTS)


def bootstrap(present: str, tmp_path: Path) -> str:
    """Output of ensure_os_image for an engine that has only the image `present`; a pull fails the test."""
    (tmp_path / "docker").write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "image inspect {present}" ]\n')
    (tmp_path / "docker").chmod(0o755)
    script = f"""set -e; PATH={tmp_path}:$PATH; ROOT=.
        . scripts/lib/common.sh; . scripts/lib/images.sh
        pull() {{ exit 9; }}
        ensure_os_image"""
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr


def test_bootstrap_names_an_existing_stand_in(tmp_path: Path) -> None:
    genuine, standin = builder.OS_IMAGES
    assert bootstrap(genuine, tmp_path) == ""
    output = bootstrap(standin, tmp_path)
    assert f"using {standin} instead of {genuine}" in output
    assert f"docker pull {genuine}" in output
    assert standins.GUIDE in output


def spans() -> list[str]:
    """The guide's commands, and its text between backticks."""
    shown = [command.text for command in documents.commands(standins.GUIDE)]
    prose = re.sub(r"^```.*?^```$", "", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return shown + re.findall(r"`([^`\n]+)`", prose)


def commands() -> list[str]:
    """The project's own commands among them; running text may leave `python -m` out."""
    texts = [re.sub(r"^((build|service)\.[a-z]+)\b", r"python -m \1", span.replace("...", "x")) for span in spans()]
    return [text for text in texts if re.search(r"\bpython -m ", text)]


def test_the_commands_accept_the_guides_command_lines() -> None:
    text = "\n".join(commands())
    assert set(re.findall(r"-m (\S+)", text)) >= {"build.lock", "build.images", "build.cutover", "build.doctor"}
    assert [why for command in commands() if (why := complaint(command))] == []
    for wrong in ("build.lock conda --flavor slim", "build.cutover rolback", "build.lock conda --flavour tpu"):
        assert re.search(r"--flavor|rolback|tpu", complaint(f"python -m {wrong}"))


def test_the_keys_command_accepts_the_guides_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [shlex.split(text.partition(" -m ")[2]) for text in commands() if " -m service.keys " in text]
    assert keys
    for argv in keys:
        monkeypatch.setattr("sys.argv", argv)
        assert service.keys.main() == 0
        assert f"{argv[2]} sha256:" in capsys.readouterr().out


def test_the_guides_files_exist_or_are_written_by_its_commands() -> None:
    written = {apt_lock("slim", standin=False), conda_lock("slim"), conda_lock("slim", standin=True)}
    for span in spans():
        for path in re.findall(r"(?:^|\s)((?:scripts|locks|docs|\.github|build|service)/[\w./-]*)", span):
            assert path in written or (ROOT / path).exists(), path
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text()):
        assert (GUIDE.parent / target).exists(), target


def test_the_guide_lists_the_settings_of_the_workflow() -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", GUIDE.read_text()))
    workflow = (ROOT / ".github/workflows/publish.yml").read_text()
    used = set(re.findall(r"\b(?:vars|secrets)\.([A-Z_]+)", workflow))
    assert used - {"BATCH_CONFIG", "TTS_API_KEY"} <= named
