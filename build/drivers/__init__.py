"""Thin I/O: one module per outside thing. Drivers decide nothing."""
