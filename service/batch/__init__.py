"""The batch client: many texts to one service, into zip shards, so that a stop at any moment loses nothing."""
