"""What is run inside an image: each file whole as the argument of its Python, with the standard library alone."""
