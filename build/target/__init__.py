"""One project's stack on one engine: its containers by colour, what runs in them, and what they answer."""
