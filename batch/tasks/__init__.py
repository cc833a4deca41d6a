"""Task files of the client: every line is checked, and so are the recordings that it names."""
