"""Decisions over commands: an ordinary one, long ones, and hostile ones, with the profile's rules.

The first row is what a decision without any rule takes. A reading is kept for a while, so each
round asks about a command that nobody has asked about before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepd.config.load import load_profile
from deepd.config.settings import Settings
from deepd.model.profile import Profile
from deepd.policy.decide import decide
from tests.bench.timing import interleave

CONFIG = Path(__file__).parents[2] / "config"
LONG = 64 << 10


def measure(pairs: int) -> list[dict[str, Any]]:
    """Return one row a kind of command."""
    profile = load_profile(CONFIG / "python.toml", Settings())
    plain = load_profile(CONFIG / "minimal.toml", Settings())
    subjects = {"no rule: pytest -x": _asking(plain, "pytest -x {}")}
    subjects |= {name: _asking(profile, text) for name, text in commands().items()}
    return interleave(subjects, pairs, pause=0.0)


def commands() -> dict[str, str]:
    """Return the commands by their names; `{}` is another number each time."""
    return {
        "ordinary: pytest -x tests": "pytest -x tests/unit/test_{}.py",
        "ordinary: cd, python, pipe, tail": "cd src && python -m pytest -x t{} 2>&1 | tail -20",
        "asked: git commit": "git add -A && git commit -m 'change {}'",
        "denied inside: sudo sh -c 'git push'": "sudo sh -c 'git push origin {}'",
        "64 KiB of words": f"ls {'a ' * (LONG // 2)} {{}}",
        "64 KiB of commands": f"{'ls; ' * (LONG // 4)} ls {{}}",
        "64 KiB in a quote": f"ls '{'a b' * (LONG // 3)}' {{}}",
        "64 KiB in a here-document": "cat <<E\n" + "a line\n" * (LONG // 7) + "E\nls {}",
        "8 KiB of words": f"ls {'a ' * 4000} {{}}",
        "8 KiB in a quote": f"ls '{'a b' * 2700}' {{}}",
        "250 open parentheses": f"{'(' * 250} {{}}",
        "120 pipes": "ls" + " | cat a" * 120 + " {}",
        "250 dollars": f"ls {'$a' * 125} {{}}",
        "80 quotes and brackets": "ls " + '["{' * 60 + " {}",
    }


def _asking(profile: Profile, text: str) -> Callable[[], object]:
    before, _, after = text.rpartition("{}")
    numbers = itertools.count()

    def ask() -> object:
        return decide(profile, "execute", {"command": f"{before}{next(numbers)}{after}"})

    return ask
