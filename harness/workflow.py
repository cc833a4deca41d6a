"""Run the `run:` steps of a workflow's jobs as GitHub's runner does; unsupported syntax is an error."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Contexts = Mapping[str, Any]
PATIENCE_S = 600
TOKEN = re.compile(r"\s*('(?:[^']|'')*'|==|&&|\|\||[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+)")


class _Expression:
    """An expression of context values, text, `==`, `&&` and `||`: all that the workflows here use."""

    def __init__(self, text: str, contexts: Contexts) -> None:
        self._tokens: list[str] = []
        self._contexts = contexts
        at = 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if not found:
                raise ValueError(f"unsupported expression: {text.strip()}")
            self._tokens.append(found[1])
            at = found.end()

    def value(self) -> str | bool:
        found = self._either()
        if self._tokens:
            raise ValueError(f"unexpected {self._tokens[0]}")
        return found

    def _taken(self, operator: str) -> bool:
        return bool(self._tokens) and self._tokens[0] == operator and bool(self._tokens.pop(0))

    def _either(self) -> str | bool:
        value = self._both()
        while self._taken("||"):
            right = self._both()
            value = value or right
        return value

    def _both(self) -> str | bool:
        value = self._equal()
        while self._taken("&&"):
            right = self._equal()
            value = right if value else value
        return value

    def _equal(self) -> str | bool:
        value = self._operand()
        return value == self._operand() if self._taken("==") else value

    def _operand(self) -> str:
        if not self._tokens or self._tokens[0] in ("==", "&&", "||"):
            raise ValueError("an operand is missing")
        token = self._tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        found: Any = self._contexts
        for part in token.split("."):
            if part not in found:
                raise ValueError(f"unknown context value: {token}")
            found = found[part]
        if not isinstance(found, str):
            raise ValueError(f"{token} is not text")
        return found


def resolve(text: str, contexts: Contexts) -> str:
    """Replace every `${{ }}` in a text.

    Raises:
        ValueError: an unsupported expression, or a name in no context.
    """
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(_Expression(found[1], contexts).value()), text)


@dataclass(frozen=True)
class Step:
    """Result of a step: name, exit code and output (both streams)."""

    name: str
    code: int
    output: str


@dataclass
class JobRun:
    """Run of a job.

    Attributes:
        environment: deployment environment of its secrets; empty for a job without one or with a false `if:`.
        steps: steps that ran, in order, without `uses:` steps; after a failure only those of `if: always()`.
        outputs: outputs of the job.
        artifacts: files of each artifact by its name, relative to the workspace.
    """

    environment: str = ""
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def failed(self) -> list[Step]:
        return [step for step in self.steps if step.code]


class Runner:
    """A job's machine: a workspace with the checkout, and a folder for temporary files."""

    def __init__(self, workspace: Path, scratch: Path, environ: Mapping[str, str], replaced: tuple[str, ...]) -> None:
        """Create a runner; `replaced` has the actions (`owner/name`) that the test replaces or omits."""
        self._workspace, self._scratch, self._replaced = workspace, scratch, replaced
        self.temp = scratch / "temp"
        self.temp.mkdir(parents=True)
        self._environ = {**environ, "CI": "true", "GITHUB_ACTIONS": "true", "RUNNER_TEMP": str(self.temp)}

    def run(self, workflow: Path, job: str, contexts: Contexts) -> JobRun:
        """Run all steps of a job, even after a failure.

        Raises:
            ValueError: unsupported syntax, or an action that is not replaced.
        """
        wanted = yaml.safe_load(workflow.read_text())["jobs"][job]
        if "if" in wanted and not _Expression(wanted["if"], contexts).value():
            return JobRun()
        ran, outputs = JobRun(resolve(wanted.get("environment", ""), contexts)), dict[str, dict[str, str]]()
        for number, step in enumerate(wanted["steps"]):
            condition = step.get("if", "success()")
            if condition not in ("always()", "success()"):
                raise ValueError(f"unsupported condition: {condition}")
            runs = condition == "always()" or not ran.failed
            if "uses" in step:
                action = step["uses"].partition("@")[0]
                if action not in self._replaced:
                    raise ValueError(f"action {step['uses']} is not replaced")
                if runs and action == "actions/upload-artifact":
                    ran.artifacts[step["with"]["name"]] = self._files(step["with"]["path"])
            elif runs:
                result, step_outputs = self._step(number, step, {**contexts, "steps": outputs})
                ran.steps.append(result)
                outputs[step.get("id", f"step-{number}")] = {"outputs": step_outputs}  # type: ignore[dict-item]
        if not ran.failed:
            known = {**contexts, "steps": outputs}
            ran.outputs = {name: resolve(text, known) for name, text in wanted.get("outputs", {}).items()}
        return ran

    def _files(self, patterns: str) -> list[str]:
        """Return the files of an artifact's paths, one per line, in the workspace; a folder stands for its files."""
        found = [path for pattern in patterns.split() for path in self._workspace.glob(pattern)]
        files = [file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
        return sorted(str(file.relative_to(self._workspace)) for file in files)

    def _step(self, number: int, step: dict[str, Any], contexts: Contexts) -> tuple[Step, dict[str, str]]:
        unknown = set(step) - {"name", "id", "if", "env", "run"}
        if unknown or "${{" in step["run"]:
            raise ValueError(f"unsupported step: {step}")
        files = {name: self._scratch / f"{number}-{name}" for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
        for path in files.values():
            path.touch()
        script = self._scratch / f"{number}.sh"
        script.write_text(step["run"])
        own = {name: resolve(str(text), contexts) for name, text in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self._workspace,
            env={**self._environ, **{f"GITHUB_{name}": str(path) for name, path in files.items()}, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self._environ.update(_pairs(files["ENV"]))
        for folder in files["PATH"].read_text().splitlines():
            self._environ["PATH"] = f"{folder}:{self._environ['PATH']}"
        return Step(step.get("name", step["run"]), done.returncode, done.stdout), _pairs(files["OUTPUT"])


def _pairs(path: Path) -> dict[str, str]:
    """Return the `name=value` lines that a step wrote."""
    pairs = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if not equals or "<<" in name:
            raise ValueError(f"line without name=value: {line}")
        pairs[name] = value
    return pairs
