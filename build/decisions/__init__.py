"""Pure decisions: facts in, verdict out. Nothing here reads a clock, a file or a socket."""
