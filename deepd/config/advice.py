"""What a profile may say and people should know: for `check`, `status` and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from deepd.model.profile import CONSOLE_TOOLS, Profile, ToolPolicy

_AS_ROOT = "commands run as root, without capabilities"
_RISKY_CAPABILITIES = frozenset(
    {"SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "NET_ADMIN"}
)


def warnings(profile: Profile, environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return one sentence for each; with the daemon's environment, also for secrets it lacks."""
    said: list[str] = []
    if not any(_holds(policy) for policy in profile.interrupt_on):
        said.append("nothing is held: `interrupt_on` asks for no tool of deepd's")
    said += [
        f"{policy.written} does not count: {stronger.written} is stronger"
        for policy in profile.interrupt_on
        if (stronger := _stronger(policy, profile))
    ]
    said += _identity(profile)
    said += _reach(profile)
    if environment is not None:
        said += [
            f"the secret {name} is not set in this environment"
            for name in profile.secrets
            if name not in environment
        ]
    return tuple(said)


def _holds(policy: ToolPolicy) -> bool:
    names_one = any(fnmatchcase(tool, policy.tool) for tool in CONSOLE_TOOLS)
    return names_one and (policy.default != "allow" or bool(policy.rules))


def _stronger(policy: ToolPolicy, profile: Profile) -> ToolPolicy | None:
    """Return the entry that overrules this one in all that it names."""
    strength = ("allow", "ask", "deny")
    for other in profile.interrupt_on:
        covers = other.tool != policy.tool and fnmatchcase(policy.tool, other.tool)
        if covers and strength.index(other.default) > strength.index(policy.default):
            return other
    return None


def _identity(profile: Profile) -> list[str]:
    if profile.user == "root" or profile.user.startswith("0:"):
        return [f'user = "{profile.user}": {_AS_ROOT}']
    if profile.user != "workspace":
        return []
    for volume in profile.volumes:
        if volume.type == "bind" and volume.target == profile.work_dir and _is_roots(volume.source):
            return [f"root owns {volume.source}, the work folder: {_AS_ROOT}"]
    return []


def _is_roots(source: str) -> bool:
    try:
        return Path(source).stat().st_uid == 0
    except OSError:
        return False


def _reach(profile: Profile) -> list[str]:
    said = []
    if profile.local.isolation == "none" and (profile.engine == "local" or profile.local.fallback):
        said.append('isolation = "none": without containers, calls are plain processes of yours')
    if profile.engine == "auto" and profile.local.fallback:
        said.append("fallback = true: where no container engine answers, the image does not count")
    security = profile.security
    if security.network != "none":
        said.append(f'network = "{security.network}": the sandbox reaches this machine and beyond')
    said += [
        f"cap_add has {name}" + (", which can reach this machine" if risky else "")
        for name in security.cap_add
        for risky in (name in _RISKY_CAPABILITIES,)
    ]
    if profile.approvals.default == "allow":
        said.append('approvals.default = "allow": tools that deepd does not know are not held')
    return said
