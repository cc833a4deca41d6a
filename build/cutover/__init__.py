"""`python -m build.cutover`: one release after the other, as a state machine whose every step is journaled."""
