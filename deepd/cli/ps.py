"""`deepd ps`: the sessions, what they use and what they do."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.command_line import command_of
from deepd.cli.connect import connect, fetch, print_document
from deepd.cli.parser import add_json, add_quiet, add_verb
from deepd.cli.show import cut, print_table
from deepd.model.duration import render_age, render_size

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_HEADER = ("NAME", "PROFILE", "STATE", "ENGINE", "CPU", "MEM", "IDLE IN", "RUNNING", "LAST")
_RECENT = 200
"""Calls that are looked through for what runs and what was last."""
_CAUSE = 40
_COMMAND = 40
"""Columns that a command may take, as a cause may; `deepd inspect` has all of it."""


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "ps",
        description="Measuring takes engines up to a second, so in a pipe it is done with -s only.",
    )
    parser.add_argument("-s", "--stats", action="store_true", help="measure, also in a pipe")
    add_json(parser)
    add_quiet(parser, "names")


def run(args: Namespace) -> int:
    """Print the table."""
    from deepd.cli.measure import measure  # noqa: PLC0415 - `--json` and `-q` need no threads

    client = connect(args)
    if args.json:
        return print_document(client, "/v1/sessions")
    sessions = client.sessions()
    if args.quiet:
        print("".join(f"{session['name']}\n" for session in sessions), end="")
        return 0
    calls = fetch(client, f"/v1/calls?limit={_RECENT}")["calls"] if sessions else []
    stats = measure(client, sessions) if args.stats or sys.stdout.isatty() else {}
    now = time.time()
    rows = [
        row(session, [call for call in calls if call["session"] == session["name"]], stats, now)
        for session in sessions
    ]
    print_table(_HEADER, rows, right=("CPU", "MEM", "IDLE IN"))
    return 0


def row(
    session: dict[str, Any],
    calls: list[dict[str, Any]],
    stats: dict[str, dict[str, Any]],
    now: float,
) -> tuple[str, ...]:
    """Return the cells of one session; its calls are the newest first."""
    used = stats.get(session["name"])
    running = next((call for call in calls if call["ended_at"] is None), None)
    last = next((call for call in calls if call["ended_at"] is not None), None)
    idle_at = session.get("idle_at")
    return (
        session["name"],
        session["profile"],
        state(session, room=_CAUSE),
        session.get("engine") or "-",
        f"{used['cpu'] * 100:.1f}%" if used else "-",
        f"{render_size(used['memory'])} / {render_size(used['memory_limit'])}" if used else "-",
        render_age(idle_at - now) if idle_at else "-",
        cut(command_of(running), _COMMAND) if running else "-",
        _last(last, session, now),
    )


def state(session: dict[str, Any], *, room: int = 1000) -> str:
    """Return the state in words: with how many are held, how far a pull is, and why.

    `room` is how many columns the cause may take.
    """
    text = str(session["state"])
    if session.get("held"):
        text = (
            f"{text} ({session['held']})" if text == "held" else f"{text}, {session['held']} held"
        )
    if session.get("progress") is not None:
        text += f"  {session['progress'] * 100:.0f}%"
    if session.get("cause") and session["state"] in {"failed", "stopped", "waiting", "no profile"}:
        text += f", {cut(session['cause'], room)}"
    return f"{text}, stale" if session.get("stale") else text


def _last(call: dict[str, Any] | None, session: dict[str, Any], now: float) -> str:
    if call is None:
        active = session.get("last_active")
        return f"{render_age(now - active)} ago" if active else "-"
    code = call.get("exit_code")
    end = f"exit {code}" if code is not None else call["state"]
    took = call["ended_at"] - (call.get("started_at") or call["ended_at"])
    length = f"{took:.1f}s" if took < 60 else render_age(took)
    return f"{cut(command_of(call), _COMMAND)}  {end}  {length}"
