"""Facts and findings about the machine under the engine: disk, ports, network, GPU."""
