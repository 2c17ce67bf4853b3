"""`deepd dashboard --web`: the dashboard in a browser on this machine, and for nobody else."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pyte
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.daemon.cli_user import User, fake_daemon, new_user

WIDTH, HEIGHT = 90, 24
WITHIN = 30


@dataclass
class Served:
    """A dashboard that is served, and the address that its reader was told."""

    user: User
    process: subprocess.Popen[bytes]
    port: int
    address: str

    @property
    def site(self) -> str:
        """Its origin, as a browser says it."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> tuple[int, Message, str]:
        """Ask for a page; return its status, its headers and its text."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=WITHIN)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def cookie(self) -> str:
        """Open the address as a browser does; return the cookie that it sets."""
        status, headers, _ = self.get(self.address.removeprefix(self.site))
        assert (status, headers["Location"]) == (302, "/")
        return str(headers["Set-Cookie"]).partition(";")[0]

    def dashboard(self, cookie: str, origin: str | None = None) -> ClientConnection:
        """Connect as the page does."""
        return connect(
            f"ws://127.0.0.1:{self.port}/ws?width={WIDTH}&height={HEIGHT}",
            origin=Origin(origin or self.site),
            additional_headers={"Cookie": cookie},
            open_timeout=WITHIN,
        )


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """Somebody with a daemon that holds commands."""
    with new_user() as built, fake_daemon(built, main='interrupt_on = ["execute"]\n'):
        yield built


@pytest.fixture
def served(user: User) -> Iterator[Served]:
    """Serve the dashboard."""
    process = user.spawn("dashboard", "--web", "--port", "0")
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said = process.stdout.readline().decode().strip()
        assert said.startswith("open "), (said, process.stderr.read())
        address = said.removeprefix("open ")
        yield Served(user, process, urlsplit(address).port or 0, address)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


class Browser:
    """The terminal in the page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)

    def press(self, keys: str) -> None:
        """Press keys."""
        self._connection.send(json.dumps(["stdin", keys]))

    def sees(self, text: str) -> None:
        """Take what comes until a text is on the screen."""
        while text not in (screen := "\n".join(self._screen.display)):
            try:
                data = self._connection.recv(WITHIN)
            except TimeoutError:
                raise AssertionError(f"no {text!r} in\n{screen}") from None
            if isinstance(data, bytes):
                self._stream.feed(data)


def test_the_page_shows_the_dashboard_and_takes_keys(served: Served) -> None:
    served.user.run("exec", "main", "-d", "--", "echo", "held-for-you")
    cookie = served.cookie()
    status, _, text = served.get("/", Cookie=cookie)
    assert status == 200
    assert f"ws://127.0.0.1:{served.port}/ws" in text
    with served.dashboard(cookie) as connection:
        browser = Browser(connection)
        browser.sees("1 pending")
        browser.press("2")
        browser.sees("echo held-for-you")
    assert served.user.held()


def test_ctrl_c_ends_the_server_and_the_daemon_goes_on(served: Served) -> None:
    with served.dashboard(served.cookie()) as connection:
        Browser(connection).sees("main")
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(WITHIN) == 0
    assert "main" in served.user.text("ps")


def test_it_listens_on_loopback_only(served: Served) -> None:
    port = f"{served.port:04X}"
    listening = [
        fields[1].split(":")[0]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[1].endswith(f":{port}") and fields[3] == "0A"
    ]
    assert listening == ["0100007F"]


def test_who_has_no_key_sees_nothing(served: Served) -> None:
    assert urlsplit(served.address).query.startswith("key=")
    for path, cookie in (("/", ""), ("/?key=guess", ""), ("/", f"deepd-key-{served.port}=guess")):
        assert served.get(path, Cookie=cookie)[0] == 403
    with pytest.raises(InvalidStatus, match="403"), served.dashboard("none=1"):
        pass


def test_a_page_of_another_site_cannot_connect(served: Served) -> None:
    cookie = served.cookie()
    for origin in ("http://evil.example", f"http://localhost:{served.port}", "null"):
        with pytest.raises(InvalidStatus, match="403"), served.dashboard(cookie, origin):
            pass
    assert served.get("/", Cookie=cookie, Host=f"evil.example:{served.port}")[0] == 403


def test_a_port_that_is_taken_is_said_so(served: Served) -> None:
    refused = served.user.run("dashboard", "--web", "--port", str(served.port))
    assert refused.returncode == 64
    assert f"port {served.port} cannot be had" in refused.stderr.decode()
    assert "--port" in refused.stderr.decode()
