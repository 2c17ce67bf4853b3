"""Subjects: deepd and its peers, each driven in a process of its own; see `serve.py`."""
