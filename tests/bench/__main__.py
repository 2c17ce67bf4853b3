"""`python -m tests.bench [NAME…]`: times beside a peer's in the same run, and their ratio."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from typing import Any

BENCHES = (
    "true",
    "lane",
    "imports",
    "conformance",
    "policy",
    "dashboard",
    "approvals",
    "restart",
    "counts",
    "peers",
)
"""Each is a module here with `measure(pairs)`: rows of a peer's times and ours, interleaved, or
any other value that its own `show(found)` turns into text."""


def main() -> int:
    """Run the named benchmarks, or all, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], metavar="NAME")
    parser.add_argument("--pairs", type=int, default=100, help="interleaved pairs (100)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", type=_names, default=[], help="works of `peers`, with commas")
    parser.add_argument("--with", type=_names, default=[], dest="subjects", help="its subjects")
    args = parser.parse_args()
    # An installed deepd is compiled; one that may not be kept so would be again at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in args.names or BENCHES:
        module = importlib.import_module(f"tests.bench.{name}")
        options = {"only": args.only, "subjects": args.subjects} if name == "peers" else {}
        found = module.measure(args.pairs, **options)
        if args.json:
            print(json.dumps({"bench": name, "rows": found}))
        elif hasattr(module, "show"):
            print(module.show(found))
        else:
            print(_table(name, found))
    return 0


def _names(text: str) -> list[str]:
    return text.split(",")


def _table(name: str, rows: list[dict[str, Any]]) -> str:
    rounds = rows[0]["rounds"]
    lines = [f"{name}: milliseconds, median and 95th percentile of {rounds}, interleaved"]
    lines += [
        f"  {row['what']:44} {row['median']:9.3f} {row['p95']:9.3f}   {row['ratio']:7.1f}x"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
