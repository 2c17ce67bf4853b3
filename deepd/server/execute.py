"""Route for commands: the whole result, the output as it comes, or where to come back to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from deepd.model.call import OPEN, Call, Chunk
from deepd.server.endpoint import Endpoint
from deepd.server.failures import CALL
from deepd.server.outcome import Output, error_of, follow
from deepd.server.parameter import MAKES_A_CALL
from deepd.server.replies import CallTaken, ExecResult
from deepd.server.reply import NDJSON, json_reply, location, output_reply, problem_reply
from deepd.server.request import accepts, read_model, wants_no_wait
from deepd.server.services import Services
from deepd.server.submit import submit_call, wait_for_end
from deepd.wire.models import ExecRequest
from deepd.wire.octets import pack

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp


class ExecuteRoutes:
    """Commands."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        return [
            Endpoint(
                "POST",
                "/v1/sessions/{session}/exec",
                self.execute,
                "Run a command; with Accept: application/x-ndjson its output as it comes, and with"
                " `; bytes=raw` after that the bytes of each output line follow it as they are",
                body=ExecRequest,
                reply=ExecResult,
                taken=CallTaken,
                parameters=MAKES_A_CALL,
                fails=CALL,
            )
        ]

    async def execute(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, ExecRequest, self._services.limits)
        call = await submit_call(
            self._services, request, "execute", wanted.arguments(), options=wanted
        )
        if accepts(request, NDJSON):
            return output_reply(request, self._lines(call))
        if call.state in OPEN:
            if wanted.background or wants_no_wait(request):
                return json_reply(CallTaken(call=call), 202, location(f"/v1/calls/{call.id}"))
            call = await wait_for_end(self._services, request, call)
        return await self._whole(call)

    async def _whole(self, call: Call) -> ASGIApp:
        output = await Output.of(self._services.calls, call)
        both = output.both()
        if (error := error_of(call, both)) is not None:
            return problem_reply(error, extra={"call": call.id, "rule": call.rule})
        stdout, stderr = output.stream(1), output.stream(2)
        return json_reply(
            ExecResult(call=call, stdout=pack(stdout), stderr=pack(stderr), output=pack(both))
        )

    async def _lines(self, call: Call) -> AsyncIterator[dict[str, Any] | Chunk]:
        first: dict[str, Any] = {"kind": "call", "call": call}
        yield first
        every = self._services.limits.held_line
        async for line in follow(self._services.calls, call, held_line=every, paces=True):
            yield line
