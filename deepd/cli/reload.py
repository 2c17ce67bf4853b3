"""`deepd reload`: the profiles are read again, all or nothing for each file."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from deepd.cli.connect import connect
from deepd.cli.failure import say
from deepd.cli.parser import add_json, add_verb
from deepd.cli.problems import render_problems
from deepd.cli.show import print_json, print_table

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_BAD_PROFILE = 78


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "reload",
        description="A changed file is read by itself; this waits for it and shows what is wrong.",
    )
    add_json(parser)


def run(args: Namespace) -> int:
    """Reload and show each profile's state; 78 when a file is not in force as it is written."""
    profiles = connect(args, timeout=60).reload()
    if args.json:
        print_json({"profiles": profiles})
    else:
        _show(profiles)
    return 0 if all(profile["state"] == "ready" for profile in profiles) else _BAD_PROFILE


def _show(profiles: list[dict[str, Any]]) -> None:
    print_table(
        ("PROFILE", "STATE", "FILE"),
        [(profile["name"], profile["state"], str(profile["file"])) for profile in profiles],
    )
    for profile in profiles:
        if profile["problems"]:
            say("")
            say(render_problems(profile["problems"]))
