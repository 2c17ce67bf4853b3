"""The Python API: sandboxes for programs, with only an engine running or over the daemon."""
