"""`python -m build.janitor`: remove old images, artifacts and logs, but nothing that a release needs."""
