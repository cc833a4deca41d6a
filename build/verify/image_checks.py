"""Judgement of the output of the in-image scripts, as report lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from build.verify.rules import Line, line, none_of

# Maximum difference between two samples, on a scale where full amplitude is 1.
TORCH_DIFFERS = 1e-3
LIBRARIES = {"libcudart.so.12", "libcublas.so.12", "libcudnn.so.9"}


def environment(output: Mapping[str, Any], pins: Mapping[str, str], name: str) -> list[Line]:
    """Judge Python and its packages by the output of build/verify/in_image/verify_base.py.

    Args:
        output: what the script printed.
        pins: package -> version from the pip locks in the image.
        name: expected name of the conda environment.
    """
    onnx = pins.get("onnxruntime") or pins.get("onnxruntime-gpu")
    return [
        line("python", output["python"] == "3.11", output["python"]),
        line("environment", output["env"] == name, output["env"]),
        line("onnxruntime", output["onnxruntime"] == onnx, f"{output['onnxruntime']} (locked: {onnx})"),
        line(
            "onnxruntime session",
            output["inference"] and output["providers"] == ["CPUExecutionProvider"],
            ", ".join(output["providers"]),
        ),
        line("wav written and read", output["wav"]),
        none_of("CA bundle", output["authorities"]),
    ]


def torch(output: Mapping[str, Any], pins: Mapping[str, str], wanted_cuda: str | None) -> list[Line]:
    """Judge the versions of torch and its CUDA, and the origin of its libraries, by the output of the same script."""
    version, cuda = output.get("torch", "none"), output.get("torch_cuda") or "none"
    libraries: list[str] = output.get("libraries", [])
    toolkit = [path for path in libraries if "/libcuda.so" not in path]
    # /usr/local/cuda is a symbolic link, so the process maps /usr/local/cuda-11.8/compat.
    foreign = [path for path in toolkit if "/site-packages/nvidia/" not in path]
    foreign += [path for path in libraries if "/libcuda.so" in path and "/compat/" in path]
    missing = sorted(LIBRARIES - {path.rpartition("/")[2] for path in toolkit})
    return [
        line("torch", version == pins.get("torch"), f"{version} (locked: {pins.get('torch')})"),
        line("CUDA of torch", cuda == wanted_cuda, f"{cuda} (torch's wheels bring {wanted_cuda})"),
        none_of("library origins", foreign + [f"{name} not loaded" for name in missing]),
        Line("GPU", "passed") if output.get("gpu") else Line("GPU", "not verified", "this host has no GPU"),
    ]


def voice_on_torch(output: Mapping[str, Any]) -> list[Line]:
    """Judge the voice on torch by the output of build/verify/in_image/verify_app.py.

    One line, or none for an image without torch or without an engine that uses it.
    """
    differs = output.get("torch_differs")
    if differs is None:
        return []
    return [
        line("voice on torch", differs < TORCH_DIFFERS, f"{differs:.0e} from onnxruntime (up to {TORCH_DIFFERS:g})")
    ]
