"""Live: what holds connections, and so belongs to the process that made it."""

from __future__ import annotations

from typing import Never


class Live:
    """Refuses to be pickled or copied, with what to do instead."""

    def __reduce__(self) -> Never:
        name = type(self).__name__
        raise TypeError(
            f"a {name} cannot be pickled or copied, as it holds live connections: make one where"
            " it is used, with the same session id or workspace root"
        )
