"""Faults at exactly one record of the journal, under load, and what became of it."""
