"""`deepd demo`: a daemon, a sandbox, an agent with a scripted model, and a decision of yours."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from deepd.cli.failure import FAILED, say
from deepd.cli.parser import add_verb, refuse
from deepd.client.sync import Client
from deepd.errors import DaemonDownError, DeepdError

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

IMAGE = "python:3.12-slim"
SESSION = "demo"
PROFILE = """\
image = "{image}"
sessions = ["demo"]
interrupt_on = ["execute"]
[local]
fallback = true
"""
"""Without a container engine it runs on this machine's own programs, isolated as far as it can."""
PROGRAM = """\
a, b = 0, 1
for _ in range(10):
    print(a, end=" ")
    a, b = b, a + b
print()
"""
COMMAND = "python3 fibonacci.py"
_START = 60.0
_READY = 600.0
"""Seconds for the image too, where it has to be pulled."""
_PAUSE = 0.1
_ENDED = frozenset({"finished", "denied", "expired", "cancelled", "failed", "lost", "timed_out"})


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "demo",
        description="Everything is in a temporary folder, and is gone afterwards.",
    )
    parser.add_argument("--yes", action="store_true", help="approve by itself: needs no terminal")
    parser.add_argument("--image", default=IMAGE, help=f"an image with python3 ({IMAGE})")


def run(args: Namespace) -> int:
    """Play it once; say what happened."""
    if not args.yes and not sys.stdout.isatty():
        refuse("demo", "there is no terminal here; `deepd demo --yes` does without")
    with tempfile.TemporaryDirectory(prefix="deepd-demo-") as folder, _daemon(folder, args.image):
        socket = Path(folder) / "run" / "deepd.sock"
        with Client(socket, name="you, in the demo") as person:
            return _play(person, Agent(socket.with_name("agent.sock")), is_asked=not args.yes)


class Agent:
    """Does what a model would say in this example: write a program, then run it."""

    def __init__(self, socket: Path) -> None:
        self._client = Client(socket, name="demo agent")
        self.result: dict[str, Any] = {}
        self._thread = Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> None:
        """Return once it has its answer."""
        self._thread.join(_START)

    def _work(self) -> None:
        try:
            self._client.write(SESSION, "fibonacci.py", PROGRAM)
            reply = self._client.exec(SESSION, COMMAND)
            self.result = {"exit": reply.exit_code, "output": reply.output.decode()}
        except DeepdError as error:
            self.result = {"refused": str(error)}


def _play(person: Client, agent: Agent, *, is_asked: bool) -> int:
    say("the agent writes fibonacci.py and wants to run it …")
    agent.start()
    held = _wait_for_held(person)
    if held is None:
        say(f"error: {agent.result.get('refused', 'the agent asked for nothing')}")
        return FAILED
    if is_asked:
        _ask_in_dashboard(person.socket_path, held["id"])
    else:
        say(f"held: {COMMAND}   ({held['rule']})")
        person.decide(held["id"], approve=True, fingerprint=held["fingerprint"])
        say("approved, because of --yes")
    if person.call(held["id"])["state"] == "held":
        say("you left it undecided: nothing ran")
        person.cancel(held["id"], "the demo ended")
        return 0
    agent.wait()
    return _tell(agent.result)


def _wait_for_held(person: Client) -> dict[str, Any] | None:
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        if found := person.approvals():
            return found[0]
        time.sleep(_PAUSE)
    return None


def _ask_in_dashboard(socket: str, call_id: str) -> None:
    from deepd.tui.start import run_dashboard  # noqa: PLC0415 - `--yes` needs none

    def is_over(world: Any) -> bool:
        return any(call["id"] == call_id and call["state"] in _ENDED for call in world.calls)

    run_dashboard(socket, name="you, in the demo", page="approvals", is_over=is_over)


def _tell(result: dict[str, Any]) -> int:
    if "output" in result:
        print(result["output"], end="", flush=True)
        say("it ran once, as you approved it; a daemon of your own: deepd init, deepd start")
        return 0 if result["exit"] == 0 else FAILED
    say(f"the agent was told: {result.get('refused', 'nothing yet')}")
    return 0


@contextmanager
def _daemon(folder: str, image: str) -> Iterator[None]:
    """Run a daemon whose every file is in the folder, until the block ends."""
    home = Path(folder)
    (home / "demo.toml").write_text(PROFILE.format(image=image))
    env = os.environ | {
        "DEEPD_RUNTIME_DIR": f"{folder}/run",
        "DEEPD_STATE_DIR": f"{folder}/state",
        "XDG_DATA_HOME": f"{folder}/data",
        "XDG_CONFIG_HOME": f"{folder}/config",
    }
    log = home / "daemon.log"
    with log.open("wb") as file:
        words = [sys.executable, "-m", "deepd", "run", "-c", f"{folder}/demo.toml"]
        process = subprocess.Popen(
            words, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    try:
        say("starting a daemon of the demo's own, and a sandbox …")
        with Client(home / "run" / "deepd.sock", name="demo") as client:
            session = _wait_until_ready(client, process, log)
            say(f"the sandbox is ready on the engine {_where(client, session)}")
        yield
    finally:
        process.terminate()
        process.wait(_START)


def _where(client: Client, session: dict[str, Any]) -> str:
    """Return what the sandbox is made by, and how far it is isolated."""
    engine = client.info()["engine"]
    isolation = session["isolation"] or engine["isolation"].split(";")[0]
    image = "this machine's own programs, no image" if session["engine"] == "local" else "its image"
    return f"{session['engine'] or engine['name']}: {isolation}; {image}"


def _wait_until_ready(
    client: Client, process: subprocess.Popen[bytes], log: Path
) -> dict[str, Any]:
    """Return the session once its sandbox is there."""
    deadline = time.monotonic() + _READY
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DeepdError(f"the daemon ended at once\n{log.read_text()[-2000:]}")
        try:
            session = client.session(SESSION)
        except DeepdError as error:
            if not isinstance(error, DaemonDownError) and error.code != "not-found":
                raise
        else:
            if session["state"] == "ready":
                return session
            if session["state"] in {"failed", "waiting"}:
                raise DeepdError(f"no sandbox: {session['cause']}", next_step="deepd doctor")
        time.sleep(_PAUSE)
    raise DeepdError(f"no sandbox after {_READY:g} s", next_step="deepd doctor")
