"""One way to speak: checked, queued, counted, and the phases of the model that speaks."""
