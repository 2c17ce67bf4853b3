"""The dashboard in a browser on this machine: the same program behind a page, on loopback only.

Whoever can open the page can decide, so the address carries a key that only its reader has, and a
page of another site cannot connect: the socket's origin has to be our own.
"""

from __future__ import annotations

import hmac
import os
import secrets
import shlex
import socket
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

HOST = "127.0.0.1"
COOKIE = "deepd-key"
KEY = "key"
_PATIENCE = 1.0


class LocalServer(Server):
    """Serves the command to browsers that know the key."""

    def __init__(self, command: str, listener: socket.socket, key: str) -> None:
        port = listener.getsockname()[1]
        super().__init__(command, host=HOST, port=port, title="deepd")
        self._listener = listener
        self._key = key
        self._cookie = f"{COOKIE}-{port}"

    @property
    def address(self) -> str:
        """What to open: works once and sets a cookie."""
        return f"{self.public_url}/?{KEY}={self._key}"

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guarded())
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Say where it is."""
        print(f"open {self.address}\nCtrl-C ends it; the daemon goes on", flush=True)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; whoever is connected then does not keep it."""
        web.run_app(
            self._make_app(),
            sock=self._listener,
            print=None,
            access_log=None,
            shutdown_timeout=_PATIENCE,
        )

    def _guarded(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._refuse_strangers(request)
            given = request.query.get(KEY)
            if given is not None and self._fits(given) and request.path == "/":
                reply = web.HTTPFound("/")
                reply.set_cookie(self._cookie, self._key, httponly=True, samesite="Strict")
                return reply
            if not self._fits(request.cookies.get(self._cookie, "")):
                raise web.HTTPForbidden(text="open the address that deepd printed")
            return await handler(request)

        return guard

    def _refuse_strangers(self, request: web.Request) -> None:
        """Refuse pages of other sites, under whatever name they reach this address."""
        if f"http://{request.host}" != self.public_url:
            raise web.HTTPForbidden(text="this is not the name that deepd serves under")
        origin = request.headers.get("Origin")
        if origin is not None and origin != self.public_url:
            raise web.HTTPForbidden(text="another site may not connect")

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self._key.encode())


def listen(port: int) -> socket.socket:
    """Take a port on loopback, any that is free for 0; `OSError` when it cannot be had."""
    return socket.create_server((HOST, port))


def serve(words: Sequence[str], listener: socket.socket) -> int:
    """Serve until Ctrl-C; return an exit code."""
    os.environ["TERM"] = os.environ.get("TERM") or "xterm-256color"
    LocalServer(shlex.join(words), listener, secrets.token_urlsafe(32)).run()
    return 0
