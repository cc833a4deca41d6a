"""The control socket: what the orchestrator asks of a running service. `python -m service.control` is its client."""
