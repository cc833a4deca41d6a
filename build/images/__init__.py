"""`python -m build.images`: build, verify and publish the images of a commit, and record each build."""
