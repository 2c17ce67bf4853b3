"""Requests made from our own OpenAPI document, fitting and not, to a real daemon on its sockets.

No answer is a mistake of the daemon, and each is one that the document has: status, kind, headers
and schema. Sandboxes are containers, as what is asked for is arbitrary: commands, removals, writes.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok, Result
from schemathesis.specs.openapi import checks

from deepd.client.sync import Client
from tests.eventually import eventually_sync
from tests.faults.nursery import Nursery
from tests.faults.place import DOCKER_HEAD, Place, new_place
from tests.faults.unix_http import BASE, unix_session
from tests.figures import Figure

pytestmark = pytest.mark.docker

PROFILE = """\
sessions = ["main"]
[limits]
timeout = "20s"
pids = 32
[interrupt_on]
execute = "allow"
"held*" = { default = "ask", timeout = "10m" }
[approvals]
default = "deny"
"""
SESSION = re.compile("[a-z0-9][a-z0-9_.-]{0,62}")
SPARE = ("start", "stop", "pause", "resume")
"""What is done to a session of its own, so that the others stay usable."""
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.allow_header_conformance,
    checks.negative_data_rejection,
]
CONFIG = {"checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}}
MADE = "X-Deepd-Session-Made"
TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
FOLLOWING = ("1", "true")
REFUSALS = {400, 403, 404, 413}
"""What an agent is answered where only operators may ask."""


@pytest.fixture(scope="module")
def place(nursery: Nursery) -> Iterator[Place]:
    """A daemon with a container and something to ask about."""
    with new_place(nursery, head=DOCKER_HEAD) as made:
        made.profile("tried", PROFILE)
        made.start()
        eventually_sync(lambda: made.client.session("main")["state"] == "ready", within=120)
        yield made


class Subjects:
    """Ids that stand for something, put into some of the requests in place of arbitrary ones."""

    def __init__(self, client: Client) -> None:
        self._client = client
        client.write("main", "file", b"text\n")
        self.made = str(client.session("main")["created_at"])
        self._ended = client.exec("main", "seq 3").call["id"]
        self._running = self._held = ""
        self._made = 0

    def call(self, dice: Any) -> str:
        """Return a call that ended, runs or is held."""
        if not self._is_in(self._running, "running"):
            self._running = self._submit("execute", {"command": "cat"})
        return str(dice.draw(st.sampled_from((self._ended, self._running, self.approval()))))

    def approval(self) -> str:
        """Return an approval that waits."""
        if not self._is_in(self._held, "held"):
            self._made += 1  # what was approved once may be remembered
            self._held = self._submit("held", {"what": self._made})
        return self._held

    def fingerprint(self) -> str:
        """Return what is shown of it."""
        return str(self._client.approval(self.approval())["fingerprint"])

    def _submit(self, tool: str, args: dict[str, Any]) -> str:
        return str(self._client.submit("main", tool, args, background=True)["id"])

    def _is_in(self, call: str, state: str) -> bool:
        return bool(call) and self._client.call(call)["state"] == state


def put_in(case: Case[Any], subjects: Subjects, dice: Any) -> None:
    """Give a request something to be about, mostly; a good name would make another container."""
    # What follows has no end, and who waits waits: tests of their own read those.
    if case.query.get("follow") in FOLLOWING:
        case.query["follow"] = "0"
    if isinstance(case.query.get("wait"), int | float):
        case.query["wait"] = 0.1
    if case.path == "/v1/sessions" and isinstance(case.body, dict):
        case.body |= {"name": "spare"} if _is_name(case.body.get("name")) else {}
    named = case.path_parameters
    if _is_name(named.get("session")):
        named["session"] = "spare" if _ends(case) else "main"
    if dice.draw(st.integers(0, 3)) == 0:
        return
    if _is_time(case.headers.get(MADE)) and not _ends(case):
        case.headers[MADE] = subjects.made
    named |= {"profile": "tried"} if "profile" in named else {}
    named |= {"call": subjects.call(dice)} if "call" in named else {}
    if "approval" in named:
        named["approval"] = subjects.approval()
        if "If-Match" in case.headers:
            case.headers["If-Match"] = subjects.fingerprint()


def _is_name(value: object) -> bool:
    return isinstance(value, str) and SESSION.fullmatch(value) is not None


def _is_time(value: object) -> bool:
    return isinstance(value, str) and TIME.fullmatch(value) is not None


def _ends(case: Case[Any]) -> bool:
    """Tell whether a request takes a session's sandbox away from others."""
    verb = case.path.rsplit("/", 1)[-1]
    return verb in SPARE or (case.method == "DELETE" and verb == "{session}")


def _operation(found: Result[Any, Any]) -> Any:
    assert isinstance(found, Ok), found
    return found.ok()


class Trial:
    """All operations of the document by one role."""

    def __init__(self, place: Place, role: str, examples: int, chosen_seed: int | None) -> None:
        self.problems: list[str] = []
        self.statuses: Counter[int] = Counter()
        self._role = role
        self._examples = examples
        self._seed = chosen_seed
        self._subjects = Subjects(place.client)
        socket = place.home / "run" / ("agent.sock" if role == "agent" else "deepd.sock")
        self._session = unix_session(str(socket), timeout=30)

    def run(self, modes: Sequence[GenerationMode]) -> str:
        """Try each operation, and return the figures."""
        began = time.monotonic()
        with self._session:
            document = self._session.get(f"{BASE}/v1/openapi.json").json()
            schema = openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))
            found = list(map(_operation, schema.get_all_operations()))
            for operation in found:
                if operation.path == "/v1/stop" and self._role == "operator":
                    continue  # that is tried where daemons end
                for mode in modes:
                    with suppress(Unsatisfiable):  # where nothing is taken, nothing is unfitting
                        self._attempt(operation, mode)
        return (
            f"{self.statuses.total()} requests of {len(found)} operations by {self._role}: statuses"
            f" {dict(sorted(self.statuses.items()))}; {time.monotonic() - began:.0f} s"
        )

    def _attempt(self, operation: Any, mode: GenerationMode) -> None:
        @settings(
            max_examples=self._examples,
            deadline=None,
            derandomize=self._seed is None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), dice=st.data())
        def one(case: Case[Any], dice: Any) -> None:
            put_in(case, self._subjects, dice)
            self._ask(case, operation.definition.raw["x-operator-only"])

        (one if self._seed is None else seed(self._seed)(one))()

    def _ask(self, case: Case[Any], is_for_operators: bool) -> None:  # noqa: FBT001 - a fact of the case
        answer = case.call(base_url=BASE, session=self._session)
        self.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failures:
            self.problems += [f"{case.operation.label}: {failures}"[:4000]]
        if self._role == "agent" and is_for_operators and answer.status_code not in REFUSALS:
            self.problems += [f"{case.operation.label}: an agent got {answer.status_code}"]


BOTH = tuple(GenerationMode)


@pytest.mark.parametrize(("role", "modes"), [("operator", BOTH), ("agent", BOTH[:1])])
def test_every_answer_is_one_that_the_document_has(
    place: Place, role: str, modes: tuple[GenerationMode, ...], figure: Figure
) -> None:
    trial = Trial(place, role, examples=3, chosen_seed=None)
    figure(trial.run(modes))
    assert not trial.problems, "\n\n".join(trial.problems[:20])


@pytest.mark.slow
@pytest.mark.parametrize("role", ["operator", "agent"])
def test_every_answer_of_very_many_is_one_that_the_document_has(
    place: Place, role: str, figure: Figure
) -> None:
    chosen = int(os.environ.get("DEEPD_TEST_SEED", time.time_ns() % 1_000_000))
    trial = Trial(place, role, examples=100, chosen_seed=chosen)
    figure(f"{trial.run(BOTH)}; DEEPD_TEST_SEED={chosen}")
    assert not trial.problems, "\n\n".join(trial.problems[:20])
