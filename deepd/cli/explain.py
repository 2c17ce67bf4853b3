"""`deepd explain`: what a profile decides about a call, by which line, and what would change it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepd.cli.connect import connect
from deepd.cli.parser import add_json, add_verb, refuse
from deepd.cli.show import paint, print_json
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

TAKES_COMMAND = True
_COLOURS = {"allow": "green", "ask": "yellow", "deny": "red"}


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "explain",
        usage="deepd explain PROFILE -- TOOL [COMMAND | PATH | PATTERN]",
        description="A file is read as it is; a name is asked of the daemon. Nothing runs.",
        epilog="such as: deepd explain config/python.toml -- execute 'git push'",
    )
    parser.add_argument("profile", metavar="PROFILE", help="a profile's file, or its name")
    parser.add_argument(
        "-s", "--session", action="store_true", help="PROFILE is a session; follow its links"
    )
    add_json(parser)


def run(args: Namespace) -> int:
    """Ask, and say what is decided and why."""
    if not args.words:
        refuse("explain", "name the call: `-- execute 'git push'`")
    tool, *words = args.words
    if tool == "execute" and not words:
        refuse("explain", "name the command: `-- execute 'git push'`")
    found = _ask(args, tool, words)
    if args.json:
        print_json(found)
    else:
        print("\n".join(_lines(found, tool, words)))
    return 0


def _ask(args: Namespace, tool: str, words: list[str]) -> dict[str, Any]:
    from deepd.policy.explain import call_of, explain  # noqa: PLC0415 - it loads the policy

    call = call_of(tool, words)
    file = Path(args.profile)
    if args.session or not (file.suffix == ".toml" or "/" in args.profile):
        asked = {"session" if args.session else "profile": args.profile}
        return connect(args).explain(tool, call, **asked)
    from dataclasses import asdict  # noqa: PLC0415 - only a file needs all of this

    from deepd.config.load import load_profile  # noqa: PLC0415 - the same
    from deepd.config.settings import load_settings  # noqa: PLC0415 - the same
    from deepd.policy.place import lexical  # noqa: PLC0415 - the same

    profile = load_profile(file, load_settings())
    # No sandbox is there to be asked: the path is taken for where it leads.
    found = explain(profile, tool, call, lexical(str(call.get("path", ".")), profile.work_dir))
    edits = [{**asdict(edit), "text": str(edit)} for edit in found.edits]
    return {**asdict(found), "edits": edits}


def _lines(found: dict[str, Any], tool: str, words: list[str]) -> list[str]:
    position = found["position"]
    place = f"{position['file']}:{position['line']}:{position['column']}  " if position else ""
    lines = [f"{paint(found['answer'], _COLOURS[found['answer']])}  {visible(tool)}"]
    lines += [f"  {line}" for line in _marked(found, " ".join(words))]
    lines.append(f"by    {visible(place + found['rule'], one_line=True)}")
    if found["reason"]:
        lines.append(f"said  {visible(found['reason'], one_line=True)}")
    if found["detail"]:
        lines.append(f"as    {visible(found['detail'], one_line=True)}")
    if found["advice"]:
        lines.append(f"next  {visible(found['advice'], one_line=True)}")
    if found["edits"]:
        lines.append(f"to {found['becomes']} it:")
        lines += [f"  {visible(edit['text'], one_line=True)}" for edit in found["edits"]]
    return lines


def _marked(found: dict[str, Any], text: str) -> list[str]:
    """Return the call's text, with a line under the part that decided."""
    if not found["part"]:
        return [visible(text)] if text else []
    data = text.encode("utf-8", "surrogatepass")
    start, end = found["part"]
    before, part, after = (
        visible(piece.decode("utf-8", "replace"), one_line=True)
        for piece in (data[:start], data[start:end], data[end:])
    )
    return [before + part + after, " " * len(before) + "^" * max(1, len(part))]
