"""Refusal of stand-ins with the replacement for each kind, and the guide's commands, files and settings."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer.main
from typer.core import TyperGroup

import service.keys
from build.docker.engine import DockerEngine
from build.errors import StandinRefusedError
from build.images import builder, standins
from build.images.publish import Publisher
from build.locks.index import apt_lock, conda_lock
from build.model.commit import Commit
from build.progress import Progress

ROOT = Path(__file__).resolve().parents[4]
GUIDE = ROOT / standins.GUIDE
REPLACEMENTS = {
    "os": f"docker pull {builder.OS_IMAGES[0]}",
    "cuda": f"docker pull {builder.CUDA_IMAGES[0]}",
    "conda": "uv run python -m build.lock conda --flavour",
}


class Silent:
    def step(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...


def commit(*tags: str) -> Commit:
    fields = dict.fromkeys(Commit.__dataclass_fields__, "") | {"tags": tags, "dirty": ()}
    return Commit(**cast(Any, fields))


def push(kinds: str, flavour: str, *tags: str) -> None:
    publisher = Publisher(
        cast(DockerEngine, SimpleNamespace(info=dict)), cast(Progress, Silent()), "127.0.0.1:1", commit(*tags)
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


def spans(text: str) -> list[str]:
    """Commands and code spans: lines of `sh` blocks and text between backticks."""
    block = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0] for found in block.findall(text) for line in found.replace("\\\n", " ").splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", block.sub("", text))


def commands(text: str) -> list[list[str]]:
    """Argument lists of the project's commands in a text, such as ["build.lock", "conda", "--flavour", "slim"]."""
    found = []
    for span in spans(text):
        argv = shlex.split(span.replace("...", "x"))
        if "-m" in argv and argv[argv.index("-m") - 1] == "python":
            found.append(argv[argv.index("-m") + 1 :])
        elif argv and re.fullmatch(r"(build|service)\.[a-z]+", argv[0]):
            found.append(argv)
    return found


def parse(argv: list[str]) -> None:
    """Parse a command line with its typer app without running it; raise if the app refuses it."""
    module, *arguments = argv
    found = find_spec(module)
    is_package = found is not None and found.submodule_search_locations is not None
    command = typer.main.get_command(import_module(f"{module}.__main__" if is_package else module).app)
    context = command.make_context(module, arguments)
    while isinstance(command, TyperGroup) and (rest := [*context._protected_args, *context.args]):
        name, subcommand, arguments = command.resolve_command(context, rest)
        assert name, rest
        assert subcommand, rest
        command, context = subcommand, subcommand.make_context(name, arguments, parent=context)


def test_the_commands_accept_the_guides_command_lines() -> None:
    found = commands(GUIDE.read_text())
    assert {argv[0] for argv in found} >= {"build.lock", "build.images", "build.cutover", "build.doctor"}
    for argv in found:
        if argv[0].startswith("build."):
            parse(argv)
    for wrong in ("build.lock conda --flavor slim", "build.cutover rolback", "build.lock conda --flavour tpu"):
        with pytest.raises(Exception, match=r"--flavor|rolback|tpu"):
            parse(wrong.split())


def test_the_keys_command_accepts_the_guides_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [argv for argv in commands(GUIDE.read_text()) if argv[0] == "service.keys"]
    assert keys
    for argv in keys:
        monkeypatch.setattr("sys.argv", argv)
        assert service.keys.main() == 0
        assert f"{argv[2]} sha256:" in capsys.readouterr().out


def test_the_guides_files_exist_or_are_written_by_its_commands() -> None:
    written = {apt_lock("slim", standin=False), conda_lock("slim"), conda_lock("slim", standin=True)}
    for span in spans(GUIDE.read_text()):
        for path in re.findall(r"(?:^|\s)((?:scripts|locks|docs|\.github|build|service)/[\w./-]*)", span):
            assert path in written or (ROOT / path).exists(), path
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text()):
        assert (GUIDE.parent / target).exists(), target


def test_the_guide_lists_the_settings_of_the_workflow() -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", GUIDE.read_text()))
    workflow = (ROOT / ".github/workflows/publish.yml").read_text()
    used = set(re.findall(r"\b(?:vars|secrets)\.([A-Z_]+)", workflow))
    assert used - {"BATCH_CONFIG", "TTS_API_KEY"} <= named
