"""What a human is shown of a held call, and the fingerprint over exactly that."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from deepd.daemon.named_files import Files
from deepd.model.call import Call
from deepd.model.grant import GrantScope
from deepd.model.profile import Profile
from deepd.policy.fingerprint import Bound, fingerprint


@dataclass(frozen=True, slots=True)
class Shown:
    """All that decides what runs: as a dict to show, and as one hash to echo."""

    context: dict[str, Any]
    fingerprint: str


def show(call: Call, profile: Profile, *, image_digest: str, files: Files) -> Shown:
    """Return what would run if the call were approved now.

    `files` are those that the command may run. `image_digest` is empty while no sandbox is there;
    then the image's name is bound, and else the digest too. Secrets are bound by name: their values
    are never stored.
    """
    context: dict[str, Any] = {
        "session": call.session,
        "profile": call.profile,
        "revision": profile.revision(),
        "image": profile.image_ref,
        "image_digest": image_digest,
        "user": profile.user,
        "shell": profile.shell,
        "cwd": call.args.get("cwd") or profile.work_dir,
        "env": _env(call, profile),
        "secrets": list(profile.secrets),
        "network": profile.security.network,
        "volumes": [asdict(volume) for volume in profile.volumes],
        "timeout": call.timeout,
        "background": call.background,
    }
    if call.body_sha256:
        context["body"] = {"size": call.body_size, "sha256": call.body_sha256}
    if files.hashes:
        context["files"] = dict(files.hashes)
    if files.unknown:
        context["files_unknown"] = files.unknown
    bound = replace(
        _bound(call, profile, files),
        session=call.session,
        profile_revision=context["revision"],
        image_digest=f"{profile.image_ref}@{image_digest}",
    )
    return Shown(context, fingerprint(bound))


def grant_key(call: Call, profile: Profile, scope: GrantScope, files: Files) -> str:
    """Return the hash over all that must be the same in a call that a grant lets pass.

    It is what an approval binds, but for what decides nothing about what runs: an edit of the
    profile's rules or of its idle timeout ends no grant, and one of its image, mounts, network,
    user, shell, setup, environment or secrets does. The image's digest is compared beside it.
    """
    bound = replace(
        _bound(call, profile, files),
        session=call.session if scope == "session" else "",
        profile_revision=f"{profile.name}@{profile.container_hash()}@{sorted(profile.secrets)}",
        image_digest=profile.image_ref,
    )
    return fingerprint(bound)


def _bound(call: Call, profile: Profile, files: Files) -> Bound:
    return Bound(
        session="",
        profile_revision="",
        image_digest="",
        tool=call.tool,
        args={"args": call.args, "timeout": call.timeout, "background": call.background},
        body_sha256=call.body_sha256,
        env=_env(call, profile),
        cwd=call.args.get("cwd") or profile.work_dir,
        user=profile.user,
        files=files.hashes,
    )


def _env(call: Call, profile: Profile) -> dict[str, str]:
    return dict(profile.env) | dict(call.args.get("env") or {})
