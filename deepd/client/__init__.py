"""The synchronous and the asynchronous client of the socket API."""
