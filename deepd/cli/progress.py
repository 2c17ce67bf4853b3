"""What sessions are doing while somebody waits: drawn again in a terminal, lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from deepd.model.visible import visible

Show = Callable[[Sequence[tuple[str, str]]], None]


@contextmanager
def progress() -> Iterator[Show]:
    """Yield what shows names and states; call it as often as you like."""
    if sys.stderr.isatty():
        with _live() as show:
            yield show
    else:
        yield _Lines().show


@contextmanager
def _live() -> Iterator[Show]:
    # Late: Rich costs more than all the rest of a command.
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.spinner import Spinner  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    spinners: dict[str, Spinner] = {}

    def draw(rows: Sequence[tuple[str, str]]) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, state in rows:
            spinner = spinners.setdefault(name, Spinner("dots"))
            mark = Text("✓") if state.startswith(("ready", "busy", "held")) else spinner
            # Text, never markup: names and causes come from files and from the engine.
            table.add_row(mark, Text(visible(name)), Text(visible(state, one_line=True)))
        return table

    with Live(console=Console(stderr=True), transient=True, refresh_per_second=10) as live:
        yield lambda rows: live.update(draw(rows))


class _Lines:
    """Prints a line when a state changed; the digits of a percentage are no change."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def show(self, rows: Sequence[tuple[str, str]]) -> None:
        for name, state in rows:
            words = state.split("  ")[0]
            if self._shown.get(name) != words:
                self._shown[name] = words
                sys.stderr.write(f"{visible(name)}  {visible(state, one_line=True)}\n")
                sys.stderr.flush()
