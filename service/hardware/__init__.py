"""The hardware that the service may use: processors and GPUs, as the container sees them."""
