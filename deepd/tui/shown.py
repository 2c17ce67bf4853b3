"""Untrusted text as the dashboard shows it: sanitised once, blanks and tabs marked, exact.

What is shown decodes to what was there: `·` is a blank, `→` with three blanks is a tab, and every
`\\u{…}` a character; where the text itself has one of the marks, that is spelled out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from deepd.model.visible import visible

BLANK = "·"
TAB = "→   "
ELLIPSIS = "…"
_INDENT = 16
"""So many blanks at the start of a line are an indentation; more of them hide something."""

_RUNS = re.compile(rf"(?<=[^ ]) {{2,}}| +$|^ {{{_INDENT + 1},}}")


def text_of(value: Any) -> str:
    """Return a value from the wire as text: texts as they are, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def one_line(value: Any) -> str:
    """Return a value as one line: newlines as `⏎`, tabs as `→`, runs of blanks marked."""
    return _mark_runs(visible(text_of(value), one_line=True).replace(BLANK, "\\u{b7}"))


def many_lines(text: str) -> Iterator[str]:
    """Yield a text's lines, each as it may be shown."""
    shown = visible(text).replace(BLANK, "\\u{b7}").replace("→", "\\u{2192}")
    for line in shown.split("\n"):
        yield _mark_runs(line).replace("\t", TAB)


def _mark_runs(line: str) -> str:
    if "  " not in line and not line.endswith(" "):
        return line
    return _RUNS.sub(lambda run: BLANK * len(run[0]), line)
