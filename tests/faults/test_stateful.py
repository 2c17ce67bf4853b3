"""Whatever clients do in whatever order, and whatever dies under it, the history holds."""

from __future__ import annotations

import os
import random
import secrets
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from deepd.errors import AlreadyDecidedError, ConflictError, DeepdError, FingerprintError
from tests.faults.deeds import ASKED, HELLO, Persistent
from tests.faults.history import History, Told, problems_of
from tests.faults.nursery import Nursery
from tests.faults.place import DOCKER_HEAD, HEAD, Place, new_place
from tests.figures import Figure

COMMANDS = ("", "; sleep 0.05", "; exit 3", "; seq 1 40000")


class Clients(RuleBasedStateMachine):
    """Clients of one daemon that dies, loses its sandboxes and reads its profiles again."""

    calls = Bundle("calls")
    nursery: ClassVar[Nursery]
    head: ClassVar[str] = HEAD
    done: ClassVar[dict[str, int]]

    @initialize()
    def begin(self) -> None:
        self.closing = ExitStack()
        self.place: Place = self.closing.enter_context(new_place(self.nursery, head=self.head))
        self.place.profile("hello", HELLO)
        self.place.profile("asked", ASKED)
        self.told = Told()
        self.who = Persistent(self.place.client, self.place.start, self.told)
        self.may_lose = False
        self.number = 0
        self.place.start()

    @rule(
        target=calls,
        session=st.sampled_from(["main", "asked"]),
        rest=st.sampled_from(COMMANDS),
    )
    def execute(self, session: str, rest: str) -> str:
        mark = self.mark()
        return self.who.execute(mark, session, f"echo {mark} >> marks{rest}")

    @rule(target=calls)
    def write(self) -> str:
        mark = self.mark()
        args = {"path": "marks", "content": f"{mark}\n", "append": True}
        return self.who.submit(mark, "main", "write_file", args)

    @rule(target=calls, call=calls)
    def ask_again(self, call: str) -> Any:
        """A client that lost the answer asks with the same key, and gets the same call."""
        (key,) = (key for key, known in self.told.taken.items() if known == call)
        stored = self.who.insist(lambda: self.place.client.call(call))
        with suppress(ConflictError):  # it was edited when it was approved
            assert self.who.submit(key, stored["session"], stored["tool"], stored["args"]) == call
        self.told.taken[key] = call
        return multiple()

    @rule(call=calls, approve=st.booleans(), edit=st.booleans())
    def decide(self, call: str, approve: bool, edit: bool) -> None:  # noqa: FBT001 - drawn
        args = None
        if approve and edit and self.state(call)["tool"] == "execute":
            args = {"command": f"echo {self.mark()} >> marks"}
        if self.state(call)["state"] == "held":
            self.who.decide(call, approve=approve, args=args)

    @rule(call=calls)
    def decide_on_what_was_not_shown(self, call: str) -> None:
        with pytest.raises(DeepdError) as refused:
            self.who.insist(
                lambda: self.place.client.decide(call, approve=True, fingerprint="0" * 64)
            )
        assert isinstance(refused.value, FingerprintError | AlreadyDecidedError) or (
            refused.value.code == "not-found"
        )

    @rule(call=calls)
    def cancel(self, call: str) -> None:
        self.who.cancel(call)

    @rule()
    def kill_the_daemon(self) -> None:
        self.place.kill()
        self.done["kills"] += 1

    @rule(value=st.integers(0, 3))
    def reload(self, value: int) -> None:
        self.place.profile("asked", f'{ASKED}[env]\nNUMBER = "{value}"\n')
        self.who.insist(self.place.client.reload)

    @rule()
    def lose_a_sandbox(self) -> None:
        pids = self.sandboxes()
        if pids:
            os.kill(random.choice(pids), signal.SIGKILL)
            self.may_lose = True
            self.done["sandboxes lost"] += 1

    @invariant()
    def every_call_is_told_of(self) -> None:
        self.done["steps"] += 1

    def teardown(self) -> None:
        if not hasattr(self, "closing"):
            return
        with self.closing:
            for shown in self.who.insist(self.place.client.approvals):
                self.who.decide(shown["id"], approve=False)
            for call in self.told.taken.values():
                self.who.end(call)
            self.place.end()
            history = History.read(self.place.state)
            marks = self.place.marks("main") + self.place.marks("asked")
            assert problems_of(history, marks, self.told) == []
            states = {str(call.state) for call in history.calls}
            assert self.may_lose or "lost" not in states
            self.done["calls"] += len(history.calls)
            self.done["examples"] += 1

    def mark(self) -> str:
        self.number += 1
        return f"mark-{self.number}.{secrets.token_hex(3)}"

    def state(self, call: str) -> dict[str, Any]:
        return self.who.insist(lambda: self.place.client.call(call))

    def sandboxes(self) -> list[int]:
        """Return the guests' process ids, where sandboxes are plain processes."""
        found = []
        for box in self.place.boxes():
            with suppress(ProcessLookupError):
                found.append(box.pid())
        return [pid for pid in found if Path(f"/proc/{pid}").exists()]


def explore(nursery: Nursery, head: str, examples: int, steps: int) -> str:
    """Run so many examples, and return what was done in them."""
    done = dict.fromkeys(("examples", "steps", "calls", "kills", "sandboxes lost"), 0)
    machine = type("Machine", (Clients,), {"nursery": nursery, "head": head, "done": done})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return ", ".join(f"{count} {what}" for what, count in done.items())


def test_no_order_of_requests_and_deaths_breaks_the_history(
    nursery: Nursery, figure: Figure
) -> None:
    figure(explore(nursery, HEAD, examples=10, steps=14))


@pytest.mark.docker
def test_no_order_of_requests_and_deaths_breaks_the_history_over_containers(
    nursery: Nursery, figure: Figure
) -> None:
    figure(explore(nursery, DOCKER_HEAD, examples=2, steps=12))


@pytest.mark.slow
def test_no_order_of_many_requests_and_deaths_breaks_the_history(
    nursery: Nursery, figure: Figure
) -> None:
    figure(explore(nursery, HEAD, examples=500, steps=40))
