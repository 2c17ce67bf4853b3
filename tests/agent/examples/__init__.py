"""Programs to learn from: each runs as it is, offline, with only an engine (`python -m …`)."""
