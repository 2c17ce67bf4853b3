"""What a scripted daemon says: sessions in every state, three held calls, and what was before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepd.tui.world import Json
from tests.tui.scripted import FOLDER, NOW, Script

RULE = 'ask = ["git push *"]'


def session(name: str, profile: str, state: str, **other: Any) -> Json:
    """Return a session as the daemon describes one."""
    return {
        "name": name,
        "profile": profile,
        "state": state,
        "cause": "",
        "engine": "docker",
        "container": "bd631cd8717e956ce3f4496a95b8fe17da7a7dfe53545de893e16338faa55e71",
        "image": "sha256:1d0447543fac833cc86eed3edb0988e1c6ea7dfb011f7448f93bf50a6f1486d0",
        "user": "1000:1000",
        "created_at": NOW - 7300,
        "last_active": NOW - 130,
        "idle_at": None,
        "running": 0,
        "held": 0,
        "generation": 1,
        "progress": None,
        "stale": False,
        "isolation": "",
    } | other


def approval(number: int, name: str, tool: str, args: Json, **other: Any) -> Json:
    """Return a held call as the daemon describes one."""
    return {
        "id": f"{number:x}a1f" + "0" * 28,
        "session": name,
        "profile": "strict",
        "tool": tool,
        "args": args,
        "fingerprint": f"{number:064x}",
        "asked_at": NOW - 60 * number,
        "deadline": NOW + 860 + number,
        "client": "planner-7",
        "uid": 1000,
        "rule": f"{FOLDER}/strict.toml:22:9: {RULE}",
        "context": {
            "cwd": "/workspace",
            "user": "1000:1000",
            "network": "none",
            "image": "python:3.12-slim",
            "shell": "auto",
            "env": {"CI": "1"},
            "secrets": ["PYPI_TOKEN"],
            "timeout": 300.0,
            "background": False,
            "volumes": [],
        },
        "state": "pending",
    } | other


def call(ago: float, name: str, tool: str, args: Json, **other: Any) -> Json:
    """Return a call as the daemon describes one."""
    return {
        "id": f"{int(ago):x}c" + "0" * 28,
        "session": name,
        "profile": "python",
        "tool": tool,
        "args": args,
        "state": "finished",
        "client": "planner-7",
        "created_at": NOW - ago,
        "started_at": NOW - ago,
        "ended_at": NOW - ago + 2.1,
        "exit_code": 0 if tool == "execute" else None,
        "result": {},
        "reason": "",
    } | other


def event(number: int, ago: float, kind: str, name: str = "", **data: Any) -> Json:
    """Return an event as the daemon describes one."""
    called = f"{number:x}c" + "0" * 28 if kind.startswith(("call", "approval")) else ""
    return {
        "id": number, "at": NOW - ago, "kind": kind, "session": name, "call": called, "data": data,
    }  # fmt: skip


def line(ago: float, text: str, stream: int = 1, kind: str = "output") -> Json:
    """Return a line of a log."""
    return {"at": NOW - ago, "kind": kind, "stream": stream, "text": text, "call": "", "number": 1}


def profile(name: str) -> Json:
    """Return a profile that is in force."""
    return {
        "name": name,
        "file": f"{FOLDER}/{name}.toml",
        "state": "ready",
        "revision": "97f0d5a1b2c9" + "0" * 52,
        "problems": [],
        "loaded_at": NOW - 3700,
    }


APP = """\
import os


def total(rows):
    result = 0
    for row in rows:
        result += row.price
    return result


print(total([]))
"""
PUSH = approval(
    1, "user-123", "execute", {"command": "scripts/release.sh && git push origin main"}
) | {"deadline": NOW + 48}
PUSH["context"]["files"] = {"scripts/release.sh": "3f2a91c0" * 8}
EDIT = approval(
    2,
    "main",
    "edit_file",
    {
        "path": "src/app.py",
        "old": APP[APP.index("    result = 0") : APP.index("\n\nprint")],
        "new": "    return sum(row.price for row in rows)\n",
    },
    profile="python",
    rule=f'{FOLDER}/python.toml:9:28: interrupt_on = ["edit_file"]',
)
WRITE = approval(
    3,
    "main",
    "write_file",
    {"path": "deploy.yml", "content": "steps:\n  - run: make test\n  - run: make deploy\n"},
    profile="python",
    rule=f'{FOLDER}/python.toml:9:15: interrupt_on = ["write_file"]',
)
STALE = {
    "name": "strict",
    "file": f"{FOLDER}/strict.toml",
    "state": "stale",
    "revision": "05c1b11e71ecf22fce2468a9a89f91cc2e60bb227f2bc4b6cd0486eedb2b1ff8",
    "problems": [
        {
            "file": f"{FOLDER}/strict.toml",
            "line": 14,
            "column": 1,
            "message": "unknown key `idle_timout`",
            "hint": "did you mean `idle_timeout`?",
            "source": 'idle_timout = "15m"',
            "length": 11,
        }
    ],
    "loaded_at": NOW - 3700,
}


RUNNING = {"state": "running", "ended_at": None, "exit_code": None}
DENIED = {"state": "denied", "started_at": None, "exit_code": None}
CONTENT = Script(
    sessions=[
        session("build", "rust", "pulling", progress=0.43, container="", last_active=0.0),
        session("main", "python", "held", held=2, idle_at=None),
        session("nightly", "python", "failed", cause="the image has no /bin/sh", container=""),
        session("research", "python", "busy", running=1, idle_at=NOW + 3130),
        session("user-123", "strict", "held", held=1, stale=True),
        session("user-124", "strict", "stopped", cause="idle", last_active=NOW - 730),
    ],
    approvals=[PUSH, EDIT, WRITE],
    files={"src/app.py": APP},
    calls=[
        call(30, "research", "execute", {"command": "pytest -x -q tests/unit"}) | RUNNING,
        call(31, "user-123", "edit_file", {"path": "src/app.py", "old": "a", "new": "b"}),
        call(69, "user-123", "execute", {"command": "pytest -x"}),
        call(75, "user-123", "execute", {"command": "pytest"}, exit_code=1),
        call(131, "main", "execute", {"command": "pip install -e ."}),
        call(150, "user-123", "execute", {"command": "curl http://169.254.169.254/"}) | DENIED,
    ],
    events=[
        event(1, 3700, "daemon_started", version="0.1.0"),
        event(2, 3699, "profile_loaded", profile="python", file=f"{FOLDER}/python.toml"),
        event(3, 3690, "sandbox_ready", "main"),
        event(4, 1200, "profile_rejected", profile="strict", file=f"{FOLDER}/strict.toml:14:1"),
        event(5, 150, "call_denied", "user-123", summary="curl http://169.254.169.254/"),
        event(6, 75, "call_finished", "user-123", state="finished", exit_code=1, summary="pytest"),
        event(7, 70, "image_progress", text="pulling rust:1.82-slim"),
        event(8, 60, "approval_asked", "user-123", tool="execute", summary="git push origin main"),
    ],
    profiles=[profile("python"), profile("rust"), profile("strict")],
    logs={
        "build": [line(70, "pulling rust:1.82-slim", 0, "sandbox_state")],
        "main": [
            line(131, "pip install -e .", 0, "call_started"),
            line(130, "Obtaining file:///workspace"),
            line(129, "  Installing build dependencies: started"),
            line(122, "WARNING: a newer pip is available", 2),
            line(121, "Successfully installed app-0.3.1 " + "and more " * 12),
            line(120, "\x1b[31mred\x1b[0m"),
            line(120, "exit 0", 0, "call_finished"),
        ],
    },
)
EMPTY = Script()
WITH_STALE = replace(CONTENT, profiles=[STALE, *CONTENT.profiles[:2]])
DISCONNECTED = replace(CONTENT, leaves=True)
NO_DAEMON = Script(is_up=False)
