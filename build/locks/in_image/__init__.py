"""Scripts that run inside an image: the text of a file is passed to the image's Python as its `-c` argument.

Images do not contain build/, so these scripts import only the standard library.
"""
