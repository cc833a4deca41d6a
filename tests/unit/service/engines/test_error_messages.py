"""Unit tests of service.engines.error_messages: messages of torch and onnxruntime."""

from __future__ import annotations

import pytest

from service.engines.error_messages import means_broken_cuda, means_out_of_memory


@pytest.mark.parametrize(
    ("message", "out_of_memory", "broken"),
    [
        ("CUDA error: out of memory", True, False),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True, False),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes", True, False),
        ("Failed to allocate memory for requested buffer of size 80", True, False),
        ("CUDA error: an illegal memory access was encountered", False, True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", False, True),
        ("CUDA failure 700: an illegal memory access was encountered", False, True),
        ("The size of tensor a (3) must match the size of tensor b (4)", False, False),
    ],
)
def test_out_of_memory_and_a_broken_cuda_are_distinguished(message: str, out_of_memory: bool, broken: bool) -> None:
    assert (means_out_of_memory(message), means_broken_cuda(message)) == (out_of_memory, broken)
