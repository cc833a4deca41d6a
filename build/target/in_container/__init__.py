"""Scripts for the Python of a container, passed whole as an argument; standard library only.

An image does not contain build/, so no script imports it.
"""
