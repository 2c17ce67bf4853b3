"""Figure: how a test tells what it measured; the fixture `figure` is one."""

from __future__ import annotations

from collections.abc import Callable

Figure = Callable[[str], None]
