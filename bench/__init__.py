"""Side-by-side measurements: `python -m bench` prints the figures that the README quotes."""
