"""The speech service: what runs in the container."""
