"""Access to the local machine: subprocesses, files, git."""
