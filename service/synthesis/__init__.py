"""The synthesis: checks, queue, metrics, and the phases of the model."""
