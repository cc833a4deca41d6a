"""The machine that a command runs on: subprocesses, files, git."""
