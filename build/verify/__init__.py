"""Verification of built images: required and forbidden content, and the stored verdicts."""
