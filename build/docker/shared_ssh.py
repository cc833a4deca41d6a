"""One ssh connection for all sessions of a command with its engine, which ends soon after the network fails.

docker-py and the docker command line run `ssh` for each request, and sshd limits connections that log in at the same
time (MaxStartups). Both find `ssh` by PATH, so build/docker/programs/ssh precedes it and adds these options. They have
precedence over ssh's configuration, except that a connection which the operator already shares is used as it is.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from build.errors import CommandFailedError
from build.system import command

PROGRAMS = Path(__file__).with_name("programs")
PROGRAM, OPTIONS = "TARGET_SSH", "TARGET_SSH_OPTIONS"
# A dead connection ends after 9 s without an answer. A session that was about to open then tries one connection of its
# own, which ends after 10 s, so a command ends within 20 s.
KEEPALIVE = {"ServerAliveInterval": "3", "ServerAliveCountMax": "2", "ConnectTimeout": "10"}
# The connection ends with the command; after a SIGKILL it ends when it has been idle for a minute.
PERSIST_S = "60"
# ssh limits the path of its socket to about 100 characters, so it is not in TMPDIR, which may be long.
FOLDERS = "/tmp"  # noqa: S108 - mkdtemp creates a private folder
LOCAL_TIMEOUT_S = 10  # for commands to a process of this machine


def settle(environ: MutableMapping[str, str], address: str) -> None:
    """Make Docker clients that inherit `environ` share one connection to the engine at `address` (ssh://...).

    A process started by a command shares that command's connection.
    """
    program = shutil.which("ssh", path=environ.get("PATH"))
    if program is None or PROGRAM in environ:
        return
    options = dict(KEEPALIVE)
    if not _is_shared(program, address):
        folder = tempfile.mkdtemp(prefix="cutover-ssh-", dir=FOLDERS)
        atexit.register(_close, program, Path(folder))
        options |= {"ControlMaster": "auto", "ControlPath": f"{folder}/%C", "ControlPersist": PERSIST_S}
    environ[PROGRAM] = program
    environ[OPTIONS] = " ".join(f"-o {name}={value}" for name, value in options.items())
    environ["PATH"] = f"{PROGRAMS}{os.pathsep}{environ.get('PATH', os.defpath)}"


def _is_shared(program: str, address: str) -> bool:
    """Whether ssh's configuration names a shared connection to the engine's host, and it is open."""
    try:
        command.run([program, "-O", "check", "--", address], timeout_s=LOCAL_TIMEOUT_S)
    except CommandFailedError:
        return False
    return True


def _close(program: str, folder: Path) -> None:
    """End the shared connection and remove its folder."""
    for control in folder.glob("*"):
        argv = [program, "-o", f"ControlPath={control}", "-O", "exit", "--", "target"]
        try:
            command.run(argv, timeout_s=LOCAL_TIMEOUT_S)
        except CommandFailedError:
            continue  # it has ended
    shutil.rmtree(folder, ignore_errors=True)
