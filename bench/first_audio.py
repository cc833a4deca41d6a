"""Time to the first audio of a streamed text of twenty sentences, against the complete response."""

from __future__ import annotations

from contextlib import closing
from statistics import median

from bench.http_client import Answer, Client
from build.console import out
from harness.audio_asserts import PCM_RATE, fault_in_pcm
from harness.stack import Stack

SENTENCES = 20
TEXT = " ".join(f"This is sentence number {number} of a text that somebody waits for." for number in range(SENTENCES))
SOUND_S = 3.0 * SENTENCES  # the audio is longer


def measure(stack: Stack, runs: int) -> None:
    """Print medians of `runs` streamed and as many complete responses, interleaved, and their ratio."""
    stack.run("build.cutover", "switch", stack.release("bench: first"))
    with closing(Client(stack.url)) as client:
        client.say("Good.")
        streamed, whole = [], []
        for _ in range(runs):
            streamed.append(_heard(client.say(TEXT, "pcm", stream_format="audio")))
            whole.append(_heard(client.say(TEXT, "pcm")))
    first_s = median(each.first_s for each in streamed)
    streamed_s, whole_s = (median(each.took_s for each in way) for way in (streamed, whole))
    sound_s = median(len(each.body) / 2 / PCM_RATE for each in whole)
    out.print(
        f"{SENTENCES} sentences, {sound_s:.0f} s of sound: first audio after {first_s:.3f} s, all of it streamed after "
        f"{streamed_s:.2f} s, as a whole after {whole_s:.2f} s; first audio after 1/{whole_s / first_s:.1f} of it "
        f"(medians of {runs})"
    )


def _heard(answer: Answer) -> Answer:
    """Return the response, after a check that its audio is complete."""
    if fault := fault_in_pcm(answer.body, SOUND_S):
        raise RuntimeError(fault)
    return answer
