"""A call's stream of lines: its output to our stdout and stderr as it comes, then its end."""

from __future__ import annotations

import sys

from deepd.cli.failure import INTERRUPTED, say
from deepd.cli.outcome import finish
from deepd.errors import DaemonDownError, GoneError

TYPE_CHECKING = False  # typing itself would cost a command a tenth of its start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    class Caller(Protocol):
        """The part of a client that is needed beyond the stream itself."""

        def call(self, call_id: str) -> dict[str, Any]: ...

        def cancel(self, call_id: str, reason: str = "") -> dict[str, Any]: ...

        def output(
            self, call_id: str, *, after: int = 0, follow: bool = False
        ) -> Iterator[dict[str, Any]]: ...


SHORT = 12


class CallStream:
    """Follows one call to its end; knows how far it is, to go on from there after an interrupt."""

    def __init__(
        self,
        client: Caller,
        call_id: str = "",
        *,
        on_call: Callable[[str], None] | None = None,
        on_held: Callable[[str], None] | None = None,
    ) -> None:
        self._client = client
        self._on_call = on_call
        self._on_held = on_held
        self.call_id = call_id
        self._next = 0
        self._interrupted = False
        self.held = False
        """Whether it waits for a decision now."""

    def run(self, lines: Iterator[dict[str, Any]]) -> int:
        """Print until the end and return the exit code; an interrupt cancels, a second detaches."""
        while True:
            try:
                code = self._print(lines)
            except KeyboardInterrupt:
                if self._interrupted or not self.call_id:
                    say(f"\ndetached: it goes on, see `deepd wait {self.call_id[:SHORT]}`")
                    return INTERRUPTED
                self._interrupted = True
                say("\ncancelling; interrupt again to leave it alone")
                lines = self._cancelled()
            except DaemonDownError as error:
                if self.call_id and not error.next_step.startswith("deepd start"):
                    raise DaemonDownError(
                        "the daemon went away; the call goes on without it",
                        next_step=f"deepd start, then `deepd wait {self.call_id[:SHORT]}`",
                    ) from error
                raise
            else:
                return INTERRUPTED if self._interrupted else code

    def _cancelled(self) -> Iterator[dict[str, Any]]:
        self._client.cancel(self.call_id, "interrupted at the terminal")
        yield from self._client.output(self.call_id, after=self._next, follow=True)

    def _print(self, lines: Iterator[dict[str, Any]]) -> int:
        try:
            return self._print_all(lines)
        finally:
            close_stream(lines)

    def _print_all(self, lines: Iterator[dict[str, Any]]) -> int:
        for line in lines:
            match line["kind"]:
                case "call":
                    self._take_id(call_in(line))
                case "held":
                    self._take_id(call_in(line))
                    self._say_held()
                case "output":
                    self._write(line)
                case "end":
                    return self._end(line)
                case "dropped":
                    raise GoneError(
                        "this terminal was too slow for the output",
                        next_step=f"deepd wait {self.call_id[:SHORT]}",
                    )
                case _:
                    # Lines that only keep the stream alive, and what later versions may add.
                    continue
        return finish(self._client.call(self.call_id))

    def _say_held(self) -> None:
        """Say it once; the daemon repeats it to keep the stream alive."""
        if not self.held:
            self.held = True
            say(f"held: waiting for a decision, `deepd approve {self.call_id[:SHORT]}`")
            if self._on_held:
                self._on_held(self.call_id)

    def _take_id(self, call: dict[str, Any]) -> None:
        if not self.call_id:
            self.call_id = str(call["id"])
            if self._on_call:
                self._on_call(self.call_id)

    def _write(self, line: dict[str, Any]) -> None:
        self.held = False
        data = line["data"]
        self._next = max(self._next, int(line["offset"]) + len(data))
        target = sys.stderr if line["stream"] == 2 else sys.stdout
        target.buffer.write(data)
        target.buffer.flush()

    def _end(self, line: dict[str, Any]) -> int:
        call = call_in(line)
        missing = int(call.get("output_size") or 0) - self._next
        if missing > 0:
            say(f"note: {missing} bytes of its output were not kept")
        return finish(call)


def close_stream(stream: Iterator[Any]) -> None:
    """Close a stream that was not read to its end; without it the connection would stay."""
    close = getattr(stream, "close", None)
    if close is not None:
        close()


def call_in(line: dict[str, Any]) -> dict[str, Any]:
    """Return the call that a line is about, or as much of it as the line says."""
    call = line["call"]
    return call if isinstance(call, dict) else {"id": call}
