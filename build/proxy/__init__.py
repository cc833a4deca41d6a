"""The proxy in front of both colours: its servers, gate and log."""
