"""The files that a call may run, with their hashes, as the sandbox's user can read them now.

What is bound is what a file contains at the moment of admission. A process that runs in the sandbox
already can still change it in the instant before the call opens it; and what a script runs or
imports in its turn is not looked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepd.daemon.attachment import Live
from deepd.errors import DeepdError, FileError
from deepd.model.duration import render_size
from deepd.model.profile import CONSOLE_TOOLS, Profile
from deepd.policy.named import Named, named
from deepd.policy.place import relative
from deepd.sandbox.sandbox import Sandbox

MAX_BYTES = 128 << 20
"""Of one file that is hashed."""
MAX_SECONDS = 10.0
"""For all files of a call."""
_AT_ONCE = 16
_NOT_BOUND = "not bound: "
_HIDDEN = "?"
_MISSING = frozenset({"ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EINVAL"})


@dataclass(frozen=True, slots=True)
class Files:
    """What was found of the files that a call names."""

    hashes: Mapping[str, str] = field(default_factory=dict)
    """By path: the SHA-256 of its content, or `not bound: ` and why; what is missing is not in it.

    Of a file tool's paths: `leads to ` and where, for those that links lead elsewhere.

    Under `?`: what cannot be told from the words of the command."""
    unknown: str = ""
    """Why nothing is known yet; empty once the sandbox was asked."""

    @classmethod
    def shown(cls, context: Mapping[str, Any]) -> Files:
        """Return what an approval has shown."""
        return cls(dict(context.get("files") or {}), str(context.get("files_unknown", "")))

    def difference(self, now: Files) -> str:
        """Return in words what is not as it was shown."""
        if now.unknown and (self.hashes or self.unknown):
            return f"the files that it names cannot be looked at: {now.unknown}"
        names = sorted(self.hashes.keys() | now.hashes.keys())
        changed = [name for name in names if self.hashes.get(name) != now.hashes.get(name)]
        return "; ".join(self._change(name, now) for name in changed[:3])

    def _change(self, name: str, now: Files) -> str:
        before, after = self.hashes.get(name), now.hashes.get(name)
        if self.unknown or before is None:
            if after is not None and after.startswith("leads to"):
                return f"{name} {after}, which was not shown"
            seen = "was not seen" if self.unknown else "was not there"
            return f"{name} {seen} when the call was shown"
        if after is None:
            return f"{name} is gone since the call was shown"
        if " " in before or " " in after:
            return f"{name} changed since the call was shown: {after}"
        return f"{name} changed since the call was shown: {before[:8]} is now {after[:8]}"


async def files_of(
    tool: str, args: Mapping[str, Any], profile: Profile, live: Live | None
) -> Files:
    """Return the files that a call may run, read in its sandbox."""
    if tool != "execute":
        return await _places(tool, args, live)
    wanted = named(args, profile.work_dir, dict(profile.env).get("PATH", ""))
    if not wanted.paths:
        return Files(_hidden(wanted))
    if live is None or live.guest.closed:
        return Files(unknown="its sandbox does not run")
    try:
        async with asyncio.timeout(MAX_SECONDS):
            found = await _hash_all(live.sandbox, wanted.paths)
    except TimeoutError:
        return Files(unknown=f"reading them took longer than {MAX_SECONDS:g} s")
    except DeepdError as error:
        return Files(unknown=error.detail)
    shown = {relative(path, profile.work_dir) or path: found[path] for path in found}
    return Files(shown | _hidden(wanted))


async def _places(tool: str, args: Mapping[str, Any], live: Live | None) -> Files:
    """Return where the paths of a file tool lead, where links lead them elsewhere.

    Without a sandbox they are taken as they are written; admission sees what they really are.
    """
    if tool not in CONSOLE_TOOLS or live is None or live.guest.closed:
        return Files()
    found: dict[str, str] = {}
    for path in dict.fromkeys(str(args[key]) for key in ("path", "to") if key in args):
        absolute = posixpath.normpath(live.sandbox.absolute(path))
        try:
            place = await live.sandbox.realpath(path, missing=True)
        except DeepdError as error:
            found[path] = f"{_NOT_BOUND}{error.detail}"
            continue
        if place != absolute:
            found[path] = f"leads to {place}"
    return Files(found)


async def _hash_all(sandbox: Sandbox, paths: tuple[str, ...]) -> dict[str, str]:
    """Return the hashes of those that are there."""
    found: dict[str, str] = {}
    for at in range(0, len(paths), _AT_ONCE):
        some = paths[at : at + _AT_ONCE]
        hashes = await asyncio.gather(
            *(_hash(sandbox, path) for path in some), return_exceptions=True
        )
        for path, known in zip(some, hashes, strict=True):
            if isinstance(known, BaseException):
                raise known
            if known:
                found[path] = known
    return found


async def _hash(sandbox: Sandbox, path: str) -> str:
    """Return a file's hash, why it has none, or nothing where no file is."""
    try:
        stat = await sandbox.stat(path)
        if stat.kind == "dir":
            return ""
        if stat.kind != "file":
            return f"{_NOT_BOUND}it is no regular file"
        digest, size = hashlib.sha256(), 0
        async for piece in sandbox.stream(path, 0, MAX_BYTES + 1):
            size += len(piece)
            if size > MAX_BYTES:
                return f"{_NOT_BOUND}it has more than {render_size(MAX_BYTES)}"
            digest.update(piece)
    except FileError as error:
        return "" if error.errno_name in _MISSING else f"{_NOT_BOUND}it cannot be read"
    return digest.hexdigest()


def _hidden(wanted: Named) -> dict[str, str]:
    return {_HIDDEN: _NOT_BOUND + "; ".join(wanted.unseen)} if wanted.unseen else {}
