"""One module per flow; its `run` tells the whole story in order."""
