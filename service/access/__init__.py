"""Access control: API keys, client addresses and rate limits."""
