"""Scripts that run inside an image. The text of a file is passed to the image's shell as its `-c` argument."""
