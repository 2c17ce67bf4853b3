"""The one wrapper around all routes: errors become problem bodies, and nothing else leaves."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from deepd.errors import BadRequestError, DaemonDownError, DeepdError, NotFoundError
from deepd.server.reply import problem_reply
from deepd.server.request import SlowBodyError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class Guard:
    """Runs the application; a failure is told to the caller in words, to the log in full."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            # The caller went away, or the daemon ends: nobody else cancels a request.
            error: DeepdError = DaemonDownError(
                "the daemon is stopping", next_step="calls that it took are kept: ask again later"
            )
            status = 503
        except HTTPException as refused:
            error, status = _http(refused, scope), refused.status_code
        except SlowBodyError as slow:
            error, status = slow, 408
        except DeepdError as known:
            error, status = known, 0
        except Exception:
            ticket = secrets.token_hex(4)
            logger.exception("a request failed (%s): %s", ticket, scope.get("path"))
            error = DeepdError(
                f"the daemon made a mistake ({ticket})",
                next_step=f"look for {ticket} in the daemon's log, and report it",
            )
            status = 500
        else:
            return
        if not started:
            await _answer(problem_reply(error, status=status or None), scope, receive, send)


async def _answer(reply: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        await reply(scope, receive, send)
        return

    async def renamed(message: Message) -> None:
        await send({**message, "type": message["type"].replace("http.", "websocket.http.", 1)})

    await reply(scope, receive, renamed)


def _http(refused: HTTPException, scope: Scope) -> DeepdError:
    path = str(scope.get("path"))[:200]
    if refused.status_code == 404:
        return NotFoundError(f"there is nothing at {path}", next_step="see GET /v1/openapi.json")
    return BadRequestError(
        f"{path} does not take {scope.get('method')}", next_step="see GET /v1/openapi.json"
    )
