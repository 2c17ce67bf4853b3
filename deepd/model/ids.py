"""Names and ids, each with a type of its own so that a mix-up does not type-check."""

from __future__ import annotations

import os
import re
import secrets
from typing import NewType

from deepd.errors import BadRequestError

ProfileName = NewType("ProfileName", str)
SessionName = NewType("SessionName", str)
CallId = NewType("CallId", str)
"""32 hexadecimal digits; an approval has the id of the call that it holds."""
GrantId = NewType("GrantId", str)
"""32 hexadecimal digits."""
ContainerId = NewType("ContainerId", str)

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


def parse_session_name(text: str) -> SessionName:
    """Return the text as a session's name, which names a folder too; else `BadRequestError`."""
    if not _NAME.fullmatch(text) or ".." in text:
        raise BadRequestError(
            f"{text[:80]!r} is not a session name",
            next_step="use 1 to 63 of a-z 0-9 _ . - and begin with a letter or digit",
        )
    return SessionName(text)


def parse_profile_name(text: str) -> ProfileName:
    """Return the text as a profile's name, or raise `BadRequestError`."""
    return ProfileName(parse_session_name(text))


def new_grant_id() -> GrantId:
    """Return an id that nobody has used."""
    return GrantId(secrets.token_hex(16))


def new_call_id() -> CallId:
    """Return an id that nobody has used: 128 random bits, so that a short prefix is unique too."""
    return CallId(os.urandom(16).hex())
