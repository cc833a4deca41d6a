"""Hardware of the container: processors and GPUs."""
