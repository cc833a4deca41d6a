"""Commands in documents: each is known to its program, and runs in tests/e2e/test_guides.py or is listed there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import documents, guides
from harness.command_lines import complaint
from harness.documents import Command, same_shape
from harness.stack import REPOSITORY

# The changelog and the decisions keep commands of their time.
CURRENT = [page for page in documents.pages() if not page.startswith(("CHANGELOG.md", "docs/decisions/"))]
COMMANDS = [found for page in CURRENT for found in documents.commands(page)]
SCENARIO = guides.scenario()
VALUES = {"project": "glm-tts-test", "registry": "127.0.0.1:5000/team", "port": "7860", "scratch": "/tmp/scratch"}  # noqa: S108
CAPTURED = " ".join(("tts_" + "a" * 43, "anna sha256:" + "0" * 64, "r/glm-tts-slim@sha256:" + "0" * 64))
# Placeholders of running text that must be real for a parser.
REAL = {"--rollout PATH": "--rollout .", "--corpus PATH": "--corpus .", "--minutes M": "--minutes 1"}

# Running text may name a command without its arguments.
INCOMPLETE = re.compile("are required|Missing (argument|option)")


def texts(commands: list[Command]) -> set[str]:
    return {command.text for command in commands}


@pytest.mark.parametrize("page", CURRENT)
def test_a_page_names_commands_that_their_programs_accept(page: str) -> None:
    complaints = [f"{found}: {why}" for found in documents.commands(page) if (why := complaint(found.text))]
    for found in documents.mentions(page):
        text = found.text
        for placeholder, real in REAL.items():
            text = text.replace(placeholder, real)
        why = complaint(text)
        if why and not INCOMPLETE.search(why):
            complaints.append(f"{found}: {why}")
    assert complaints == []


@pytest.mark.parametrize("page", guides.pages())
def test_a_guide_has_no_indented_block_whose_commands_would_not_be_run(page: str) -> None:
    text = re.sub(r"^( *)```.*?^\1```$", "", (REPOSITORY / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\n\n    \S.*", text) == []


def test_every_command_of_the_guides_is_free_of_placeholders_or_listed() -> None:
    for command in SCENARIO:
        text = guides.filled(command.text, VALUES, CAPTURED)
        unknown = re.findall(r"[\w.]*example\.\w+|\.\.\.|(?<![\w$/=-])[A-Z]{3,}(?![\w=])", text)
        assert command.text in guides.ELSEWHERE or set(unknown) <= {"HEAD"}, f"{command}: {unknown}"


def test_every_entry_of_the_scenario_stands_in_a_document() -> None:
    assert set(guides.ELSEWHERE) <= texts(SCENARIO)
    run = "\n".join(command.text for command in SCENARIO if command.text not in guides.ELSEWHERE)
    for placeholder in (*guides.PLACEHOLDERS, *guides.CAPTURED, guides.UNDER_LOAD):
        assert placeholder in run
    assert {*guides.PREPARED, *guides.FIRST, *guides.LAST} <= {command.page for command in SCENARIO}


@pytest.mark.parametrize(
    "text",
    [
        "uv run python -m build.cutover switch --canaries 5",
        "PORT=1 python -m build.images verif IMAGE",
        "python -m service.keys new anna --rpms 60 | tee keys",
        "python -m build.nothing",
        "make upp",
        "scripts/bootstrap --gpu",
    ],
)
def test_a_wrong_name_is_found(text: str) -> None:
    assert complaint(f"true && {text}")


def test_commands_are_read_as_a_shell_would(tmp_path: Path) -> None:
    text = "# T\n\n1. x\n\n   ```sh\n   # why\n   one 'a\n   b' \\\n     c   # what\n   two\n   ```\n"
    text += "\n```console\n$ three\nsaid\n...\n$ four\n```\n\n```text\nfive\n```\n"
    (tmp_path / "page.md").write_text(text)
    found = [(command.line, command.text, command.output) for command in documents.commands("page.md", tmp_path)]
    assert found == [(7, "one 'a\nb' \\\n  c", ""), (10, "two", ""), (14, "three", "said\n..."), (17, "four", "")]


@pytest.mark.parametrize(
    ("shown", "actual", "same"),
    [
        ("in 1.2 s: 0a1b2c3\nlive", "in 10 s: fffffff0\nlive\n", True),
        ("a\n...\nz", "a\nz\n", True),
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\nz", "a\nb\nz\n", False),
        ("a", "b\na\n", False),
        ("at /srv/x/out/a b", "at /tmp/out/a   b", True),
    ],
)
def test_outputs_are_compared_by_their_shape(shown: str, actual: str, same: bool) -> None:
    assert same_shape(shown, actual) is same
