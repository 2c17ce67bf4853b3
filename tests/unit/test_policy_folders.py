"""Rules over paths and operations that take whole folders along, or have two paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepd.model.ids import ProfileName
from deepd.model.profile import Answer, Profile, Rule, ToolPolicy
from deepd.policy.decide import decide


def answer(default: Answer, rule: Rule, resolved: str, **args: Any) -> Answer:
    policy = ToolPolicy("write_file", default, (rule,))
    profile = Profile(ProfileName("p"), Path(), interrupt_on=(policy,))
    return decide(profile, "write_file", args, resolved).answer


DENIED = Rule("deny", path=".github/**")
ANYWHERE = Rule("deny", path="**/.env")


@pytest.mark.parametrize(
    ("rule", "args", "expected"),
    [
        (DENIED, {"op": "mkdir", "path": ".github/x"}, "deny"),
        (DENIED, {"op": "mkdir", "path": "src"}, "allow"),
        (DENIED, {"op": "remove", "path": ".github/x"}, "deny"),
        (DENIED, {"op": "remove", "path": ".", "recursive": True}, "ask"),
        (DENIED, {"op": "remove", "path": "src", "recursive": True}, "allow"),
        (ANYWHERE, {"op": "remove", "path": "src", "recursive": True}, "ask"),
        (DENIED, {"op": "rename", "path": ".github", "to": "x"}, "deny"),
        (DENIED, {"op": "rename", "path": "x", "to": ".github"}, "deny"),
        (DENIED, {"op": "rename", "path": "x", "to": "src/../.github/y"}, "deny"),
        (DENIED, {"op": "rename", "path": "x", "to": "link/y"}, "ask"),
    ],
)
def test_a_rule_stops_whatever_would_touch_what_it_means(
    rule: Rule, args: dict[str, Any], expected: Answer
) -> None:
    resolved = f"/workspace/{args['path']}".removesuffix("/.")
    assert answer("allow", rule, resolved, **args) == expected


def test_a_rule_that_allows_one_path_does_not_allow_to_move_to_another() -> None:
    allowed = Rule("allow", path="src/**")
    assert answer("ask", allowed, "/workspace/src/a", path="src/a", content="x") == "allow"
    assert answer("ask", allowed, "/workspace/src/a", path="src/a", op="remove") == "allow"
    moved = {"path": "src/a", "op": "rename"}
    assert answer("ask", allowed, "/workspace/src/a", to="/etc/x", **moved) == "ask"
    assert answer("ask", allowed, "/workspace/src/a", to="src/b", **moved) == "ask"
