"""Routes for archives: whole folders as tar streams, for a person's `deepd cp`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from deepd.model.ids import SessionName
from deepd.server.endpoint import Endpoint
from deepd.server.failures import BODY, REACH
from deepd.server.parameter import text
from deepd.server.replies import PathShown
from deepd.server.reply import Stream, json_reply
from deepd.server.request import query_text, read_pieces
from deepd.server.services import Services
from deepd.server.sessions import session_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_PATH = "/v1/sessions/{session}/archive"
_READY_WITHIN = 120.0


class ArchiveRoutes:
    """Archives go past the policy, which knows no such tool: so only operators may use them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "GET",
                _PATH,
                self.download,
                "A file or folder as tar",
                operator_only=True,
                reply="application/x-tar",
                parameters=(text("path").needed(),),
                fails=(*REACH, "bad-arguments", "file"),
            ),
            Endpoint(
                "PUT",
                _PATH,
                self.upload,
                "Unpack a tar into a folder",
                operator_only=True,
                reply=PathShown,
                raw=True,
                parameters=(text("path").needed(),),
                fails=(*REACH, *BODY, "file"),
            ),
        ]

    async def download(self, request: Request) -> ASGIApp:
        name, path = session_of(request), query_text(request, "path")
        pieces = self._pieces(name, path)
        # The first piece is waited for here, so that no such folder is a 404 and not half a tar.
        first = await anext(pieces, b"")
        return Stream(_after(first, pieces), "application/x-tar")

    async def upload(self, request: Request) -> ASGIApp:
        name, path = session_of(request), query_text(request, "path")
        limits = self._services.limits
        sessions = self._services.sessions
        with sessions.busy(name, "running"):
            live = await sessions.ready(name, within=_READY_WITHIN)
            pieces = read_pieces(request, limits.archive, limits.body_seconds)
            await live.sandbox.extract(path, pieces)
        return json_reply(PathShown(path=path))

    async def _pieces(self, name: SessionName, path: str) -> AsyncIterator[bytes]:
        sessions = self._services.sessions
        with sessions.busy(name, "running"):
            live = await sessions.ready(name, within=_READY_WITHIN)
            async for piece in live.sandbox.archive(path):
                yield piece


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        yield piece
