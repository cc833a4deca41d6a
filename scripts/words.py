#!/usr/bin/env python3
"""Fail on words of scripts/words.txt in comments and strings of Python files: `scripts/words.py FILE...`.

codespell reads the documents by the same list. In code it would read names as well.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

LIST = Path(__file__).with_name("words.txt")


def main(paths: list[str]) -> int:
    """Print each finding with its file and line; return 1 if there is one."""
    better = dict(line.rstrip(",").split("->") for line in LIST.read_text().splitlines())
    banned = re.compile(rf"\b({'|'.join(better)})\b")  # lower case: names in capitals are code
    findings = [
        f"{path}:{line}: {word[1]} -> {better[word[1]]}"
        for path in paths
        for line, text in texts(Path(path).read_text())
        for word in banned.finditer(text)
    ]
    print(*findings, sep="\n", end="\n" if findings else "")
    return bool(findings)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield each comment, and each line of a string (of an f-string its text), with its line number."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from enumerate(node.value.splitlines(), node.lineno)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
