"""The format of task files: lines, fields and clip names. The batch client and the page read it."""
