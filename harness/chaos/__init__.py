"""Inject a fault at exactly one journal record, under load, and check the result."""
