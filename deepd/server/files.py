"""Routes for files: raw bytes both ways, and the file tools by name. Each is a call of its tool."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from deepd.errors import BadRequestError, TooLargeError
from deepd.model.call import Call
from deepd.model.files import FileStat
from deepd.server.bodies import received_body
from deepd.server.endpoint import Endpoint
from deepd.server.failures import FILE
from deepd.server.parameter import MAKES_A_CALL, Parameter, flag, header, some_text, text
from deepd.server.replies import Edited, Entries, Matches, PathShown, Written
from deepd.server.reply import OCTETS, Headers, Whole, json_reply
from deepd.server.request import query_flag, query_number, query_text, read_model
from deepd.server.services import Services
from deepd.server.spooled import Spooled
from deepd.server.submit import run_call
from deepd.wire.models import EditRequest, RenameRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

_SESSION = "/v1/sessions/{session}"
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")
_RANGE_HEADER = header(
    "Range",
    {"type": "string", "pattern": "^bytes=[0-9]{1,18}-([0-9]{1,18})?$"},
    "one part; the answer is 206",
)
_PATH = text("path").needed()
_IN = text("path", "the work dir without it")
_PATTERN = some_text("pattern")
_KEPT = -1
_MODE = Parameter("mode", {"type": "string", "pattern": "^[0-7]{1,4}$"}, "octal")


class FileRoutes:
    """Files of a session's sandbox."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> list[Endpoint]:
        """Return the table's lines."""
        files, edit = f"{_SESSION}/files", f"{_SESSION}/edit"
        return [
            Endpoint(
                "GET",
                files,
                self.read,
                "A file's bytes, or a Range of them",
                reply=OCTETS,
                parameters=(_PATH, _RANGE_HEADER, *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "PUT",
                files,
                self.write,
                "Write a file: raw bytes of any size, replaced at once",
                reply=Written,
                raw=True,
                parameters=(_PATH, _MODE, flag("append"), *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "POST",
                edit,
                self.edit,
                "Replace text in a file",
                body=EditRequest,
                reply=Edited,
                parameters=MAKES_A_CALL,
                fails=FILE,
            ),
            Endpoint(
                "GET",
                f"{_SESSION}/stat",
                self.stat,
                "One path",
                reply=FileStat,
                parameters=(_PATH, *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "DELETE",
                files,
                self.remove,
                "Remove a file, or with recursive=1 a folder and all in it",
                reply=PathShown,
                parameters=(_PATH, flag("recursive"), *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "POST",
                f"{_SESSION}/mkdir",
                self.mkdir,
                "Make a folder and those above it; existing is no error",
                reply=PathShown,
                parameters=(_PATH, *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "POST",
                f"{_SESSION}/rename",
                self.rename,
                "Move a file or a folder",
                body=RenameRequest,
                reply=PathShown,
                parameters=MAKES_A_CALL,
                fails=FILE,
            ),
            Endpoint(
                "GET",
                f"{_SESSION}/realpath",
                self.realpath,
                "Where a path leads, whether something is there or not",
                reply=PathShown,
                parameters=(_PATH, *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "GET",
                f"{_SESSION}/ls",
                self.ls,
                "A folder's entries; with follow=1 what links lead to",
                reply=Entries,
                parameters=(_IN, flag("follow"), *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "GET",
                f"{_SESSION}/glob",
                self.glob,
                "Files by name, `**` at any depth",
                reply=Entries,
                parameters=(_PATTERN, _IN, flag("hidden"), *MAKES_A_CALL),
                fails=FILE,
            ),
            Endpoint(
                "GET",
                f"{_SESSION}/grep",
                self.grep,
                "Lines by a regular expression (RE2)",
                reply=Matches,
                parameters=(_PATTERN, _IN, text("glob"), flag("hidden"), *MAKES_A_CALL),
                fails=FILE,
            ),
        ]

    async def read(self, request: Request) -> ASGIApp:
        args: dict[str, Any] = {"path": query_text(request, "path")}
        wanted = _range(request)
        if wanted is not None:
            args["offset"] = wanted[0]
            if wanted[1] is not None:
                args["limit"] = wanted[1]
        call = await self._run(request, "read_file", args)
        if call.truncated:
            raise TooLargeError(
                f"the file has {call.output_size} bytes, more than are kept of one call",
                next_step="read it in ranges, or as an archive",
            )
        status, headers = (200, ()) if wanted is None else _part(wanted[0], call)
        if (spooled := self._services.calls.open_output(call.id)) is not None:
            return Spooled(spooled, OCTETS, status, headers, self._services.limits)
        kept_bytes = [chunk.data async for chunk in self._services.calls.output(call.id)]
        return Whole(b"".join(kept_bytes), OCTETS, status, headers)

    async def write(self, request: Request) -> ASGIApp:
        args: dict[str, Any] = {"path": query_text(request, "path")}
        mode = query_number(request, "mode", _KEPT, highest=0o7777, base=8)
        if mode != _KEPT:
            args["mode"] = mode
        if query_flag(request, "append"):
            args["append"] = True
        services = self._services
        async with received_body(request, services.spool, services.limits) as body:
            call = await run_call(services, request, "write_file", args, body)
        return json_reply(self._services.calls.result(call))

    async def edit(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, EditRequest, self._services.limits)
        call = await self._run(request, "edit_file", wanted.model_dump(exclude_defaults=True))
        return json_reply(self._services.calls.result(call))

    async def stat(self, request: Request) -> ASGIApp:
        args = {"path": query_text(request, "path"), "stat": True}
        call = await self._run(request, "ls", args)
        return json_reply(self._services.calls.result(call)["entries"][0])

    async def ls(self, request: Request) -> ASGIApp:
        args: dict[str, Any] = {"path": query_text(request, "path", ".")}
        if query_flag(request, "follow"):
            args["follow"] = True
        call = await self._run(request, "ls", args)
        return json_reply(self._services.calls.result(call))

    async def realpath(self, request: Request) -> ASGIApp:
        args = {"path": query_text(request, "path"), "realpath": True}
        return json_reply((await self._run(request, "ls", args)).result)

    async def remove(self, request: Request) -> ASGIApp:
        args: dict[str, Any] = {"path": query_text(request, "path"), "op": "remove"}
        if query_flag(request, "recursive"):
            args["recursive"] = True
        return json_reply((await self._run(request, "write_file", args)).result)

    async def mkdir(self, request: Request) -> ASGIApp:
        args = {"path": query_text(request, "path"), "op": "mkdir"}
        return json_reply((await self._run(request, "write_file", args)).result)

    async def rename(self, request: Request) -> ASGIApp:
        wanted = await read_model(request, RenameRequest, self._services.limits)
        args = wanted.model_dump() | {"op": "rename"}
        return json_reply((await self._run(request, "write_file", args)).result)

    async def glob(self, request: Request) -> ASGIApp:
        args: dict[str, Any] = {
            "pattern": query_text(request, "pattern"),
            "path": query_text(request, "path", "."),
        }
        if query_flag(request, "hidden"):
            args["hidden"] = True
        call = await self._run(request, "glob", args)
        return json_reply(self._services.calls.result(call))

    async def grep(self, request: Request) -> ASGIApp:
        args: dict[str, Any] = {
            "pattern": query_text(request, "pattern"),
            "path": query_text(request, "path", "."),
        }
        if name := query_text(request, "glob", ""):
            args["glob"] = name
        if query_flag(request, "hidden"):
            args["ignore_hidden"] = False
        call = await self._run(request, "grep", args)
        return json_reply(self._services.calls.result(call))

    async def _run(self, request: Request, tool: str, args: dict[str, Any]) -> Call:
        return await run_call(self._services, request, tool, args)


def _range(request: Request) -> tuple[int, int | None] | None:
    """Return offset and size of the part that is asked for; `None` for the whole file."""
    text = request.headers.get("range", "")
    if not text:
        return None
    match = _RANGE.fullmatch(text)
    if match is None:
        raise BadRequestError(
            "this Range is not understood", next_step="use one range such as bytes=0-1023"
        )
    first, last = int(match[1]), match[2]
    if last is None:
        return first, None
    if int(last) < first:
        raise BadRequestError("the Range ends before it begins")
    return first, int(last) - first + 1


def _part(offset: int, call: Call) -> tuple[int, Headers]:
    """Return the status and the header that say which part it is.

    A part that begins at the file's end is an empty one: that is how a reader finds the end.
    """
    if call.output_size == 0:
        return 206, ((b"content-range", b"bytes */*"),)
    last = offset + call.output_size - 1
    return 206, ((b"content-range", b"bytes %d-%d/*" % (offset, last)),)
