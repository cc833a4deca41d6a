"""`python -m build.images`: from a commit to verified and published images, with a record of each build."""
