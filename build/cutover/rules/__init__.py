"""What a cutover decides from facts alone: no I/O."""
