"""Judgement of the output of the in-image scripts, as report lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from build.verify.rules import Line, line, none_of

# Maximum difference between two samples, on a scale where full amplitude is 1.
TORCH_DIFFERS = 1e-3
LIBRARIES = {"libcudart.so.12", "libcublas.so.12", "libcudnn.so.9"}


def environment(seen: Mapping[str, Any], pins: Mapping[str, str], name: str) -> list[Line]:
    """Judge Python and its packages by the output of build/verify/in_image/verify_base.py.

    Args:
        seen: output of the script.
        pins: package -> version from the pip locks in the image.
        name: expected name of the conda environment.
    """
    onnx = pins.get("onnxruntime") or pins.get("onnxruntime-gpu")
    return [
        line("python", seen["python"] == "3.11", seen["python"]),
        line("environment", seen["env"] == name, seen["env"]),
        line("onnxruntime", seen["onnxruntime"] == onnx, f"{seen['onnxruntime']} (locked: {onnx})"),
        line(
            "onnxruntime session",
            seen["inference"] and seen["providers"] == ["CPUExecutionProvider"],
            ", ".join(seen["providers"]),
        ),
        line("wav written and read", seen["wav"]),
        none_of("CA bundle", seen["authorities"]),
    ]


def torch(seen: Mapping[str, Any], pins: Mapping[str, str], wanted_cuda: str | None) -> list[Line]:
    """Judge the versions of torch and its CUDA, and the origin of its libraries, by the output of the same script."""
    version, cuda = seen.get("torch", "none"), seen.get("torch_cuda") or "none"
    libraries: list[str] = seen.get("libraries", [])
    own = [path for path in libraries if "/libcuda.so" not in path]
    # /usr/local/cuda is a symbolic link, so the process maps /usr/local/cuda-11.8/compat.
    foreign = [path for path in own if "/site-packages/nvidia/" not in path]
    foreign += [path for path in libraries if "/libcuda.so" in path and "/compat/" in path]
    missing = sorted(LIBRARIES - {path.rpartition("/")[2] for path in own})
    return [
        line("torch", version == pins.get("torch"), f"{version} (locked: {pins.get('torch')})"),
        line("CUDA of torch", cuda == wanted_cuda, f"{cuda} (its wheels' is {wanted_cuda})"),
        none_of("library origins", foreign + [f"{name} not loaded" for name in missing]),
        Line("GPU", "passed") if seen.get("gpu") else Line("GPU", "not verified", "there is none here"),
    ]


def voice_on_torch(seen: Mapping[str, Any]) -> list[Line]:
    """Judge the voice on torch by the output of build/verify/in_image/verify_app.py.

    One line, or none for an image without torch or without an engine that uses it.
    """
    differs = seen.get("torch_differs")
    if differs is None:
        return []
    return [
        line("voice on torch", differs < TORCH_DIFFERS, f"{differs:.0e} from onnxruntime (up to {TORCH_DIFFERS:g})")
    ]
