"""The commands: one line each, and the module that carries each one out."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "The daemon": {
        "start": "start the daemon in the background and wait until its sessions are ready",
        "run": "run the daemon in the foreground",
        "stop": "stop the daemon and remove its containers; workspaces stay",
        "status": "show the daemon, its engine, its profiles and what waits for a decision",
        "reload": "read the profiles again",
        "doctor": "look for what is wrong on this machine, and say how to mend it",
        "service": "have systemd run the daemon",
    },
    "Profiles": {
        "init": "write a starter profile",
        "check": "show all errors of profiles at once",
        "explain": "show what a profile decides about a call, and why",
        "policy": "replay the stored calls against a changed profile",
        "plan": "show what a reload would do, and why",
        "schema": "print the JSON Schema of profiles",
    },
    "Sessions": {
        "ps": "list sessions",
        "inspect": "show all that is known of a session or a call",
        "exec": "run a command in a session",
        "shell": "open a terminal in a session",
        "cp": "copy files into and out of a session",
        "logs": "show what a session printed and what happened to it",
        "stats": "show what sessions use",
        "kill": "end a call, or all calls of a session",
        "rm": "remove sessions; their workspaces stay",
        "prune": "remove sessions that are stopped and that no profile names",
        "wait": "wait for calls to end and print what they printed",
        "events": "show what happened",
    },
    "Approvals": {
        "dashboard": "watch sessions and logs, and decide what is held",
        "approvals": "list the calls that are held",
        "approve": "let a held call run, as shown or edited",
        "deny": "refuse a held call, and tell its caller why",
        "audit": "show what was asked, decided and run, and check that nobody changed it since",
        "grants": "list what is remembered of approvals, and end it",
    },
    "Other": {
        "demo": "show all of it once: an agent, a held call, your decision, the output",
        "completion": "print the completion script of a shell",
    },
}

SUMMARIES = {verb: text for group in GROUPS.values() for verb, text in group.items()}


def module_of(verb: str) -> str:
    """Return the name of the module of a verb: the same name, in this folder."""
    return f"deepd.cli.{verb}"


def nearest(word: str) -> str | None:
    """Return the verb that was probably meant, if there is one."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a typo needs it

    near = get_close_matches(word, SUMMARIES)
    # The same letters in another order are the most frequent slip.
    return min(near, key=lambda verb: sorted(verb) != sorted(word), default=None)
