"""`python -m tests.bench [NAME…]`: times beside a peer's in the same run, and their ratio."""

from __future__ import annotations

import argparse
import importlib
import json
import sys

BENCHES = ("true", "imports", "conformance", "policy", "dashboard")
"""Each is a module here with `measure(pairs) -> dict`, a peer's times and ours, interleaved."""


def main() -> int:
    """Run the named benchmarks, or all, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], metavar="NAME")
    parser.add_argument("--pairs", type=int, default=100, help="interleaved pairs (100)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for name in args.names or BENCHES:
        rows = importlib.import_module(f"tests.bench.{name}").measure(args.pairs)
        if args.json:
            print(json.dumps({"bench": name, "rows": rows}))
            continue
        rounds = rows[0]["rounds"]
        print(f"{name}: milliseconds, median and 95th percentile of {rounds}, interleaved")
        for row in rows:
            print(
                f"  {row['what']:44} {row['median']:9.3f} {row['p95']:9.3f}   {row['ratio']:7.1f}x"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
