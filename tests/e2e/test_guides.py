"""README, guides, operations and engines: a reader runs every command of theirs, on a stack of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from build.system import git
from harness import guides
from harness.documents import Command, same_shape
from harness.github import Hub
from harness.load import hammering
from harness.registry import Running
from harness.shell import Shell
from harness.ssh import SshTarget, program, ssh_target
from harness.stack import Stack, fresh_stack

pytestmark = pytest.mark.alone  # the gates hear one text, so that a busy machine looks like a slow candidate

RATE = 4.0
# Other tests measure gate and canary; here they only need to run.
SHORT = {
    "CUTOVER_GATE_SYNTHESES": "1",
    "CUTOVER_CANARY_SAMPLES": "2",
    "CUTOVER_CANARY_SLOWER": "100",
    "CUTOVER_SOAK_S": "1",
    "COLUMNS": "100",
}
# All calls share one connection, as in the workflow: a connection costs half a second.
SSH = ("HostName 127.0.0.1", "User root")
CONNECT = "ssh -M -f -N ssh://operator@gpu-box >/dev/null 2>&1"


@dataclass
class Reader:
    """A reader of the documents: a shell in a clone, and the pages read so far."""

    stack: Stack
    shell: Shell
    values: dict[str, str]
    pages: list[str] = field(default_factory=list)

    def run(self, command: Command) -> tuple[int, str]:
        if command.page not in self.pages:
            self.pages.append(command.page)
            self.shell.restart()
            prepared = guides.PREPARED.get(command.page, ":")
            code, output = self.shell.run(f"git clean -fdq && docker context use default >/dev/null 2>&1\n{prepared}")
            assert code == 0, output
        under_load = hammering(self.stack.url, RATE) if guides.UNDER_LOAD in command.text else nullcontext()
        with under_load:
            done = self.shell.run(guides.filled(command.text, self.values, self.shell.output))
        self.stack.releases.append(git.read(self.stack.root).sha)  # its images are removed at the end
        return done


def programs(folder: Path, target: SshTarget) -> Path:
    """A folder of programs that precede the machine's: `ssh` with the target's keys, `sudo` without a password."""
    found = program(folder, target, *SSH, f"Port {target.port}", f"ControlPath {folder}/master")
    (found / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (found / "sudo").chmod(0o755)
    return found


@pytest.fixture(scope="module")
def reader(stack: Stack, registry_of_all: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("guides")
    with fresh_stack(folder, beside=stack) as own, ssh_target(own, folder) as target:
        own.registries.append(registry_of_all.host)
        Hub.of(folder / "hub", own.root)
        path = f"{programs(folder, target)}:{own.env['PATH']}"
        shell = Shell(
            folder,
            own.root,
            own.env | SHORT | {"PATH": path, "SCRATCH": str(folder), "DOCKER_CONFIG": f"{folder}/docker"},
        )
        values = {
            "registry": registry_of_all.within("guides").address,
            "project": own.project,
            "port": str(own.port),
            "scratch": str(folder),
        }
        for begin in ("git checkout -q -B main && git push -q -u origin main", CONNECT):
            code, output = shell.run(guides.filled(begin, values))
            assert code == 0, output
        yield Reader(own, shell, values)


@pytest.mark.parametrize("command", [each for each in guides.scenario() if each.text not in guides.ELSEWHERE], ids=str)
def test_a_command_does_what_its_document_shows(reader: Reader, command: Command) -> None:
    code, output = reader.run(command)
    print(f"$ {command.text}\n{output}")
    assert code == 0
    if command.output:
        assert same_shape(command.output, output), f"the document shows:\n{command.output}"
