"""What is run inside an image: each file whole as the argument of its Python, with the standard library alone.

Nothing of build/ is in an image, so nothing in here imports it.
"""
