"""Whatever dies, the promise holds on every engine: what is tried at length on one, in short."""

from __future__ import annotations

import time

import pytest

from tests.eventually import eventually_sync
from tests.faults.crashes import die_in
from tests.faults.deeds import HELLO, Persistent, open_and_purge
from tests.faults.history import Told
from tests.faults.killing import kill_loop
from tests.faults.place import Place
from tests.figures import Figure


def test_a_daemon_killed_ten_times_runs_each_call_as_decided_and_once(
    place: Place, figure: Figure
) -> None:
    figure(kill_loop(place, kills=10, seed=3, pause=0.5))


def test_a_crash_after_any_step_of_the_engine_makes_and_leaves_one_sandbox(
    place: Place, figure: Figure
) -> None:
    points = [f"engine.{step}/after" for step in ("create", "start", "open", "remove")]
    turn, told = die_in(place, [open_and_purge], points=points)
    assert turn.died == dict.fromkeys(points, 1)
    figure(f"{turn.died.total()} crashes; {told}")


def test_a_call_that_runs_outlives_daemons_in_its_sandbox_with_all_of_its_output(
    place: Place,
) -> None:
    place.profile("hello", HELLO)
    place.start()
    before = place.ready()
    who = Persistent(place.client, place.start, Told())
    command = "echo once >> marks; for n in 1 2 3 4 5 6 7 8; do seq 1 5000; sleep 0.1; done; exit 7"
    call = who.execute("long", "main", command)
    who.until(call, "running")
    for after in (0.1, 0.3):
        time.sleep(after)
        place.kill()
        place.start()
    found = who.end(call)
    printed = b"".join(line.get("data", b"") for line in place.client.output(call))
    assert (found["state"], found["exit_code"]) == ("finished", 7)
    assert printed == 8 * b"".join(b"%d\n" % number for number in range(1, 5001))
    assert place.marks()["once"] == 1
    assert place.ready() == before


@pytest.mark.parametrize(
    ("remove", "causes"),
    [
        (False, ("exited with 137",)),
        # Podman asks the guest to end before it removes anything, and the guest says so; a local
        # one is killed before its folder is removed, and may be seen in between.
        (
            True,
            (
                "removed by somebody else",
                "the guest was told to end",
                "exited with 0",
                "exited with 137",
            ),
        ),
    ],
    ids=["killed", "removed"],
)
def test_a_sandbox_that_others_end_loses_its_call_and_is_made_anew(
    place: Place,
    remove: bool,  # noqa: FBT001 - a parameter of the test
    causes: tuple[str, ...],
) -> None:
    place.profile("hello", HELLO)
    place.start()
    before = place.ready()
    who = Persistent(place.client, place.start, Told())
    call = who.execute("lost", "main", "echo once >> marks; sleep 30; echo twice >> marks")
    who.until(call, "running")
    eventually_sync(lambda: place.marks()["once"])

    place.end_behind_its_back(before, remove=remove)

    found = who.end(call)
    assert found["state"] == "lost"
    assert any(cause in found["reason"] for cause in causes), found
    stopped = [one for one in place.client.events() if one["kind"] == "sandbox_stopped"]
    assert any(cause in one["data"]["cause"] for one in stopped for cause in causes), stopped
    again = who.end(who.execute("again", "main", "echo again >> marks"))
    assert again["state"] == "finished"
    assert place.marks() == {"once": 1, "again": 1}
    assert place.ready() != before
