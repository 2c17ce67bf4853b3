"""What a person reads before an approval is remembered: what that means, and what it would have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deepd.cli.command_line import command_of
from deepd.cli.show import paint
from deepd.model.visible import visible

_SCOPES = {
    "session": "the same call in this session is not asked again",
    "profile": "the same call in any session of this profile is not asked again",
}


def render_proposal(proposal: dict[str, Any], scope: str) -> Iterator[str]:
    """Yield the lines: the grant, and the rule that would mean more."""
    yield paint(f"remember for the {scope}: {_SCOPES[scope]}", "bold")
    looked_at, same = proposal["looked_at"], proposal["grant_count"]
    yield f"  of this session's last {looked_at} calls it is {same} that were asked"
    if not proposal["edits"]:
        yield "  no rule of the profile would allow it"
        yield ""
        return
    yield "  a rule in the profile would mean more:"
    yield from (f"    {visible(edit['text'], one_line=True)}" for edit in proposal["edits"])
    yield f"  it would have let {proposal['rule_count']} more of them pass"
    for call in proposal["rule_calls"]:
        yield f"    {visible(command_of(call), one_line=True)}"
    if proposal["rule_count"] > len(proposal["rule_calls"]):
        yield "    …"
    yield ""
