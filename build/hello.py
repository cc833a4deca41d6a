"""`python -m build.hello`: speak a sentence through the proxy as a client, and print the next steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import requests
import typer

from build import console
from build.audio.signal import decode
from build.console import out
from build.errors import MissingFileError, NotHealthyError, UsageError

app = console.app("Speak a sentence through the proxy into a file.")
KEY_NAME = "TTS_API_KEY"  # the variable of all clients here: batch.settings
SENTENCE = "Hello. This release was built from a commit, proved that it can speak, and went live."


@app.command()
def hello(
    text: Annotated[str, typer.Option(help="what to say")] = SENTENCE,
    file: Annotated[Path, typer.Option(help="where the WAV goes")] = Path("out/hello.wav"),
    api_key_file: Annotated[
        Path | None, typer.Option(help=f"a file with the API key; without it the variable {KEY_NAME}")
    ] = None,
) -> None:
    """Speak TEXT through the proxy and save it to FILE."""
    url, key = console.settings().url, _key(api_key_file)
    try:
        answer = requests.post(
            f"{url}/v1/audio/speech",
            json={"model": "tts-1", "input": text, "voice": "joe", "response_format": "wav"},
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=120,
        )
    except requests.RequestException as error:
        raise NotHealthyError(
            f"no answer from {url}: {error}", remedy="`make up`, then `build.cutover status`"
        ) from None
    if answer.status_code == requests.codes.unauthorized:
        raise NotHealthyError(
            f"{url} is up and takes API keys, and " + ("does not know this one" if key else "none was given"),
            remedy=f"--api-key-file FILE, or {KEY_NAME} in the environment",
        )
    if not answer.ok:
        raise NotHealthyError(f"{url} answered {answer.status_code}", detail=answer.text[:2000])
    try:
        samples, rate = decode(answer.content)
    except ValueError as error:
        raise NotHealthyError(f"{url} answered with something that is no speech: {error}") from None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(answer.content)
    except OSError as error:
        raise MissingFileError(f"{file} cannot be written: {error.strerror}", remedy="name another --file") from None
    release = answer.headers.get("X-Release", "")  # sent only when published on loopback
    out.print(
        f"spoke {len(samples) / rate:.1f} s into [bold]{file}[/bold]" + (f" (release {release})" if release else "")
    )
    out.print(f"\nweb page   {url}/\nAPI        {url}/v1/audio/speech   documented at {url}/docs\n")
    out.print("next: change a line in service/, commit, then")
    out.print("  uv run python -m build.images && uv run python -m build.cutover switch")
    out.print("  uv run python -m build.cutover status | rollback")


def _key(file: Path | None) -> str:
    """Return the API key from its file, else from the environment, else ""; errors never contain it."""
    try:
        key = (file.read_text() if file else os.environ.get(KEY_NAME, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFileError(
            f"{file} cannot be read: {error}", remedy="name a file whose one line is the key"
        ) from None
    if file and not key:
        raise UsageError(f"{file} is empty", remedy="name a file whose one line is the key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError("the API key is not one word of plain characters", remedy="give the key alone")
    return key


if __name__ == "__main__":
    console.main(app)
