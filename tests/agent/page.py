"""The page that users know, taken apart into its code blocks, and a way to run each of them."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("docker-sandbox.md")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
_IMPORT = re.compile(r"^(\s*from )pydantic_deep( import )", re.MULTILINE)
_USE = "# Use sandbox..."


@dataclass(frozen=True)
class Block:
    """One code block of the page."""

    name: str
    """Its heading, and which block under that heading it is."""
    code: str
    line: int
    """Where the page has it."""

    def source(self) -> str:
        """Return the code with its import lines changed.

        Where the page only says that one would use the sandbox, Python needs a statement: there a
        call of `use` is put, which the test gives.
        """
        code = _IMPORT.sub(r"\1deepd\2", self.code)
        lines = []
        for text in code.splitlines():
            lines.append(text)
            if text.strip() == _USE:
                lines.append(text.replace(_USE, "use(sandbox)"))
        return "\n".join(lines) + "\n"

    def run(self, **names: Any) -> dict[str, Any]:
        """Run it as a program whose globals are these names, and return them as it left them."""
        program = compile(
            "\n" * self.line + self.source(),
            str(PAGE),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        scope: dict[str, Any] = {"__name__": "__main__", **names}
        left = eval(program, scope)
        if inspect.iscoroutine(left):
            asyncio.run(left)
        return scope


def python_blocks() -> list[Block]:
    """Return every Python block of the page."""
    page = PAGE.read_text()
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(page)]
    blocks: list[Block] = []
    under: Counter[str] = Counter()
    for match in _FENCE.finditer(page):
        if match[1] != "python":
            continue
        heading = next(text for start, text in reversed(headings) if start < match.start())
        under[heading] += 1
        name = f"{heading} {under[heading]}"
        blocks.append(Block(name, match[2], page.count("\n", 0, match.start()) + 1))
    return blocks
