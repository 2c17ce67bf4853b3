"""What remembering an approval would mean, and what it would have meant. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from deepd.tui.gist import title
from deepd.tui.line import Line
from deepd.tui.shown import one_line
from deepd.tui.world import Json


def proposal_lines(proposal: Json) -> Iterator[Line]:
    """Yield the calls that a grant would have let pass, and the rule that would mean more."""
    looked_at, same = proposal["looked_at"], proposal["grant_count"]
    yield Line("")
    yield Line("remembered is this very call", rule=True)
    yield Line(f"it was asked {same} times in the last {looked_at} calls of this session", "quiet")
    if not proposal["edits"]:
        yield Line("no rule of the profile would allow it", "quiet")
        return
    yield Line("")
    yield Line("a rule would mean more; it is yours to write", rule=True)
    yield from (Line(one_line(edit["text"]), "accent") for edit in proposal["edits"])
    count, calls = proposal["rule_count"], proposal["rule_calls"]
    yield Line(f"it would have let {count} more of these calls pass", "warn" if count else "quiet")
    yield from (Line(one_line(title(call)), lead=(("  ", ""),)) for call in calls)
    if count > len(calls):
        yield Line("and more", "quiet", lead=(("  ", ""),))


def gists(approvals: Sequence[Json]) -> list[Line]:
    """Return held calls, a line each."""
    return [
        Line(one_line(title(item)), lead=((f"{one_line(item['tool'])}  ", "bold"),))
        for item in approvals
    ]


def one_under_the_other(
    approvals: Sequence[Json], lines_of: Callable[[Json], Sequence[Line]]
) -> list[Line]:
    """Return held calls one under the other, each below its number."""
    lines: list[Line] = []
    for number, approval in enumerate(approvals):
        name = f"{number + 1} of {len(approvals)}: {one_line(approval['tool'])}"
        lines += [Line(name, rule=True), *lines_of(approval), Line("")]
    return lines
