"""`python -m build.cutover`: replace the live release, as a state machine that journals every step."""
