"""The orchestrator: a commit becomes an image, the image a candidate, the candidate goes live once it has spoken."""
