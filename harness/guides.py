"""The documents as one scenario: order, placeholders, prepared files, and the commands that cannot run in a test."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness import documents
from harness.documents import Command

RUN = ("README.md", "docs/guides/", "docs/operations/", "docs/engines/")

# Each page finds the stack as the pages before it leave it.
FIRST = (
    "README.md",
    "docs/guides/release.md",
    "docs/guides/rollback.md",
    "docs/guides/canary-and-soak.md",
    "docs/guides/batch.md",
    "docs/guides/images.md",
)
LAST = ("docs/guides/first-production-deployment.md", "docs/guides/expose-with-api-keys.md")

# Text of a document, and what replaces it. Names in braces are values of the test.
PLACEHOLDERS = {
    "registry.example.com/team": "{registry}",
    "operator@gpu-box": "gpu-box",
    "127.0.0.1:7860": "127.0.0.1:{port}",
    "--soak 60": "--soak 1",
    "glm-tts-app-blue-1": "{project}-app-blue-1",
    "calibrate HEAD": "calibrate HEAD --runs 3",
    "/srv/models": "{scratch}/models",
    "/etc/speech-keys": "{scratch}/keys",
    "IMAGE": "glm-tts-slim:$(git rev-parse HEAD)",
    "REF": "$(git rev-parse HEAD)",
}
# Text of a document, and the pattern of its value in the output of an earlier command.
CAPTURED = {
    "tts_...": r"tts_[\w-]{43}",
    "anna sha256:...": r"anna sha256:[0-9a-f]{64}",
    "registry.example.com/team/glm-tts-slim@sha256:...": r"\S+/glm-tts-slim@sha256:[0-9a-f]{64}",
}

CHANGE = "echo '# a change' >> service/__init__.py && git commit -q -a -m 'service: a change'"
# Commands that a reader of a page has run before.
PREPARED = {
    "docs/guides/release.md": CHANGE,
    "docs/guides/batch.md": """
        echo '{"output_name": "one", "input_text": "Good morning."}' > tasks.jsonl
        echo '[{"name": "two", "text": "Good evening."}]' > list.json
        echo '“Good morning,” said Anna. “我走了。”张三说。' > book.txt
        sed -n '/^narrator/,/^```/{/^```/d;p}' docs/guides/batch.md > voices.yaml
        cp voices/examples/sample.wav voices/zhang.wav""",
    "docs/guides/multi-gpu.md": CHANGE,
    "docs/guides/own-voice.md": """
        sed -n '/^voice: en_GB/,/^```/{s/en_GB-.*/joe/;/^```/d;p}' docs/guides/own-voice.md > golden/alba.yaml
        sed -i 's/^gate_golden = .*/gate_golden = "alba"/' pyproject.toml""",
    "docs/guides/remote-target.md": CHANGE,
    "docs/guides/upgrading.md": CHANGE,
    "docs/guides/expose-with-api-keys.md": CHANGE,
    "docs/engines/glm-tts.md": 'mkdir -p "$SCRATCH/models/GLM-TTS" && echo weights > "$SCRATCH/models/GLM-TTS/model"',
}
# A command with this option runs under traffic.
UNDER_LOAD = "--canary"

# Commands that cannot run in a test, each with the reason.
ELSEWHERE = {
    "docker pull debian:bookworm-slim": "needs Docker Hub",
    "uv run python -m build.lock conda --flavour slim": "needs conda-forge; test_lock_command.py has a channel",
    "uv run python -m build.lock apt --flavour slim": "builds a base on conda-forge's lock; test_refresh.py has one",
    'git add locks && git commit -m "locks: write the locks of conda-forge and Debian" && git push': "no new locks",
    "ssh -M -f -N -L 7860:127.0.0.1:7860 gpu-box": "the test's target is this machine, whose port is in use",
    "docker login registry.example.com": "asks for a password; test_publish.py pushes with one",
    "uv run python -m build.images --refresh": "builds every image anew, for minutes; test_refresh.py does",
    "git clone https://github.com/zai-org/GLM-TTS /srv/GLM-TTS": "needs GitHub",
    "huggingface-cli download zai-org/GLM-TTS --local-dir /srv/models/GLM-TTS": "needs Hugging Face and 9 GB",
    """docker run --rm -u 0 -v /srv/models:/models -v "$PWD/locks:/locks:ro" IMAGE sh -c '
    python -m venv --system-site-packages --without-pip /models/env &&
    python -m pip --python /models/env/bin/python install --require-hashes -r /locks/glm.txt'""": "downloads 1 GB",
}


def pages() -> list[str]:
    """The documents whose commands a test runs, in the order of the scenario."""
    found = [page for page in documents.pages() if page.startswith(RUN)]
    return [*FIRST, *(page for page in found if page not in FIRST + LAST), *LAST]


def scenario() -> list[Command]:
    """Every command of these documents, in the order of the scenario."""
    return [found for page in pages() for found in documents.commands(page)]


def filled(text: str, values: Mapping[str, str], output: str = "") -> str:
    """A command with its placeholders replaced; `output` is that of the commands before it."""
    for placeholder, pattern in CAPTURED.items():
        if placeholder in text and (found := re.findall(pattern, output)):
            text = text.replace(placeholder, found[-1])
    for placeholder, value in PLACEHOLDERS.items():
        known = value.format(**values).replace("\\", r"\\")
        text = re.sub(rf"(?<!\w){re.escape(placeholder)}(?!\w)", known, text)
    return text
