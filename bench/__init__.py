"""Side-by-side measurements: `python -m bench` prints the figures that the README quotes."""

import build  # noqa: F401 - first, so that a Python that cannot run this says so (build/interpreter.py)
