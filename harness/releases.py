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


def _plan(self, utterance, plan=PiperEngine.plan):
    heard = utterance.text == "Ready to speak."
    return [replace(chunk, payload=(chunk, heard)) for chunk in plan(self, utterance)]


def _silent(self, chunk, *, alone=False, speak=PiperEngine.speak):
    own, heard = chunk.payload
    return speak(self, own, alone=alone) * heard


PiperEngine.plan, PiperEngine.speak = _plan, _silent
END
USER 10001:10001"""

# The golden set passes; three of the four texts of the load fail, or take a second longer.
_ONLY = """USER root
RUN cat >>/app/service/engines/piper.py <<'END'


def _spoilt(self, utterance, plan=PiperEngine.plan):
    if utterance.text in ("Yes.", "No.", "Good."):
        {what}
    return plan(self, utterance)


PiperEngine.plan = _spoilt
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
