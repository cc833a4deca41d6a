"""Decisions of a cutover as pure functions of facts: no I/O."""
