"""The project's own conda channel, for machines that cannot reach conda-forge."""
