"""Task files as the client reads them: every line checked, and the recordings that lines name."""
