"""Environment: what a call is given as variables, with secrets from the daemon's own environment.

Secrets are read when a call is made, never stored, and masked by value in what is kept (`mask.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from deepd.model.profile import Profile


def call_env(profile: Profile, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of a call: the profile's, then its secrets as far as they are set."""
    return dict(profile.env) | _secrets(profile, environ)


def secret_values(
    profiles: Iterable[Profile], environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return what is to be masked in what comes from the profiles' sandboxes."""
    return tuple({value for profile in profiles for value in _secrets(profile, environ).values()})


def _secrets(profile: Profile, environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in profile.secrets if name in environ}
