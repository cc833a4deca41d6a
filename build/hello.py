"""`python -m build.hello`: speak a sentence through the proxy, as a client would, and say how to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import requests
import typer

from build import console
from build.console import out
from build.decisions.audio import decode
from build.errors import MissingFileError, NotHealthyError

app = console.app("Speak a sentence through the proxy into a file.")
SENTENCE = "Hello. This release was built from a commit, proved that it can speak, and went live."


@app.command()
def hello(
    text: Annotated[str, typer.Option(help="what to say")] = SENTENCE,
    file: Annotated[Path, typer.Option(help="where the WAV goes")] = Path("out/hello.wav"),
) -> None:
    """Speak TEXT into FILE through the proxy."""
    url = console.settings().url
    try:
        answer = requests.post(
            f"{url}/v1/audio/speech",
            json={"model": "tts-1", "input": text, "voice": "joe", "response_format": "wav"},
            timeout=120,
        )
    except requests.RequestException as error:
        raise NotHealthyError(
            f"no answer from {url}: {error}", remedy="`make up`, then `build.cutover status`"
        ) from None
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
    release = answer.headers.get("X-Release", "?")
    out.print(f"spoke {len(samples) / rate:.1f} s into [bold]{file}[/bold] (release {release})")
    out.print(f"\nweb page   {url}/\nAPI        {url}/v1/audio/speech   documented at {url}/docs\n")
    out.print("next: change a line in service/, commit, then")
    out.print("  uv run python -m build.images && uv run python -m build.cutover switch")
    out.print("  uv run python -m build.cutover status | rollback")


if __name__ == "__main__":
    console.main(app)
