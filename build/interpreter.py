"""Check the Python that runs a command: one line instead of a traceback if it cannot run this clone's code.

Standard library only, in the syntax of Python 3.6, so that an old Python can still report that it is too old.
build/ and service/ have the same file: neither package may import the other, and no image has build/. A test holds
them equal.
"""

import shlex
import sys
from pathlib import Path

EXIT_CODE = 54  # InterpreterError
MINIMUM = (3, 11)  # requires-python of pyproject.toml
ROOT = Path(__file__).resolve().parent.parent
OURS = ("batch", "bench", "build", "service", "tests")


def check() -> None:
    """Exit if this Python is too old, warn if .venv is out of date, and install a hook that explains failed imports."""
    if not (ROOT / "scripts" / "bootstrap").exists():  # inside an image
        return
    found = tuple(sys.version_info[:2])
    if found < MINIMUM:
        _exit(f"Python {found[0]}.{found[1]} is older than {MINIMUM[0]}.{MINIMUM[1]}")
    if _is_outdated(ROOT / ".venv"):
        sys.stderr.write("warning: .venv differs from locks/dev.txt and locks/weights.txt; remedy: scripts/bootstrap\n")
    otherwise = sys.excepthook

    def explain(kind, error, trace):  # type: ignore[no-untyped-def] # such types are no syntax for Python 3.6
        package = (getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ImportError) else ""
        # An import within this clone that fails is a fault of its code, and needs its traceback.
        if package and package not in OURS:
            _exit(f"the package {package} is missing or not the locked version")
        otherwise(kind, error, trace)

    sys.excepthook = explain


def _exit(reason: str) -> None:
    arguments = getattr(sys, "orig_argv", ["python", "-m", "..."])[1:]
    command = "uv run python " + " ".join(shlex.quote(argument) for argument in arguments)
    sys.stderr.write(
        f"error: {sys.executable} cannot run this command: {reason}; remedy: scripts/bootstrap, then {command}\n"
    )
    sys.exit(EXIT_CODE)


def _is_outdated(venv: Path) -> bool:
    """Compare the copy of its locks that scripts/bootstrap leaves in a venv (300 kB: less than a millisecond)."""
    if Path(sys.prefix).resolve() != venv.resolve():
        return False
    try:
        locks = [(ROOT / "locks" / name).read_bytes() for name in ("dev.txt", "weights.txt")]
        return (venv / "synced-from.txt").read_bytes() != b"".join(locks)
    except OSError:
        return False
