"""The tests."""

import harness  # noqa: F401 - first: it keeps bytecode
