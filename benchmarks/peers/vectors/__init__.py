"""Vectors of other libraries for our tests: see `__main__.py`."""
