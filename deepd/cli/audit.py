"""`deepd audit`: the trail of what was asked, decided and run; `verify` checks its chain."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from deepd.cli.clock import clock
from deepd.cli.connect import connect, print_line
from deepd.cli.failure import FAILED, OK, say
from deepd.cli.parser import add_json, add_verb
from deepd.cli.show import paint, print_json
from deepd.errors import DaemonDownError
from deepd.model.audit import AuditRow, ChainReport, check_chain
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_PAGE = 5000
_HASH = 64
_SHOWN = ("session", "tool", "client", "state", "by", "rule", "reason", "exit_code")


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "audit",
        description="Each row has the hash of the one before it. Without a daemon the state folder"
        " itself is read. `verify` ends with 1 and names the first row that does not hold.",
    )
    parser.add_argument("action", nargs="?", choices=("show", "verify"), default="show")
    parser.add_argument("--after", type=int, default=0, metavar="N", help="only rows after this")
    parser.add_argument(
        "--head",
        type=_head,
        metavar="N:HASH",
        help="with verify: what an earlier verify printed; tells a trail that was cut or rewritten",
    )
    add_json(parser)


def run(args: Namespace) -> int:
    """Print the rows, or what came of the check."""
    if args.action == "verify":
        return _verify(args)
    for row in _rows(args, args.after):
        if args.json:
            print_line(dataclasses.asdict(row))
        else:
            print(render(row))
    return OK


def render(row: AuditRow) -> str:
    """Return a row as a line for people."""
    body = json.loads(row.body)
    facts = " ".join(f"{name}={body[name]}" for name in _SHOWN if body.get(name) not in (None, ""))
    args = json.dumps(body["args"], ensure_ascii=False) if "args" in body else ""
    parts = (row.kind, row.call[:12], facts, args)
    text = "  ".join(visible(part, one_line=True) for part in parts if part)
    return f"{paint(clock(row.at), 'dim')}  {row.id:>6}  {text}"


def _verify(args: Namespace) -> int:
    noted: dict[int, str] = {}
    wanted = args.head[0] if args.head else 0

    def seen(rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
        for row in rows:
            if row.id == wanted:
                noted[row.id] = row.hash
            yield row

    report = check_chain(seen(_rows(args, 0)))
    trouble = _trouble(report) or _head_trouble(args.head, noted, report)
    if args.json:
        print_json(_as_json(report, trouble))
    elif trouble:
        say(f"error: {trouble}")
        say("next: compare with a copy of the state folder; what follows that row proves nothing")
    else:
        print(_summary(report))
    return FAILED if trouble else OK


def _trouble(report: ChainReport) -> str:
    if report.broken is None:
        return ""
    return f"row {report.broken.row} of the audit trail: {report.broken.what}"


def _head_trouble(head: tuple[int, str] | None, noted: dict[int, str], report: ChainReport) -> str:
    """Return what an earlier head tells that the chain by itself cannot."""
    if head is None:
        return ""
    number, expected = head
    if number in noted:
        return "" if noted[number] == expected else f"row {number} of the audit trail was rewritten"
    if report.first is not None and number < report.first.id:
        return f"row {number} of the audit trail is not kept any more: its head is too old"
    return f"the audit trail ends before row {number}: its end was cut off"


def _summary(report: ChainReport) -> str:
    if report.first is None or report.last is None:
        return "the audit trail is empty"
    return (
        f"{report.rows} rows, {report.first.id} to {report.last.id}, each after the one before it"
        f"\nhead {report.last.id}:{report.last.hash}"
    )


def _as_json(report: ChainReport, trouble: str) -> dict[str, object]:
    last = report.last
    return {
        "ok": not trouble,
        "rows": report.rows,
        "first": report.first.id if report.first else 0,
        "head": f"{last.id}:{last.hash}" if last else "",
        "broken": dataclasses.asdict(report.broken) if report.broken else None,
        "detail": trouble,
    }


def _rows(args: Namespace, after: int) -> Iterator[AuditRow]:
    """Yield the rows, asked of the daemon or, when none answers, read from its folder."""
    client = connect(args)
    try:
        page = client.audit(after=after, limit=_PAGE)
    except DaemonDownError:
        yield from _stored_rows(after)
        return
    while page:
        yield from (AuditRow(**row) for row in page)
        page = client.audit(after=page[-1]["id"], limit=_PAGE)


def _stored_rows(after: int) -> Iterator[AuditRow]:
    from deepd.config.settings import load_settings  # noqa: PLC0415 - only without a daemon
    from deepd.store.audit import read_audit  # noqa: PLC0415 - the same

    return (row for row in read_audit(load_settings().state_dir) if row.id > after)


def _head(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != _HASH or set(digest) - set("0123456789abcdef"):
        raise ArgumentTypeError("a head is what `deepd audit verify` prints: a number, `:`, a hash")
    return int(number), digest
