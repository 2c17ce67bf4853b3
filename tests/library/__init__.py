"""The Python API as its users call it."""
