"""A run: requests to the service, retries, concurrency and progress."""
