"""The format of task files: lines, fields and clip names, for the batch client and the page."""
