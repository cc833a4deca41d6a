"""Install an environment or make the stand-in channel inside an image build."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from build.conda import CondaError, client, explicit, shutdown
from build.conda.standin import channel


def main() -> int:
    """Run the command; return 0, or 1 after printing an error."""
    arguments = _parser().parse_args()
    try:
        asyncio.run(arguments.run(arguments))
    except CondaError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m build.conda", description=__doc__)
    commands = parser.add_subparsers(required=True)
    install = commands.add_parser("install", help="make an environment from a lock")
    install.add_argument("--channel", type=Path, required=True, help="folder of the stand-in channel; may be empty")
    install.add_argument("--lock", type=Path, required=True, help="lock of a genuine channel; may be missing")
    install.add_argument("--prefix", type=Path, required=True, help="folder of the new environment")
    install.add_argument("--record", type=Path, required=True, help="folder for the lock and its kind")
    install.set_defaults(run=_install)
    make = commands.add_parser("channel", help="make the stand-in channel")
    make.add_argument("--wheels", type=Path, required=True)
    make.add_argument("--environment", type=Path, required=True)
    make.add_argument("--out", type=Path, required=True)
    make.set_defaults(run=_channel)
    return parser


async def _install(arguments: argparse.Namespace) -> None:
    kind, path = choose_lock(arguments.channel, arguments.lock)
    lock = explicit.parse(path.read_text(), path.name)
    sys.stderr.write(f"conda: installing {len(lock.packages)} packages from {path.name} ({kind})\n")
    await client.install(lock, arguments.prefix)
    script = arguments.prefix / "etc/conda/activate.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(client.activation_script(arguments.prefix))
    arguments.record.mkdir(parents=True, exist_ok=True)
    (arguments.record / "conda.lock").write_text(lock.text())
    (arguments.record / "conda-source").write_text(f"{kind}\n")


def choose_lock(channel_folder: Path, real: Path) -> tuple[str, Path]:
    """Choose the lock to install from; return its kind ("stand-in" or "channel") and path.

    The stand-in channel's lock takes precedence.

    Raises:
        CondaError: neither lock exists.
    """
    standin = channel_folder / channel.LOCK_NAME
    if standin.exists():
        return "stand-in", standin
    if real.exists():
        return "channel", real
    raise CondaError(
        f"no conda lock: there is no {real.name}, and no stand-in channel was given",
        remedy="write the lock where conda-forge can be reached (python -m build.lock conda), or build with "
        "--build-context channel=docker-image://<image of Dockerfile.standin, target channel>",
    )


async def _channel(arguments: argparse.Namespace) -> None:
    await channel.make(Path("/"), arguments.wheels, arguments.environment, arguments.out)


if __name__ == "__main__":
    shutdown.exit_process(main())
