"""Stand-in for GitHub in workflow jobs: a bare repository as origin, and a `gh` that records pull requests."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# It rejects unknown commands and options, as gh does.
GH = """#!/usr/bin/env python3
import argparse, json, os, pathlib, sys

state = pathlib.Path(__file__).parent.parent / "pulls.json"
pulls = json.loads(state.read_text())
if sys.argv[1:] == ["auth", "setup-git"]:
    sys.exit(0 if os.environ.get("GH_TOKEN") else 4)
if sys.argv[1] != "pr":
    sys.exit(f"gh: unknown command {sys.argv[1]}")
parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest="command", required=True)
make = {name: commands.add_parser(name) for name in ("list", "create", "edit", "ready")}
for name in ("list", "create"):
    make[name].add_argument("--head", required=True)
    make[name].add_argument("--base", required=True)
for option in ("--state", "--json", "--jq"):
    make["list"].add_argument(option, required=True)
make["create"].add_argument("--title", required=True)
make["create"].add_argument("--draft", action="store_true")
make["ready"].add_argument("--undo", action="store_true")
for name in ("edit", "ready"):
    make[name].add_argument("number", type=int)
for name in ("create", "edit"):
    make[name].add_argument("--body-file", required=True, type=pathlib.Path)
options = parser.parse_args(sys.argv[2:])
if options.command == "list":
    print("\\n".join(str(number) for number, pull in enumerate(pulls) if pull["head"] == options.head))
elif options.command == "create":
    body = options.body_file.read_text()
    pulls.append(dict(head=options.head, base=options.base, title=options.title, draft=options.draft, body=body))
elif options.command == "edit":
    pulls[options.number]["body"] = options.body_file.read_text()
else:
    pulls[options.number]["draft"] = options.undo
state.write_text(json.dumps(pulls))
"""


@dataclass
class Hub:
    """A folder with the repository `origin.git`, the command `bin/gh`, and the open pull requests."""

    folder: Path

    @classmethod
    def of(cls, folder: Path, clone: Path) -> Hub:
        """Create a hub with the branches of a clone, and make it the clone's origin."""
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/gh").write_text(GH)
        (folder / "bin/gh").chmod(0o755)
        (folder / "pulls.json").write_text("[]")
        hub = cls(folder)
        subprocess.run(["git", "clone", "--quiet", "--bare", "--no-hardlinks", str(clone), str(hub.origin)], check=True)
        remote = ["remote", "set-url"] if hub.git(clone, "remote") else ["remote", "add"]
        hub.git(clone, *remote, "origin", str(hub.origin))
        return hub

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    @property
    def pulls(self) -> list[dict[str, Any]]:
        """The open pull requests: head, base, title, draft, body."""
        found: list[dict[str, Any]] = json.loads((self.folder / "pulls.json").read_text())
        return found

    @staticmethod
    def git(folder: Path, *args: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True, text=True)
        return done.stdout.strip()
