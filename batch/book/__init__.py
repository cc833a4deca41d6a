"""From a book to a task file: who speaks which sentence, and with which voice."""
