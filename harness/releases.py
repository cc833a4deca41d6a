"""Faulty releases, derived from a good one."""

from __future__ import annotations

import subprocess

from harness.stack import Stack


def derived(stack: Stack, name: str, dockerfile: str) -> str:
    """Build a release from the newest good image with a fault."""
    tag = f"glm-tts-slim-broken:{name}-{stack.project}"
    text = f"FROM {stack.newest_image()}\n{dockerfile}\nLABEL ai.glm-tts.release={name}\n"
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--tag", tag, "-"],
        input=text,
        text=True,
        check=True,
        capture_output=True,
    )
    return tag


# Its warm-up has sound, as its readiness requires; all later responses are 200 with silence.
SILENCE = """USER root
RUN cat >>/app/service/engines/piper.py <<'END'


def _silent(self, utterance, spoken=PiperEngine.synthesize):
    for piece in spoken(self, utterance):
        yield piece if utterance.text == "Ready to speak." else piece._replace(samples=piece.samples * 0)


PiperEngine.synthesize = _silent
END
USER 10001:10001"""

# The golden set passes; three of the four texts of the load fail, or take a second longer.
_ONLY = """USER root
RUN cat >>/app/service/engines/piper.py <<'END'


def _spoilt(self, utterance, spoken=PiperEngine.synthesize):
    if utterance.text in ("Yes.", "No.", "Good."):
        {what}
    yield from spoken(self, utterance)


PiperEngine.synthesize = _spoilt
END
USER 10001:10001"""
FAILING = _ONLY.format(what='raise RuntimeError("no such word")')
SLOW = _ONLY.format(what='__import__("time").sleep(1)')

# The golden set passes, and so do requests from inside; every text of the load is refused.
REFUSING = """USER root
RUN cat >>/app/service/access/rate_limits.py <<'END'


def _refuse(self, text, charge=Client.charge):
    from service.errors import InvalidError

    if text in ("Yes.", "No.", "Good.", "Maybe."):
        raise InvalidError("the text has no such word")
    charge(self, text)


Client.charge = _refuse
END
USER 10001:10001"""

# It accepts requests without an API key; the gate speaks from inside, where none is needed.
OPEN = """USER root
RUN echo 'Guard._client = lambda *_: Client("open", Limits())' >>/app/service/access/guard.py
USER 10001:10001"""
