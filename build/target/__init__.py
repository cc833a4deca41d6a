"""One project's stack on one engine: containers by colour, and access to the services in them."""
