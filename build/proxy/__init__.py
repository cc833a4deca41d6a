"""The proxy in front of both colours: its servers, its gate and its log."""
