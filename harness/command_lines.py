"""Parses the project's own commands with their own command lines, and runs none of them."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from unittest import mock

import typer

from harness.stack import REPOSITORY

OPERATORS = set("|&;<>()")


class _ParsedError(Exception):
    """argparse has accepted the arguments."""


def complaint(text: str) -> str:
    """The reason why a shell command has arguments that a program of this project does not accept; "" if none."""
    return "\n".join(filter(None, map(_complaint, _simple(text))))


def _simple(text: str) -> Iterator[list[str]]:
    """The simple commands of a line: words between operators."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for token in lexer:
        if set(token) <= OPERATORS:
            yield words
            words = []
        else:
            words.append(token)
    yield words


def _complaint(words: list[str]) -> str:
    if "-m" in words and "python" in words[: words.index("-m")]:
        module, *arguments = words[words.index("-m") + 1 :]
        return _module(module, arguments) if module.partition(".")[0] in ("batch", "bench", "build", "service") else ""
    if "make" in words:
        targets = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        unknown = set(words[words.index("make") + 1 :]) - set(targets)
        return f"make has no target {', '.join(unknown)}" if unknown else ""
    if "scripts/bootstrap" in words:
        known = re.findall(r"--[a-z-]+", (REPOSITORY / "scripts/bootstrap").read_text())
        unknown = set(words[words.index("scripts/bootstrap") + 1 :]) - set(known)
        return f"scripts/bootstrap has no option {', '.join(unknown)}" if unknown else ""
    return ""


def _module(name: str, arguments: list[str]) -> str:
    try:
        module = import_module(name)
        module = import_module(f"{name}.__main__") if hasattr(module, "__path__") else module
    except ModuleNotFoundError as error:
        return str(error)
    if not arguments:
        return ""  # a document may name a program alone, and some need arguments
    output = io.StringIO()
    with contextlib.redirect_stderr(output):
        try:
            _parse(module, name, arguments)
        except _ParsedError:
            return ""
        except SystemExit as done:
            return f"{name} {shlex.join(arguments)}: {output.getvalue()}" if done.code else ""
    return ""


def _parse(module: Any, name: str, arguments: list[str]) -> None:
    if hasattr(module, "app"):
        parser: Any = typer.main.get_command(module.app)
        _disarm(parser)
        parser(arguments)
        return

    parse = argparse.ArgumentParser.parse_args

    def only_parse(*args: Any, **kwargs: Any) -> None:
        parse(*args, **kwargs)
        raise _ParsedError

    with mock.patch("argparse.ArgumentParser.parse_args", only_parse), mock.patch("sys.argv", [name, *arguments]):
        module.main()


def _disarm(parser: Any) -> None:
    """Have a command, and every command below it, end once its arguments are parsed."""
    parser.callback = lambda **_: None
    for below in getattr(parser, "commands", {}).values():
        _disarm(below)
