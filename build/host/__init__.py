"""The machine under the engine: disk, ports, network, GPU, and what is wrong with it."""
