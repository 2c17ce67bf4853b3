"""Deeds: what clients do to calls, each carried through however often the daemon dies in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from deepd.client.sync import Client
from deepd.errors import (
    AlreadyDecidedError,
    CallTimeoutError,
    ConflictError,
    DaemonDownError,
    FingerprintError,
    NotFoundError,
)
from deepd.model.call import TERMINAL
from tests.faults.history import Told
from tests.faults.place import Place

T = TypeVar("T")
Json = dict[str, Any]

HELLO = """\
[interrupt_on]
execute = "allow"
write_file = "ask"
"deploy*" = "ask"
"destroy*" = "deny"
"""
ASKED = """\
sessions = ["asked"]
[interrupt_on]
execute = "ask"
"soon*" = { default = "ask", timeout = "0.2s" }
"""
_WITHIN = 120.0
_PATIENCE = 6
"""How often the end of a call is waited for, 20 s each: a machine may have stood still."""


class Persistent:
    """A client that asks until it is answered, and has the daemon started when it is dead."""

    def __init__(self, client: Client, revive: Callable[[], object], told: Told) -> None:
        self.client = client
        self.told = told
        self._revive = revive

    def insist(self, ask: Callable[[], T]) -> T:
        """Return the answer to what may be asked again."""
        left = _WITHIN
        while True:
            asked = time.monotonic()
            try:
                return ask()
            except (DaemonDownError, OSError):
                assert left > 0, "the daemon does not come back"
                self._revive()
            # Where all processes stood still for a while, that was not the daemon's fault.
            left -= min(time.monotonic() - asked, 1.0)

    def submit(self, mark: str, session: str, tool: str, args: Json, **more: Any) -> str:
        """Make a call under a key of its own and return its id."""
        made = self.insist(
            lambda: self.client.submit(session, tool, args, background=True, key=mark, **more)
        )
        self.told.taken[mark] = made["id"]
        return str(made["id"])

    def execute(self, mark: str, session: str, command: str, **more: Any) -> str:
        """Submit a command."""
        return self.submit(mark, session, "execute", {"command": command, **more})

    def write(self, key: str, session: str, path: str, data: bytes) -> None:
        """Write a file, by one call however often it is asked for."""
        where = f"/v1/sessions/{session}/files?path={path}"
        headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": key}
        self.insist(lambda: self.client.request("PUT", where, body=data, headers=headers))

    def decide(self, call: str, *, approve: bool, args: Json | None = None) -> str:
        """Decide, and return what stands: ours, or what was decided before."""

        def ask() -> Json:
            shown = self.client.approval(call)
            if shown["state"] == "pending":
                with suppress(AlreadyDecidedError):
                    return self.client.decide(
                        call, approve=approve, fingerprint=shown["fingerprint"], args=args
                    )
            return self.client.approval(call)

        while True:
            with suppress(FingerprintError):
                state = str(self.insist(ask)["state"])
                self.told.decided[call] = state
                return state

    def cancel(self, call: str) -> None:
        """Take a call back."""
        self.insist(lambda: self.client.cancel(call))

    def end(self, call: str) -> Json:
        """Wait for the end of a call."""

        def ask() -> Json:
            with suppress(CallTimeoutError):
                return self.client.call(call, wait=20)
            return self.client.call(call)

        for _ in range(_PATIENCE):
            if (found := self.insist(ask))["state"] in TERMINAL:
                break
        return found

    def until(self, call: str, *states: str) -> Json:
        """Wait until a call is in one of these states."""
        deadline = time.monotonic() + _WITHIN
        while (found := self.insist(lambda: self.client.call(call)))["state"] not in states:
            assert time.monotonic() < deadline, (states, found)
            time.sleep(0.005)
        return found


Deed = Callable[[Persistent, Place, str], None]


def _write(mark: str) -> str:
    return f"echo {mark} >> marks"


def _ended(found: Json, *states: str) -> None:
    assert found["state"] in states, found


def run(who: Persistent, _: Place, mark: str) -> None:
    """A command that is allowed."""
    found = who.end(who.execute(mark, "main", _write(mark)))
    _ended(found, "finished")


def print_much(who: Persistent, _: Place, mark: str) -> None:
    """A command whose output goes to the spool."""
    call = who.execute(mark, "main", f"{_write(mark)}; seq 1 90000")
    _ended(who.end(call), "finished")
    size = sum(len(f"{n}\n") for n in range(1, 90_001))

    def read() -> bytes:
        return b"".join(line.get("data", b"") for line in who.client.output(call))

    data = who.insist(read)
    assert (len(data), data[-6:]) == (size, b"90000\n")


def approve(who: Persistent, _: Place, mark: str) -> None:
    """A held command that is approved."""
    call = who.execute(mark, "asked", _write(mark))
    assert who.decide(call, approve=True) == "approved"
    _ended(who.end(call), "finished")


def approve_edited(who: Persistent, _: Place, mark: str) -> None:
    """A held command that is approved with other arguments."""
    call = who.execute(mark, "asked", _write(mark))
    args = {"command": _write(f"{mark}-edited")}
    assert who.decide(call, approve=True, args=args) == "approved"
    _ended(who.end(call), "finished")


def approve_what_is_shown_anew(who: Persistent, place: Place, mark: str) -> None:
    """A held command whose profile changes while it is held."""
    call = who.execute(mark, "asked", _write(mark))
    place.profile("asked", f'{ASKED}[env]\nMARK = "{mark}"\n')
    who.insist(who.client.reload)
    assert who.decide(call, approve=True) == "approved"
    _ended(who.end(call), "finished")


def deny(who: Persistent, _: Place, mark: str) -> None:
    """A held command that is denied."""
    call = who.execute(mark, "asked", _write(mark))
    assert who.decide(call, approve=False) == "denied"
    _ended(who.end(call), "denied")


def expire(who: Persistent, _: Place, mark: str) -> None:
    """A held call that nobody decides about."""
    call = who.submit(mark, "asked", "soon", {"text": mark})
    _ended(who.until(call, "expired"), "expired")


def cancel_held(who: Persistent, _: Place, mark: str) -> None:
    """A held command that its caller takes back."""
    call = who.execute(mark, "asked", _write(mark))
    who.cancel(call)
    _ended(who.end(call), "cancelled")


def cancel_running(who: Persistent, _: Place, mark: str) -> None:
    """A running command that its caller takes back."""
    call = who.execute(mark, "main", f"{_write(mark)}; sleep 60")
    who.until(call, "running")
    who.cancel(call)
    _ended(who.end(call), "cancelled")


def time_out(who: Persistent, _: Place, mark: str) -> None:
    """A command that takes too long."""
    call = who.execute(mark, "main", f"{_write(mark)}; sleep 60", timeout=0.2)
    _ended(who.end(call), "timed_out")


def write_held(who: Persistent, place: Place, mark: str) -> None:
    """A file that is written once a person says so."""
    args = {"path": "marks", "content": f"{mark}\n", "append": True}
    call = who.submit(mark, "main", "write_file", args)
    state = "held"
    while state == "held":  # and again, when the file is not what was shown any more
        assert who.decide(call, approve=True) == "approved"
        state = who.until(call, "held", *TERMINAL)["state"]
    assert state == "finished"


def write_large(who: Persistent, place: Place, mark: str) -> None:
    """A body that goes through the spool."""
    data = f"{mark}\n".encode() * 20_000
    who.write(mark, "asked", "large", data)
    assert (place.workspaces / "asked" / "workspace" / "large").read_bytes() == data


def edit(who: Persistent, place: Place, mark: str) -> None:
    """Text in a file that is replaced."""
    who.write(f"{mark}-before", "asked", "text", b"before\n")
    call = who.submit(mark, "asked", "edit_file", {"path": "text", "old": "before", "new": mark})
    _ended(who.end(call), "finished")
    assert (place.workspaces / "asked" / "workspace" / "text").read_text() == f"{mark}\n"


def ask_for_foreign(who: Persistent, _: Place, mark: str) -> None:
    """An agent's own tool, which only asks."""
    call = who.submit(mark, "main", "deploy", {"what": "it"})
    assert who.decide(call, approve=True) == "approved"
    _ended(who.end(call), "finished")


def be_denied(who: Persistent, _: Place, mark: str) -> None:
    """What the policy denies."""
    call = who.submit(mark, "main", "destroy", {"what": "it"})
    _ended(who.end(call), "denied")


def open_and_purge(who: Persistent, place: Place, mark: str) -> None:
    """A session from its beginning to its end."""
    who.insist(lambda: who.client.open_session("brief", "hello"))
    _ended(who.end(who.execute(mark, "brief", _write(mark))), "finished")
    assert place.marks("brief")[mark] == 1

    def close() -> None:
        with suppress(NotFoundError):  # the answer to the first try was lost
            who.client.close_session("brief", purge=True)

    while True:
        try:
            who.insist(close)
        except ConflictError:
            continue  # it is being removed
        break
    assert not (place.workspaces / "brief").exists()


DEEDS: tuple[Deed, ...] = (
    run,
    print_much,
    approve,
    approve_edited,
    approve_what_is_shown_anew,
    deny,
    expire,
    cancel_held,
    cancel_running,
    time_out,
    write_held,
    write_large,
    edit,
    ask_for_foreign,
    be_denied,
    open_and_purge,
)
