"""`python -m build.janitor`: removes old images, artifacts and logs, and nothing that a release needs."""
