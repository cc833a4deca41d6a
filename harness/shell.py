"""A reader's shell, which runs the commands of documents one after the other."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_S = 600


@dataclass
class Shell:
    """Directory and variables last from one command to the next.

    `output` is that of all commands so far, both streams together.
    """

    folder: Path
    cwd: Path
    variables: Mapping[str, str]
    output: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget directory and variables, as a new terminal does."""
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.variables.items() if name.isidentifier()]
        self._state.write_text("\n".join([*lines, f"cd {shlex.quote(str(self.cwd))}", ""]))

    @property
    def _state(self) -> Path:
        return self.folder / "shell-state"

    def run(self, text: str) -> tuple[int, str]:
        """Run a command; return its exit code and output."""
        state = shlex.quote(str(self._state))
        save = f'{{ export -p; echo cd $(printf %q "$PWD"); }} >{state}'
        script = f"source {state}\nset -o pipefail\n{text}\ncode=$?\n{save}\nexit $code\n"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", script],
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        self.output += done.stdout
        return done.returncode, done.stdout
