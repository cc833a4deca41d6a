"""`python scripts/lengths.py FILE...`: report modules and functions that are too long; exit with 1 if there are any."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE, FUNCTION = 300, 40


def too_long(source: str) -> Iterator[str]:
    """Yield a finding for a module or function above the limit in lines; decorators do not count."""
    if (lines := len(source.splitlines())) > MODULE:
        yield f"1: the module has {lines} lines; at most {MODULE} are allowed"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION:
                yield f"{node.lineno}: {node.name} has {lines} lines; at most {FUNCTION} are allowed"


def main(paths: list[str]) -> int:
    findings = [f"{path}:{finding}" for path in paths for finding in too_long(Path(path).read_text())]
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
