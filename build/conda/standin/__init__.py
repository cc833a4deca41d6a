"""The project's own conda channel, made from wheels where conda-forge cannot be reached."""
