"""Changes: how two versions of a profile differ, and what each difference needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from deepd.model.duration import render_duration, render_size
from deepd.model.profile import Profile, ToolPolicy, Volume

Needs = Literal["live", "recreate"]
"""`live` takes effect at once on what runs, `recreate` with the next container."""


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs."""

    key: str
    text: str
    """`idle_timeout 15m -> 30m`."""
    needs: Needs


def changes(old: Profile, new: Profile) -> tuple[Change, ...]:
    """Return all differences that matter, those that need a new container first."""
    found = [
        Change(key, f"{key} {before} -> {after}", needs)
        for key, needs, show in _FIELDS
        if (before := show(old)) != (after := show(new))
    ]
    told = {change.key for change in found}
    found += [
        Change(key, f"{key} changed", needs)
        for key, needs, value in _OPAQUE
        if value(old) != value(new) and not (key == "build" and "image" in told)
    ]
    return tuple(sorted(found, key=lambda change: change.needs != "recreate"))


def _image(profile: Profile) -> str:
    return f"build on {profile.build.base_image}" if profile.build else profile.image


def _idle(profile: Profile) -> str:
    return "never" if profile.idle_timeout is None else render_duration(profile.idle_timeout)


def _volumes(profile: Profile) -> str:
    return _words(map(_volume, profile.volumes))


def _volume(volume: Volume) -> str:
    return f"{volume.source}:{volume.target}" + (":ro" if volume.read_only else "")


def _words(words: Any) -> str:
    return "[" + ", ".join(words) + "]"


def _limit(name: str, show: Callable[[Any], str]) -> tuple[str, Needs, Callable[[Profile], str]]:
    return f"limits.{name}", "live", lambda profile: show(getattr(profile.limits, name))


def _security(name: str) -> tuple[str, Needs, Callable[[Profile], str]]:
    def show(profile: Profile) -> str:
        value = getattr(profile.security, name)
        return _words(value) if isinstance(value, tuple) else str(value) or '""'

    return f"security.{name}", "recreate", show


def _rule_texts(policy: ToolPolicy) -> tuple[Any, ...]:
    rules = tuple((rule.answer, rule.match, rule.path, rule.reason) for rule in policy.rules)
    return policy.tool, policy.default, rules, policy.timeout


_FIELDS: tuple[tuple[str, Needs, Callable[[Profile], str]], ...] = (
    ("image", "recreate", _image),
    ("volumes", "recreate", _volumes),
    ("work_dir", "recreate", lambda profile: profile.work_dir),
    ("workspace_root", "recreate", lambda profile: str(profile.workspace_root)),
    ("user", "recreate", lambda profile: profile.user),
    ("shell", "recreate", lambda profile: profile.shell),
    _security("network"),
    _security("read_only"),
    _security("cap_add"),
    _security("runtime"),
    ("idle_timeout", "live", _idle),
    ("on_change", "live", lambda profile: profile.on_change),
    ("auto_remove", "live", lambda profile: str(profile.auto_remove).lower()),
    _limit("memory", render_size),
    _limit("cpus", lambda value: f"{value:g}"),
    _limit("pids", str),
    _limit("timeout", render_duration),
    _limit("max_timeout", render_duration),
    _limit("output", render_size),
    _limit("output_kill", render_size),
)

_OPAQUE: tuple[tuple[str, Needs, Callable[[Profile], Any]], ...] = (
    ("setup", "recreate", lambda profile: profile.setup),
    ("build", "recreate", lambda profile: profile.build),
    ("interrupt_on", "live", lambda profile: tuple(map(_rule_texts, profile.interrupt_on))),
    ("approvals", "live", lambda profile: profile.approvals),
    # Values of variables may be secret enough not to be printed.
    ("env", "live", lambda profile: profile.env),
    ("secrets", "live", lambda profile: profile.secrets),
)
