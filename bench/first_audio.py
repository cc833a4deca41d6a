"""Time to the first audio of a streamed text of twenty sentences, against the complete response."""

from __future__ import annotations

from contextlib import closing
from statistics import median

from bench.http_client import Client, Response
from build.console import out
from harness.audio_asserts import PCM_RATE, fault_in_pcm
from harness.stack import Stack

SENTENCES = 20
TEXT = " ".join(f"This is sentence number {number} of a text that a client waits for." for number in range(SENTENCES))
SOUND_S = 3.0 * SENTENCES  # the audio is longer


def measure(stack: Stack, runs: int) -> None:
    """Print medians of `runs` streamed and as many complete responses, interleaved, and their ratio."""
    stack.run("build.cutover", "switch", stack.release("bench: first"))
    with closing(Client(stack.url)) as client:
        client.synthesize("Good.")
        streamed, whole = [], []
        for _ in range(runs):
            streamed.append(_checked(client.synthesize(TEXT, "pcm", stream_format="audio")))
            whole.append(_checked(client.synthesize(TEXT, "pcm", stream=False)))
    first_s = median(response.first_s for response in streamed)
    streamed_s, whole_s = (median(response.took_s for response in responses) for responses in (streamed, whole))
    sound_s = median(len(response.body) / 2 / PCM_RATE for response in whole)
    out.print(
        f"{SENTENCES} sentences, {sound_s:.0f} s of sound: first audio after {first_s:.3f} s, end of the stream after "
        f"{streamed_s:.2f} s, response without streaming after {whole_s:.2f} s: {whole_s / first_s:.1f} times as long "
        f"as until the first audio (medians of {runs})"
    )


def _checked(response: Response) -> Response:
    """Return the response, after a check that its audio is complete."""
    if fault := fault_in_pcm(response.body, SOUND_S):
        raise RuntimeError(fault)
    return response
