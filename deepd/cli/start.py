"""`deepd start`: the daemon in the background; returns when its sessions are ready."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepd.cli.background import Background, EndedError
from deepd.cli.connect import connect
from deepd.cli.failure import FAILED, say
from deepd.cli.parser import add_verb, refuse
from deepd.cli.ps import state
from deepd.cli.run import add_daemon_options
from deepd.cli.show import print_table
from deepd.errors import CallTimeoutError, ConflictError, DaemonDownError
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.client.sync import Client

_PAUSE = 0.05
_SERVING_WITHIN = 60.0
_ENGINE_DOWN = 69
_SETTLED = frozenset({"ready", "busy", "held", "paused", "stopped", "failed", "no profile"})


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "start", description="Its log is daemon.log in the state folder.")
    add_daemon_options(parser)
    parser.add_argument("--no-wait", action="store_true", help="do not wait for its sessions")


def run(args: Namespace) -> int:
    """Start it, wait, show what it started."""
    if args.socket and Path(args.socket).name != "deepd.sock":
        refuse("start", "the daemon's socket is called deepd.sock; its folder is yours to choose")
    client = connect(args)
    _refuse_second(client)
    daemon = Background(_command(args))
    try:
        return _wait(client, daemon, args)
    except EndedError as error:
        # Its own words, which it has made safe to show.
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say(f"the daemon (pid {daemon.pid}) goes on; see {daemon.log}")
        raise


def _wait(client: Client, daemon: Background, args: Namespace) -> int:
    _wait_until_serving(client, daemon)
    print(f"deepd runs: pid {daemon.pid}, socket {client.socket_path}", flush=True)
    _show_profiles(client)
    sessions = client.sessions() if args.no_wait else _wait_for_sessions(client, daemon)
    if sessions:
        rows = [(item["name"], item["profile"], state(item)) for item in sessions]
        print_table(("NAME", "PROFILE", "STATE"), rows)
    return 0 if args.no_wait else _verdict(client, sessions)


def _command(args: Namespace) -> list[str]:
    words = ["run", "--log-level", args.log_level, "--log-format", args.log_format]
    for path in args.config:
        words += ["-c", str(Path(path).absolute())]
    return [*(("--socket", args.socket) if args.socket else ()), *words]


def _refuse_second(client: Client) -> None:
    try:
        pid = client.info().get("pid")
    except DaemonDownError:
        return
    raise ConflictError(
        f"deepd runs already: pid {pid}, socket {client.socket_path}",
        next_step="`deepd reload` reads changed profiles, `deepd stop` ends it",
    )


def _wait_until_serving(client: Client, daemon: Background) -> None:
    """Return once it answers; raise what it said when it ends first."""
    deadline = time.monotonic() + _SERVING_WITHIN
    while True:
        daemon.raise_if_ended()
        try:
            if int(client.info()["pid"]) == daemon.pid:
                return
        except DaemonDownError:
            pass
        if time.monotonic() > deadline:
            raise CallTimeoutError(
                f"the daemon (pid {daemon.pid}) does not answer after {_SERVING_WITHIN:g} s",
                next_step=f"see {daemon.log}",
            )
        time.sleep(_PAUSE)


def _show_profiles(client: Client) -> None:
    for profile in client.profiles():
        print(visible(f"profile {profile['name']}  {profile['file']}", one_line=True))


def _wait_for_sessions(client: Client, daemon: Background) -> list[dict[str, Any]]:
    """Return the sessions once none of them is on its way, or the engine does not answer."""
    from deepd.cli.progress import progress  # noqa: PLC0415 - only who waits needs it

    with progress() as show:
        while True:
            daemon.raise_if_ended()
            sessions = client.sessions()
            show([(item["name"], state(item)) for item in sessions])
            on_the_way = [item for item in sessions if item["state"] not in _SETTLED]
            if not on_the_way or _is_engine_down(client):
                return sessions
            time.sleep(_PAUSE)


def _is_engine_down(client: Client) -> bool:
    return bool(client.health()["engine"].get("state") == "down")


def _verdict(client: Client, sessions: list[dict[str, Any]]) -> int:
    if any(item["state"] not in _SETTLED for item in sessions):
        engine = client.health()["engine"]
        why = engine.get("detail") or "nobody answers"
        say(f"error: the engine at {visible(str(engine.get('endpoint')))} is down: {visible(why)}")
        say("next: start it; the daemon goes on by itself when it answers")
        return _ENGINE_DOWN
    if any(item["state"] == "failed" for item in sessions):
        say("next: mend the profile; the daemon goes on, and tries again when the file changes")
        return FAILED
    return 0
