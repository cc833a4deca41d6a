"""The control socket, by which the orchestrator controls a running service; client: `python -m service.control`."""
