"""What is run inside an image: each file whole as the argument of its shell, with what the image has."""
