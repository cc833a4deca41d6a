"""Thin I/O: one module per outside thing (git, Docker, Compose, the proxy, ...). Drivers decide nothing."""
