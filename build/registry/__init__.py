"""A registry: its API, credentials, trust, retries, and the documents beside an image."""
