"""Where the path of a file tool really leads, for rules over paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepd.daemon.attachment import Live
from deepd.errors import DeepdError
from deepd.model.profile import CONSOLE_TOOLS, Profile
from deepd.policy.decide import needs_path


async def resolved_path(
    profile: Profile, tool: str, args: Mapping[str, Any], live: Live | None
) -> str | None:
    """Return a call's path without links, as the sandbox sees it, where a rule is over paths.

    `None` where no rule asks, no sandbox runs, or the sandbox does not know. A profile may have
    been read again meanwhile: decide by the one that is in force afterwards.
    """
    if live is None or live.guest.closed:
        return None
    if tool == "execute" or tool not in CONSOLE_TOOLS or not needs_path(profile, tool):
        return None
    try:
        return await live.sandbox.realpath(str(args.get("path", ".")), missing=True)
    except DeepdError:
        return None
