"""Request and reply models of the socket API."""
