"""Profile: what a sandbox should look like, as its author wrote it, validated and frozen."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from deepd.model.ids import ProfileName

EngineName = Literal["auto", "docker", "podman", "local", "kubernetes"]
OnChange = Literal["new", "idle", "now"]
Isolation = Literal["auto", "none"]
PackageManager = Literal["pip", "npm", "apt", "cargo"]
Answer = Literal["allow", "ask", "deny"]

CONSOLE_TOOLS = ("execute", "read_file", "write_file", "edit_file", "ls", "glob", "grep")
"""The tools that deepd itself runs; any other name is an agent's own tool."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a profile's file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Volume:
    """One mount: a host folder or file (`bind`) or an engine volume (`volume`)."""

    source: str
    """Absolute and resolved for a bind, the volume's name otherwise."""
    target: str
    read_only: bool = False
    type: Literal["bind", "volume"] = "bind"


@dataclass(frozen=True, slots=True)
class Build:
    """An image made here from a base image; cached by content."""

    base_image: str
    packages: tuple[str, ...] = ()
    package_manager: PackageManager = "pip"
    setup_commands: tuple[str, ...] = ()

    def tag(self) -> str:
        """Return the image name under which this build is kept: equal builds share one."""
        return f"deepd-build:{_digest(dataclasses.asdict(self))[:24]}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandbox and a call may use; bytes and seconds."""

    memory: int = 1 << 30
    cpus: float = 2.0
    pids: int = 256
    timeout: float = 300.0
    max_timeout: float = 3600.0
    output: int = 1 << 20
    output_kill: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Security:
    """What the sandbox may reach beyond itself."""

    network: str = "none"
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    runtime: str = ""


@dataclass(frozen=True, slots=True)
class Local:
    """What holds where sandboxes are made of processes of this machine, without images."""

    fallback: bool = False
    """With `engine = "auto"`: run here when no container engine answers, whatever the image."""
    isolation: Isolation = "auto"
    """`none` runs calls as plain processes that reach whatever deepd's user does."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `interrupt_on`: when it matches, `answer` counts."""

    answer: Answer
    match: str = ""
    """A pattern over an `execute` command: words, or `re:` and a linear-time regular expression."""
    path: str = ""
    """A glob over the path of a file tool."""
    reason: str = ""
    position: Position | None = None
    written: str = ""
    """The line as a person would look for it: `interrupt_on.execute.allow = ["ls *"]`."""


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """What `interrupt_on` says of one tool, or of all tools that a glob names."""

    tool: str
    default: Answer
    rules: tuple[Rule, ...] = ()
    timeout: float | None = None
    """Decide within so many seconds; `None` takes the profile's `approvals.timeout`."""
    position: Position | None = None
    written: str = ""
    """The line as a person would look for it: `interrupt_on.execute = true`."""


@dataclass(frozen=True, slots=True)
class Approvals:
    """How held calls wait."""

    default: Answer = "ask"
    timeout: float = 900.0
    on_timeout: Literal["deny", "keep"] = "deny"
    remember: tuple[Literal["session", "profile"], ...] = ("session",)
    notify: tuple[str, ...] = ("bell",)


@dataclass(frozen=True, slots=True)
class ProfileTest:
    """One `[[test]]` of a profile: a call and what the policy must answer."""

    tool: str
    args: tuple[tuple[str, str], ...]
    expect: Answer
    position: Position | None = None

    def call(self) -> dict[str, str]:
        """Return the call's arguments."""
        return dict(self.args)


@dataclass(frozen=True, slots=True)
class Profile:
    """One validated profile; two files that mean the same have the same revision."""

    name: ProfileName
    file: Path
    image: str = ""
    build: Build | None = None
    volumes: tuple[Volume, ...] = ()
    work_dir: str = "/workspace"
    engine: EngineName = "auto"
    sessions: tuple[str, ...] = ("main",)
    warm: int = 0
    workspace_root: Path = Path()
    auto_remove: bool = True
    on_change: OnChange = "idle"
    idle_timeout: float | None = 3600.0
    """Seconds without work after which the sandbox stops; `None` never."""
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    user: str = "workspace"
    shell: str = "auto"
    limits: Limits = field(default_factory=Limits)
    security: Security = field(default_factory=Security)
    local: Local = field(default_factory=Local)
    interrupt_on: tuple[ToolPolicy, ...] = ()
    approvals: Approvals = field(default_factory=Approvals)
    tests: tuple[ProfileTest, ...] = ()

    @property
    def image_ref(self) -> str:
        """The image that containers are made from, built here or not."""
        return self.build.tag() if self.build else self.image

    def revision(self) -> str:
        """Return the hash of all that the profile says, however and wherever it is written."""
        return _revision(self)

    def container_hash(self) -> str:
        """Return the hash of what only a new container can change.

        Limits that the engine updates live, `idle_timeout`, the policy, `env` and `secrets`
        (given with each call) are not in it, so a change of those never replaces a container.
        """
        fixed: dict[str, Any] = {
            "image": self.image_ref,
            "volumes": [dataclasses.asdict(volume) for volume in self.volumes],
            "work_dir": self.work_dir,
            "workspace_root": str(self.workspace_root),
            "user": self.user,
            "shell": self.shell,
            "setup": self.setup,
            "security": dataclasses.asdict(self.security),
        }
        # Only what is unlike a container of docker's: that one is known by the hash of the rest.
        if self.engine not in {"auto", "docker"}:
            fixed["engine"] = self.engine
        if self.local.isolation != "auto":
            fixed["isolation"] = self.local.isolation
        return _digest(fixed)


@lru_cache(maxsize=256)
def _revision(profile: Profile) -> str:
    """Hash it once: every decision needs it, and it takes half a millisecond."""
    said = _without_places(dataclasses.asdict(profile))
    if profile.local == Local():
        del said["local"]
    return _digest(said)


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_places(item)
            for key, item in value.items()
            if key not in {"position", "file", "written"}
        }
    if isinstance(value, list | tuple):
        return [_without_places(item) for item in value]
    return value


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
