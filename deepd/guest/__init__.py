"""The program that is PID 1 of every sandbox, and the Python side of its wire."""
