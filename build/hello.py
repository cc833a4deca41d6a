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

app = console.app("Synthesize a sentence through the proxy into a file.")
KEY_NAME = "TTS_API_KEY"  # the variable of all clients here: batch.settings
SENTENCE = "Hello. This release was built from a commit, proved that it can speak, and went live."


@app.command()
def hello(
    text: Annotated[str, typer.Option(help="text to speak")] = SENTENCE,
    file: Annotated[Path, typer.Option(help="WAV file to write")] = Path("out/hello.wav"),
    api_key_file: Annotated[
        Path | None, typer.Option(help=f"file with the API key; default: the variable {KEY_NAME}")
    ] = None,
) -> None:
    """Speak TEXT through the proxy and save it to FILE."""
    url, key = console.settings().url, _key(api_key_file)
    response = _synthesize(url, key, text)
    try:
        samples, rate = decode(response.content)
    except ValueError as error:
        raise NotHealthyError(
            f"the response of {url} is not speech: {error}", remedy="run `python -m build.cutover status`"
        ) from None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(response.content)
    except OSError as error:
        raise MissingFileError(f"{file} cannot be written: {error.strerror}", remedy="choose another --file") from None
    release = response.headers.get("X-Release", "")  # sent only when published on loopback
    out.print(
        f"spoke {len(samples) / rate:.1f} s into [bold]{file}[/bold]" + (f" (release {release})" if release else "")
    )
    out.print(f"\nweb page   {url}/\nAPI        {url}/v1/audio/speech   documented at {url}/docs\n")
    out.print("next: change a line in service/, commit it, then run")
    out.print("  uv run python -m build.images && uv run python -m build.cutover switch")
    out.print("  uv run python -m build.cutover status | rollback")


def _synthesize(url: str, key: str, text: str) -> requests.Response:
    """Return the proxy's response with a WAV.

    Raises:
        NotHealthyError: the proxy does not answer, rejects the API key, or reports an error.
    """
    try:
        response = requests.post(
            f"{url}/v1/audio/speech",
            json={"model": "tts-1", "input": text, "response_format": "wav"},
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=120,
        )
    except requests.RequestException as error:
        raise NotHealthyError(
            f"{url} does not answer: {error}", remedy="run `make up`, then `python -m build.cutover status`"
        ) from None
    if response.status_code == requests.codes.unauthorized:
        raise NotHealthyError(
            f"{url} rejects this API key" if key else f"{url} requires an API key",
            remedy=f"use --api-key-file FILE, or set {KEY_NAME}",
        )
    if not response.ok:
        raise NotHealthyError(
            f"{url} answered {response.status_code}",
            detail=response.text[:2000],
            remedy="run `python -m build.cutover status`",
        )
    return response


def _key(file: Path | None) -> str:
    """Return the API key from its file, else from the environment, else ""; errors never contain it."""
    try:
        key = (file.read_text() if file else os.environ.get(KEY_NAME, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFileError(
            f"{file} cannot be read: {error}", remedy="use a file that contains only the key"
        ) from None
    if file and not key:
        raise UsageError(f"{file} is empty", remedy="use a file that contains only the key")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            "the API key contains spaces or characters beyond ASCII", remedy="pass only the key, without quotes"
        )
    return key


if __name__ == "__main__":
    console.main(app)
