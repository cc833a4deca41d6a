"""Scripts of a developer: bootstrap, checks, the generated reference pages."""
