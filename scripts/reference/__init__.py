"""Generator of docs/reference: `python -m scripts.reference`."""
