"""HTTP on the Unix sockets."""
