"""A state folder whose disk is full: nothing new is approved or run, and later it goes on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deepd.errors import LimitError
from tests.eventually import eventually_sync
from tests.faults.deeds import ASKED, HELLO, Persistent
from tests.faults.history import History, Told, problems_of
from tests.faults.nursery import Nursery
from tests.faults.place import Place, new_place
from tests.figures import Figure

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")


@contextmanager
def small_disk(place: Place) -> Iterator[Path]:
    """Put the state folder on a disk of its own."""
    place.state.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(place.state)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.decode()}")
    try:
        yield place.state
    finally:
        place.kill()
        subprocess.run(["umount", "-l", place.state], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


def test_a_full_disk_stops_approvals_and_calls_and_a_freed_one_lets_them_go_on(
    nursery: Nursery, figure: Figure
) -> None:
    with new_place(nursery) as place, small_disk(place) as disk:
        place.profile("hello", HELLO)
        place.profile("asked", ASKED)
        place.start()
        told = Told()
        who = Persistent(place.client, place.start, told)
        client = place.client
        held = who.execute("mark-held", "asked", "echo mark-held >> marks")
        running = who.execute("mark-running", "main", "echo mark-running >> marks; sleep 0.3")
        who.until(running, "running")
        loud = "echo mark-loud >> marks; seq 1 200000"
        printing = who.execute("mark-loud", "main", f"until [ -e go ]; do sleep 0.02; done; {loud}")
        shown = client.approval(held)
        filler = fill(disk)

        refused = 0
        for number in range(200):
            try:
                client.submit("main", "execute", {"command": f"echo mark-no{number} >> marks"})
            except LimitError:
                refused += 1
        assert refused
        with pytest.raises(LimitError) as no:
            client.decide(held, approve=True, fingerprint=shown["fingerprint"])
        assert "free some space" in no.value.next_step
        assert client.approval(held)["state"] == "pending"
        assert client.health()["status"] == "ok"
        (place.workspaces / "main" / "workspace" / "go").touch()
        time.sleep(0.3)  # what prints waits for room, and nothing of it is lost

        filler.unlink()
        assert who.end(running)["state"] == "finished"
        ended = who.end(printing)
        assert (ended["state"], ended["exit_code"]) == ("finished", 0)
        assert who.decide(held, approve=True) == "approved"
        assert who.end(held)["state"] == "finished"
        eventually_sync(lambda: not client.calls(open_only=True))
        place.end()
        history = History.read(place.state)
        marks = place.marks("main") + place.marks("asked")
        assert problems_of(history, marks, told) == []
        figure(
            f"{refused} calls and one decision refused on a full disk; {len(history.calls)} kept"
        )


def test_a_daemon_that_is_killed_on_a_full_disk_says_what_it_needs_and_goes_on_once_it_has_it(
    nursery: Nursery,
) -> None:
    with new_place(nursery) as place, small_disk(place) as disk:
        place.profile("hello", HELLO)
        place.start()
        told = Told()
        who = Persistent(place.client, place.start, told)
        call = who.execute("mark-a", "main", "echo mark-a >> marks; sleep 0.2; exit 4")
        who.until(call, "running")
        filler = fill(disk)
        place.kill()
        assert place.start().is_over(10), "it started on a full disk: then it must also serve"
        assert "no space to write" in place.log()
        filler.unlink()
        place.start()
        assert who.end(call)["exit_code"] == 4
        place.end()
        assert problems_of(History.read(place.state), place.marks(), told) == []
