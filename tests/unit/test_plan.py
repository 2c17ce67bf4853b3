"""The decision table, one obligation a test: what is there, what is wanted, and the next step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deepd.errors import ImageNotFoundError, ProtocolError, SandboxError
from deepd.model.ids import ContainerId, ProfileName
from deepd.model.profile import Limits, Profile, Volume
from deepd.model.sandbox import Sandbox, SandboxState
from deepd.reconcile.describe import describe
from deepd.reconcile.facts import QUIET, Failure, SessionFacts, SetupError, WarmFacts
from deepd.reconcile.plan import plan
from tests.unit.worlds import NOW, edited, facts, planned, profile, sandbox, settled, world

HOUR = 3600.0
READY = WarmFacts(attached=True, setup="done")


def _one(kind: str) -> dict[str, Any]:
    return {kind: 1}


def stopped(of: Profile | None = None, code: int = 0, **fields: Any) -> Sandbox:
    return sandbox(of=of, state=SandboxState.STOPPED, exit_code=code, **fields)


def failure(error: Exception | None = None, *, until: float | None = NOW + 5) -> Failure:
    known = error if isinstance(error, SandboxError | ImageNotFoundError) else SandboxError("no")
    return Failure(known, 1, until, profile().revision())


class TestBringingUp:
    def test_a_session_without_a_sandbox_gets_one(self) -> None:
        assert planned(world(facts())) == "+ main create no sandbox"

    def test_a_missing_image_is_fetched_before_the_sandbox_is_made(self) -> None:
        assert planned(world(facts(), images=frozenset())) == (
            "+ python:3.12-slim pull main needs it"
        )

    def test_an_image_that_many_need_is_fetched_once(self) -> None:
        many = world(facts("a"), facts("b"), facts("c"), images=frozenset())
        assert planned(many) == "+ python:3.12-slim pull a needs it"

    def test_a_created_sandbox_is_started(self) -> None:
        made = sandbox(state=SandboxState.CREATED)
        assert planned(world(facts()), made) == "+ main start created, not started"

    def test_a_running_sandbox_is_attached(self) -> None:
        assert planned(world(facts()), sandbox()) == "+ main attach running, not attached"

    def test_setup_runs_once_in_a_new_container(self) -> None:
        of = profile(setup=("make",))
        new = settled(of=of, setup="")
        assert planned(world(new, profiles=(of,)), sandbox(of=of)) == "+ main set up new container"
        done = settled(of=of)
        assert planned(world(done, profiles=(of,)), sandbox(of=of)) == "no changes"

    def test_a_sandbox_that_lacks_nothing_is_left_alone(self) -> None:
        assert planned(world(settled()), sandbox()) == "no changes"

    def test_each_session_gets_its_own_step_in_one_look(self) -> None:
        assert planned(world(facts("a"), facts("b")), sandbox("b")) == (
            "+ a create no sandbox\n+ b attach running, not attached"
        )


class TestIdling:
    def test_an_idle_sandbox_is_stopped(self) -> None:
        idle = settled(last_active=NOW - HOUR)
        assert planned(world(idle), sandbox()) == "- main stop idle for 1h"

    def test_the_plan_says_when_a_session_becomes_idle(self) -> None:
        assert plan(world(settled()), [sandbox()], NOW).wake_at == NOW - 60 + HOUR

    @pytest.mark.parametrize("kind", ["running", "held", "waiting"])
    def test_a_busy_or_awaited_session_is_never_idle(self, kind: str) -> None:
        busy = settled(last_active=NOW - 2 * HOUR, **_one(kind))
        assert planned(world(busy), sandbox()) == "no changes"

    def test_without_an_idle_timeout_nothing_is_idle(self) -> None:
        of = profile(idle_timeout=None)
        old = settled(of=of, last_active=0.0)
        assert planned(world(old, profiles=(of,)), sandbox(of=of)) == "no changes"

    def test_an_adopted_sandbox_is_attached_before_it_is_judged_idle(self) -> None:
        unknown = facts(last_active=NOW - 2 * HOUR)
        assert planned(world(unknown), sandbox()) == "+ main attach running, not attached"

    def test_an_idle_sandbox_that_cannot_be_attached_is_stopped_all_the_same(self) -> None:
        unknown = facts(last_active=NOW - 2 * HOUR)
        failing = world(unknown, failures={"up session main": failure()})
        assert planned(failing, sandbox()) == "- main stop idle for 1h"

    def test_a_stopped_idle_sandbox_is_removed(self) -> None:
        assert planned(world(facts(last_active=NOW - HOUR)), stopped()) == "- main remove stopped"

    def test_a_stopped_idle_sandbox_stays_without_auto_remove(self) -> None:
        of = profile(auto_remove=False)
        idle = facts(last_active=NOW - HOUR)
        assert planned(world(idle, profiles=(of,)), stopped(of)) == "no changes"

    def test_an_idle_session_comes_back_when_somebody_waits_for_it(self) -> None:
        waited = facts(last_active=NOW - HOUR, waiting=1)
        assert planned(world(waited)) == "+ main create no sandbox"

    def test_an_idle_session_gets_no_sandbox(self) -> None:
        assert planned(world(facts(last_active=NOW - HOUR))) == "no changes"

    def test_an_edited_idle_timeout_counts_at_once(self) -> None:
        shorter = profile(idle_timeout=30.0)
        assert planned(world(settled(), profiles=(shorter,)), sandbox()) == (
            "- main stop idle for 30s"
        )


class TestEndingByItself:
    def test_a_sandbox_that_died_is_made_anew_with_its_exit_code_as_the_cause(self) -> None:
        assert planned(world(facts()), stopped(code=137)) == "-/+ main remove exited with 137"

    def test_without_auto_remove_it_is_started_again(self) -> None:
        of = profile(auto_remove=False)
        assert planned(world(facts(), profiles=(of,)), stopped(of, 1)) == (
            "+ main start exited with 1"
        )

    def test_a_claimed_sandbox_cannot_start_again_because_its_workspace_moved(self) -> None:
        of = profile(auto_remove=False)
        claimed = stopped(of, 1, warm_id="w1")
        assert planned(world(facts(), profiles=(of,)), claimed) == ("-/+ main remove exited with 1")

    def test_a_broken_sandbox_is_removed(self) -> None:
        broken = sandbox(state=SandboxState.BROKEN)
        assert planned(world(settled(), profiles=(profile(),)), broken) == "-/+ main remove broken"

    def test_a_sandbox_that_was_paused_behind_our_back_is_resumed(self) -> None:
        assert planned(world(settled()), sandbox(state=SandboxState.PAUSED)) == (
            "~ main resume asked to run"
        )


class TestProfileChanges:
    newer = profile(image="python:3.13-slim")
    images = frozenset({"python:3.12-slim", "python:3.13-slim"})

    def step(self, on_change: str, box: Sandbox | None = None, **fields: Any) -> str:
        newer = edited(self.newer, on_change=on_change)
        known = settled(**fields)
        return planned(world(known, profiles=(newer,), images=self.images), box or sandbox())

    def test_a_changed_image_replaces_the_sandbox_when_idle(self) -> None:
        assert self.step("idle") == "-/+ main remove profile changed"

    def test_idle_waits_a_moment_so_that_it_is_not_between_two_calls_of_a_row(self) -> None:
        newer = world(settled(last_active=NOW - 1), profiles=(self.newer,), images=self.images)
        assert planned(newer, sandbox()) == "no changes"
        assert plan(newer, [sandbox()], NOW).wake_at == NOW - 1 + QUIET

    def test_now_does_not_wait_for_that(self) -> None:
        assert self.step("now", last_active=NOW) == "-/+ main remove profile changed"

    def test_new_leaves_a_sandbox_that_runs(self) -> None:
        assert self.step("new") == "no changes"

    @pytest.mark.parametrize("on_change", ["idle", "now", "new"])
    @pytest.mark.parametrize("kind", ["running", "held"])
    def test_no_sandbox_is_replaced_under_a_caller(self, on_change: str, kind: str) -> None:
        assert self.step(on_change, **_one(kind)) == "no changes"

    def test_new_starts_a_kept_sandbox_again_as_it_was(self) -> None:
        newer = edited(self.newer, on_change="new", auto_remove=False)
        assert planned(world(facts(), profiles=(newer,), images=self.images), stopped()) == (
            "+ main start stopped"
        )

    def test_a_kept_sandbox_of_an_older_version_is_not_started_again(self) -> None:
        newer = edited(self.newer, auto_remove=False)
        assert planned(world(facts(), profiles=(newer,), images=self.images), stopped()) == (
            "-/+ main remove profile changed"
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"idle_timeout": 1800.0},
            {"env": (("A", "b"),)},
            {"secrets": ("TOKEN",)},
            {"auto_remove": False},
            {"limits": Limits(timeout=1.0, output=10)},
        ],
    )
    def test_what_is_live_does_not_replace_the_sandbox(self, change: dict[str, object]) -> None:
        changed = edited(profile(), **change)
        assert planned(world(settled(), profiles=(changed,)), sandbox()) == "no changes"

    def test_changed_limits_are_updated_in_place(self) -> None:
        bigger = profile(limits=Limits(memory=2 << 30))
        assert planned(world(settled(), profiles=(bigger,)), sandbox()) == (
            "~ main update limits limits changed"
        )

    def test_limits_that_are_not_known_are_set(self) -> None:
        assert planned(world(settled(limits=None)), sandbox()) == (
            "~ main update limits limits changed"
        )

    def test_busy_sessions_get_their_new_limits_too(self) -> None:
        bigger = profile(limits=Limits(pids=99))
        assert planned(world(settled(running=1), profiles=(bigger,)), sandbox()) == (
            "~ main update limits limits changed"
        )


class TestProfileGone:
    def test_its_sandbox_stops_when_nobody_uses_it(self) -> None:
        assert planned(world(settled(), profiles=()), sandbox()) == "- main stop no profile"

    def test_a_running_call_is_left_in_peace(self) -> None:
        assert planned(world(settled(running=1), profiles=()), sandbox()) == "no changes"

    def test_a_running_call_is_reached_after_a_restart(self) -> None:
        assert planned(world(facts(running=1), profiles=()), sandbox()) == (
            "+ main attach running, not attached"
        )

    def test_no_sandbox_is_made(self) -> None:
        assert planned(world(facts(waiting=1), profiles=())) == "no changes"

    def test_nothing_is_stopped_while_a_file_has_no_good_version(self) -> None:
        given = world(settled(), profiles=(), complete=False)
        assert planned(given, sandbox(), sandbox(None)) == "no changes"


class TestWishes:
    def test_a_stopped_session_stops_whatever_runs(self) -> None:
        assert planned(world(settled(wanted="stopped", running=1)), sandbox()) == (
            "- main stop asked to stop"
        )

    def test_a_stopped_session_stays_stopped_although_somebody_waits(self) -> None:
        assert planned(world(facts(wanted="stopped", waiting=1))) == "no changes"

    def test_a_paused_session_is_paused_and_stays_so(self) -> None:
        paused = settled(wanted="paused", last_active=0.0)
        assert planned(world(paused), sandbox()) == "~ main pause asked to pause"
        assert planned(world(paused), sandbox(state=SandboxState.PAUSED)) == "no changes"

    def test_a_resumed_session_is_thawed(self) -> None:
        assert planned(world(settled()), sandbox(state=SandboxState.PAUSED)) == (
            "~ main resume asked to run"
        )

    def test_a_paused_sandbox_that_is_to_stop_goes_without_running_again(self) -> None:
        frozen = sandbox(state=SandboxState.PAUSED)
        assert planned(world(settled(wanted="stopped")), frozen) == "- main remove asked to stop"

    def test_a_closed_session_loses_its_sandbox_then_itself(self) -> None:
        closed = settled(wanted="closed", running=1)
        assert planned(world(closed), sandbox()) == "- main remove closed"
        assert planned(world(closed)) == "- main close closed"


class TestOwnership:
    def test_a_container_that_no_session_wants_is_removed(self) -> None:
        assert planned(world(), sandbox("ghost")) == "- ghost remove not wanted"

    def test_of_two_the_one_that_is_attached_stays(self) -> None:
        other = replace(sandbox(), id=ContainerId("c-other"), generation=9)
        assert planned(world(settled()), other, sandbox()) == "- main remove duplicate"
        (action,) = plan(world(settled()), [other, sandbox()], NOW).actions
        assert getattr(action, "sandbox", None) == other

    def test_a_container_of_ours_with_a_foreign_name_is_removed(self) -> None:
        assert planned(world(), sandbox(None, warm="")) == "-/+ warm remove not wanted"


class TestFailures:
    def test_what_failed_is_left_alone_for_a_while(self) -> None:
        held_back = world(facts(), failures={"up session main": failure()})
        assert planned(held_back) == "no changes"
        assert plan(held_back, [], NOW).wake_at == NOW + 5
        assert planned(held_back, now=NOW + 5) == "+ main create no sandbox"

    def test_what_is_hopeless_waits_for_another_revision(self) -> None:
        hopeless = {"image python:3.12-slim": failure(ImageNotFoundError("no"), until=None)}
        none = frozenset[str]()
        assert planned(world(facts(), failures=hopeless, images=none)) == "no changes"
        changed = (edited(profile(), idle_timeout=5000.0),)
        assert planned(world(facts(), profiles=changed, failures=hopeless, images=none)) == (
            "+ python:3.12-slim pull main needs it"
        )

    def test_a_session_that_fails_holds_no_other_back(self) -> None:
        failing = world(facts("a"), facts("b"), failures={"up session a": failure()})
        assert planned(failing) == "+ b create no sandbox"

    def test_a_session_that_fails_to_start_can_still_be_stopped(self) -> None:
        failing = world(facts(wanted="stopped"), failures={"up session main": failure()})
        assert planned(failing, sandbox()) == "- main stop asked to stop"

    def test_a_failed_setup_keeps_its_container_until_it_may_be_tried_again(self) -> None:
        of = profile(setup=("false",))
        spoilt = settled(of=of, setup="failed")
        lane = {"up session main": Failure(SetupError("no"), 1, None, of.revision())}
        assert planned(world(spoilt, profiles=(of,), failures=lane), sandbox(of=of)) == (
            "no changes"
        )
        assert planned(world(spoilt, profiles=(of,)), sandbox(of=of)) == (
            "-/+ main remove setup failed"
        )

    def test_an_interrupted_setup_is_never_run_twice_in_one_container(self) -> None:
        of = profile(setup=("make",))
        begun = settled(of=of, setup="begun")
        assert planned(world(begun, profiles=(of,)), sandbox(of=of)) == (
            "-/+ main remove setup was interrupted"
        )

    def test_a_guest_that_never_answers_loses_its_container_unless_it_is_busy(self) -> None:
        deaf = Failure(ProtocolError("silent"), 5, NOW - 1, container="c-main")
        lane = {"up session main": deaf}
        assert planned(world(facts(), failures=lane), sandbox()) == (
            "-/+ main remove its guest does not answer"
        )
        assert planned(world(facts(running=1), failures=lane), sandbox()) == (
            "+ main attach running, not attached"
        )


class TestWarmPool:
    of = profile(warm=2)

    def pool(self, *sessions: SessionFacts, boxes: tuple[Sandbox, ...] = (), **given: Any) -> str:
        of = given.pop("of", self.of)
        assert isinstance(of, Profile)
        return planned(world(*sessions, profiles=(of,), **given), *boxes)

    def test_the_pool_is_filled(self) -> None:
        assert self.pool() == "+ warm-1 create warm 0 -> 2"
        one = sandbox(None, of=self.of)
        assert self.pool(boxes=(one,), warm={"c-w1": READY}) == "+ warm-2 create warm 1 -> 2"

    def test_sessions_that_start_come_before_refills(self) -> None:
        assert self.pool(facts()) == "+ main create no sandbox"

    def test_a_warm_sandbox_is_started_attached_and_set_up(self) -> None:
        of = profile(warm=1, setup=("make",))
        made = sandbox(None, of=of, state=SandboxState.CREATED)
        up = sandbox(None, of=of)
        assert self.pool(of=of, boxes=(made,)) == "+ warm w1 start created, not started"
        assert self.pool(of=of, boxes=(up,)) == "+ warm w1 attach running, not attached"
        attached = {"c-w1": WarmFacts(attached=True)}
        assert self.pool(of=of, boxes=(up,), warm=attached) == "+ warm w1 set up new container"

    def test_a_new_session_claims_a_ready_one(self) -> None:
        one = sandbox(None, of=self.of)
        assert self.pool(facts(), boxes=(one,), warm={"c-w1": READY}) == (
            "+ main claim a warm sandbox no sandbox"
        )

    def test_two_sessions_never_claim_the_same_one(self) -> None:
        one = sandbox(None, of=self.of)
        step = self.pool(facts("a"), facts("b"), boxes=(one,), warm={"c-w1": READY})
        assert step == "+ a claim a warm sandbox no sandbox\n+ b create no sandbox"

    def test_who_is_waited_for_chooses_first(self) -> None:
        one = sandbox(None, of=self.of)
        step = self.pool(facts("a"), facts("b", waiting=1), boxes=(one,), warm={"c-w1": READY})
        assert step == "+ b claim a warm sandbox no sandbox\n+ a create no sandbox"

    def test_a_session_that_has_files_does_not_claim_another_workspace(self) -> None:
        one = sandbox(None, of=self.of)
        known = facts(workspace_exists=True)
        assert self.pool(known, boxes=(one,), warm={"c-w1": READY}) == "+ main create no sandbox"

    def test_with_a_volume_at_the_work_dir_there_is_no_workspace_to_claim(self) -> None:
        of = profile(warm=1, volumes=(Volume("/src", "/workspace"),))
        known = facts(workspace_exists=True)
        one = sandbox(None, of=of)
        assert self.pool(known, of=of, boxes=(one,), warm={"c-w1": READY}) == (
            "+ main claim a warm sandbox no sandbox"
        )

    def test_one_that_is_not_ready_is_not_claimed(self) -> None:
        one = sandbox(None, of=self.of)
        assert "claim" not in self.pool(facts(), boxes=(one,))

    def test_one_whose_workspace_was_given_away_is_removed_and_not_claimed(self) -> None:
        one = sandbox(None, of=self.of)
        half = {"c-w1": replace(READY, workspace_exists=False)}
        known = facts(workspace_exists=True)
        assert self.pool(known, boxes=(one,), warm=half) == (
            "+ main create no sandbox\n-/+ warm w1 remove its workspace is gone"
        )

    def test_outdated_ones_are_replaced(self) -> None:
        old = sandbox(None, of=edited(self.of, image="old"))
        assert self.pool(boxes=(old,), warm={"c-w1": READY}).startswith(
            "-/+ warm w1 remove profile changed"
        )

    def test_surplus_ones_are_removed(self) -> None:
        of = profile(warm=0)
        one = sandbox(None, of=of)
        assert self.pool(of=of, boxes=(one,), warm={"c-w1": READY}) == (
            "- warm w1 remove more than warm = 0"
        )

    def test_those_of_a_profile_that_is_gone_are_removed(self) -> None:
        assert planned(world(profiles=()), sandbox(None)) == "- warm w1 remove no profile"

    def test_a_failed_setup_is_not_repeated_in_a_loop(self) -> None:
        of = profile(warm=1, setup=("false",))
        spoilt = {"c-w1": WarmFacts(attached=True, setup="failed")}
        lane = {"warm p": Failure(SetupError("no"), 1, None, of.revision())}
        one = sandbox(None, of=of)
        assert self.pool(of=of, boxes=(one,), warm=spoilt, failures=lane) == "no changes"
        assert self.pool(of=of, boxes=(one,), warm=spoilt) == "-/+ warm w1 remove setup failed"


def test_a_plan_prints_itself_with_profiles_marks_and_causes() -> None:
    newer = profile(image="python:3.13-slim")
    given = world(
        settled(),
        facts("user-124", profile=ProfileName("p")),
        profiles=(newer,),
        images=frozenset({"python:3.13-slim"}),
    )
    assert describe(plan(given, [sandbox()], NOW), {newer.name: newer}) == (
        "profile p (p.toml)\n"
        "-/+ main        remove    profile changed\n"
        "  + user-124    create    no sandbox\n"
        "2 changes"
    )
