"""Classification of the error messages of torch, onnxruntime and CUDA where the library has no error type."""

from __future__ import annotations

# An allocation failed on the CPU or the GPU. None of these errors breaks the CUDA context.
_OUT_OF_MEMORY = (
    "out of memory",
    "ALLOC_FAILED",
    "Failed to allocate memory",
    "bad_alloc",
    "can't allocate memory",
    "not enough memory",
    "smaller than requested bytes",
)
# CUDA or one of its libraries failed. The context may be lost: after an illegal access every later call fails too.
_CUDA = (
    "CUDA error",
    "CUDA failure",
    "CUDA driver error",
    "cuDNN error",
    "CUDNN failure",
    "CUDNN_STATUS",
    "CUBLAS failure",
    "CUBLAS_STATUS",
    "CUFFT failure",
)


def means_out_of_memory(message: str) -> bool:
    """Whether only an allocation failed, so that a smaller task may succeed."""
    return any(mark in message for mark in _OUT_OF_MEMORY)


def means_broken_cuda(message: str) -> bool:
    """Whether CUDA failed for another reason than memory, so that later calls may fail too."""
    return any(mark in message for mark in _CUDA) and not means_out_of_memory(message)
