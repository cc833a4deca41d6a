"""Measures of recorded speech: signal, features, speaker, quality."""
