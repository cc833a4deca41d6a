"""A run: requests to the service, retries, how many at a time, and progress."""
