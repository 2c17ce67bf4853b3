"""Goals: how far ahead of which peer deepd has to be, and what is known where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """One ratio or bound; `least` times as fast, or `most` times the time, units over, or units."""

    work: str
    against: str = ""
    least: float = 0.0
    most: float = 0.0
    over: float | None = None
    at_most: float | None = None
    against_work: str = ""
    known: str = ""
    """What bounds it and what was tried; shown where the goal is not reached."""


_TRUE = (
    "of some 5 ms 1.5 are the fork and exec of the program in its sandbox, 0.5 the client's and"
    " 2 the daemon's Python: a request, the policy, two commits, two frames. Tried and kept: a"
    " lane past the engine, a shim forked ahead, the answer before it is stored, one write for a"
    " reply, uvloop and httptools"
)
_AT_ONCE = (
    "each of them takes 1.5 to 2 ms of the daemon's one thread, and as much of the sandbox's"
    " processes on the other core; connections that are kept for 32 threads took a fifth off"
)
_BYTES = (
    "four passes over the bytes, 5 to 6 ms each: from the client, which is hashed on the way, to"
    " the spool, where a crash finds them, and into the sandbox's file. Passed descriptors took"
    " frames and pipes off that, and memory that is sealed as it comes a second hash"
)
_SMALL = "the daemon's part of `true` without a program: see there"
_SEARCH = "the guest leaves out what cannot match; what is left is the walk, and opening each file"
_ENGINE = (
    "the engine's own start is nearly all of it, and 20 ms of that the filter of system calls,"
    " which stays"
)
_CLAIM = (
    "of 12 ms 4 to 5 are the engine's, which renames the container and syncs two files for it,"
    " and 5 are a call's own; that is the only request, and a call that did not wait for its"
    " answer could run in a sandbox that another claimed; the rest is the daemon's: the session,"
    " its events, what is stored of the call, and 0.7 for a guest's first process"
)

GOALS = (
    Goal("true", "docker-py", least=30, known=_TRUE),
    Goal(
        "true",
        "host",
        most=2.5,
        known=_TRUE,
    ),
    Goal("16-in-1", "docker-py", least=60, known=_AT_ONCE),
    Goal("16-in-16", "docker-py", least=20, known=_AT_ONCE),
    Goal("claim", "docker-py", least=60, against_work="fresh", known=_CLAIM),
    Goal("fresh", "docker-py", most=0.8, known=_ENGINE),
    Goal("fresh", "docker-py", over=10, against_work="start", known=_ENGINE),
    Goal("write-1k", "sandboxd", least=2, known=_SMALL),
    Goal("read-1k", "sandboxd", least=2, known=_SMALL),
    Goal("write-8m", "sandboxd", least=2, known=_BYTES),
    Goal("read-8m", "sandboxd", least=2, known=_BYTES),
    Goal("write-8m", "docker-py", least=8, known=_BYTES),
    Goal("read-8m", "docker-py", least=8, known=_BYTES),
    Goal("edit-1k", "sandboxd", least=2),
    Goal("glob", "sandboxd", least=5, known=_SEARCH),
    Goal("grep", "sandboxd", least=5, known=_SEARCH),
    Goal(
        "conformance",
        "sandboxd",
        most=1 / 3,
        known="the suite itself waits: for timeouts, cancellations and starts of containers",
    ),
    Goal("exec", "docker-py", most=0.5, known="the interpreter's own start is half of it"),
    Goal("status", "host", most=3),
    Goal(
        "memory",
        at_most=50,
        known="this daemon has done all the works above; one that has done none of them has 40",
    ),
    Goal("memory-each", at_most=2),
)


def judge(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what came of each goal that both figures are there for."""
    medians = {(row["work"], row["subject"]): row["median"] for row in rows if "median" in row}
    judged = []
    for goal in GOALS:
        ours = medians.get((goal.work, "deepd"))
        theirs = medians.get((goal.against_work or goal.work, goal.against))
        if ours is None or (goal.against and theirs is None):
            continue
        reached, wanted, is_so = _compare(goal, ours, theirs or 0.0)
        judged.append(
            {
                "work": goal.work,
                "against": " ".join(filter(None, [goal.against, goal.against_work])),
                "goal": wanted,
                "reached": reached,
                "ok": is_so,
                "known": "" if is_so else goal.known or "not looked into",
            }
        )
    return judged


def _compare(goal: Goal, ours: float, theirs: float) -> tuple[str, str, bool]:
    if goal.at_most is not None:
        return f"{ours:.1f} MB", f"{goal.at_most:g} MB", ours <= goal.at_most
    if goal.over is not None:
        return f"{ours - theirs:+.1f} ms", f"+{goal.over:g} ms", ours - theirs <= goal.over
    if goal.least:
        return f"{theirs / ours:.1f}x faster", f"{goal.least:g}x", theirs / ours >= goal.least
    return f"{ours / theirs:.2f}x the time", f"{goal.most:.2g}x", ours / theirs <= goal.most
