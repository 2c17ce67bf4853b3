"""`deepd plan`: what the daemon would do next, and why."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deepd.cli.connect import connect
from deepd.cli.failure import CHANGES
from deepd.cli.parser import add_json, add_verb
from deepd.cli.show import paint, width
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_SIGNS = {
    "create": ("  +", "green"),
    "remove": ("  -", "red"),
    "recreate": ("-/+", "yellow"),
    "update": ("  ~", "yellow"),
}


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "plan", description="Exits with 2 when there is something to do.")
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="what a first start on these would do; without it, what the daemon would do next",
    )
    add_json(parser)


def run(args: Namespace) -> int:
    """Print each action under its profile."""
    actions = _of_files(args.config) if args.config else connect(args, timeout=60).plan()
    if args.json:
        print(json.dumps({"actions": actions}))
    else:
        print("\n".join(render(actions)))
    return CHANGES if actions else 0


def _of_files(config: list[str]) -> list[dict[str, Any]]:
    from deepd.cli.run import check_profiles, profile_paths  # noqa: PLC0415 - it loads pydantic
    from deepd.config.load import find_profiles, load_profile  # noqa: PLC0415 - the same
    from deepd.config.settings import load_settings  # noqa: PLC0415 - the same
    from deepd.reconcile.describe import as_dicts  # noqa: PLC0415 - the same
    from deepd.reconcile.preview import preview  # noqa: PLC0415 - the same

    settings = load_settings()
    paths = profile_paths(config)
    check_profiles(paths, settings)
    profiles = [load_profile(file, settings) for file in find_profiles(paths)]
    return [*as_dicts(preview({}, {item.name: item for item in profiles}, (), ()).sections)]


def render(actions: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a plan: a profile, what is to be done for it, when, and in all."""
    if not actions:
        yield "nothing to do"
        return
    texts = [visible(str(action["text"]), one_line=True) for action in actions]
    size = max(map(width, texts))
    above = None
    for action, text in zip(actions, texts, strict=True):
        section = (action["profile"], action["file"])
        if section != above:
            above = section
            where = f" ({section[1]})" if section[1] else ""
            yield visible(f"profile {section[0]}{where}", one_line=True)
        sign, colour = _SIGNS.get(action["action"], _SIGNS["update"])
        note = visible(str(action["cause"]), one_line=True)
        yield f"{paint(sign, colour)} {text}{' ' * (size - width(text))}   {note}".rstrip()
    yield f"{len(actions)} change{'s' * (len(actions) != 1)}"
