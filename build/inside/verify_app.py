"""Run inside an app image (`python -c`): one sentence spoken by the service's own engine, as JSON on stdout."""

import base64
import importlib
import json
import sys


def main(text: str) -> None:
    engine = importlib.import_module("service.engines.piper").PiperEngine(1)
    utterance = importlib.import_module("service.engines.base").Utterance(text, "joe")
    engine.load(lambda _: None)
    pieces = [piece.samples for piece in engine.synthesize(utterance)]
    wav = importlib.import_module("service.audio").encode(pieces, engine.sample_rate, "wav")
    print(json.dumps({"wav": base64.b64encode(wav).decode()}))  # noqa: T201 - the answer


main(sys.argv[1])
