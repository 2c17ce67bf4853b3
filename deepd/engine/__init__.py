"""What makes sandboxes: one protocol, one module an engine."""
