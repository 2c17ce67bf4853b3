"""The WebSocket of a call: its output and stdin as binary frames, control as JSON text frames."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from deepd.errors import BadRequestError, ConflictError, DeepdError
from deepd.model.call import Call
from deepd.server.calls import call_of
from deepd.server.request import query_number
from deepd.server.services import Services
from deepd.wire.encode import encode
from deepd.wire.models import PtySize
from deepd.wire.problems import to_problem

PATH = "/v1/calls/{call}/attach"
_BAD_FRAME = 1008
_FAILED = 1011


class AttachRoute:
    """Attaching to a call; leaving it does not end the call."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def route(self) -> WebSocketRoute:
        """Return it as the router wants it."""
        return WebSocketRoute(PATH, self.attach)

    async def attach(self, socket: WebSocket) -> None:
        # A request's path, query and peer are read the same way from a WebSocket's scope.
        request = Request({**socket.scope, "type": "http"})
        call = call_of(self._services, request)
        after = query_number(request, "after", 0)
        await socket.accept()
        try:
            await self._until_either_ends(socket, call, after)
        except WebSocketDisconnect:
            return
        except DeepdError as error:
            await socket.send_text(_text({"error": to_problem(error)}))
            await socket.close(_BAD_FRAME if isinstance(error, BadRequestError) else _FAILED)

    async def _until_either_ends(self, socket: WebSocket, call: Call, after: int) -> None:
        output = asyncio.create_task(self._output(socket, call, after), name=f"output:{call.id}")
        frames = asyncio.create_task(self._frames(socket, call), name=f"frames:{call.id}")
        try:
            done, _ = await asyncio.wait({output, frames}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            output.cancel()
            frames.cancel()
            await asyncio.gather(output, frames, return_exceptions=True)

    async def _output(self, socket: WebSocket, call: Call, after: int) -> None:
        async for chunk in self._services.calls.output(
            call.id, after=after, follow=True, paces=True
        ):
            await socket.send_bytes(chunk.data)
        ended = await self._services.calls.wait(call.id)
        end = {"exit": ended.exit_code, "state": ended.state, "reason": ended.reason}
        await socket.send_text(_text(end))
        await socket.close()

    async def _frames(self, socket: WebSocket, call: Call) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                if (data := message.get("bytes")) is not None:
                    await self._services.calls.stdin(call.id, data)
                else:
                    await self._control(call, message.get("text") or "")
            except ConflictError:
                # It ended while this was under way: the output's end says so.
                continue

    async def _control(self, call: Call, text: str) -> None:
        match _control_of(text):
            case {"resize": [int(rows), int(cols)]}:
                size = _size(rows, cols)
                await self._services.calls.resize(call.id, size.rows, size.cols)
            case {"eof": True}:
                await self._services.calls.stdin(call.id, b"", eof=True)
            case _:
                raise BadRequestError("a text frame is a resize or an eof")


def _control_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequestError("a text frame is JSON") from None


def _size(rows: int, cols: int) -> PtySize:
    try:
        return PtySize(rows=rows, cols=cols)
    except ValidationError:
        raise BadRequestError("a terminal has 1 to 1000 rows and columns") from None


def _text(value: Any) -> str:
    return encode(value).decode("ascii")
