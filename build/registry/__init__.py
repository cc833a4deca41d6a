"""Registry client: API, credentials, trust, retries, and documents attached to an image."""
