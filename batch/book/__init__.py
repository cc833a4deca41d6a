"""Convert a book to a task file: the speaker of each sentence and their voice."""
