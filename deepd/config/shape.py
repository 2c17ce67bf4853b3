"""The shape of a profile's file: the one source of what is checked and of the JSON Schema.

What is said here is what one value can tell; what takes the file system or a second value is
checked in `volume.py` and `rules.py`. Discriminated unions, so that an error is about the form
that was meant; their tags are in `<…>` because pydantic puts them into an error's place.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from deepd.config import kind
from deepd.model.profile import Answer, EngineName, Isolation, OnChange, PackageManager


class Table(BaseModel):
    """A table of the file: nothing unknown, nothing converted.

    What is said below a field is its description in the JSON Schema; `schema.py` reads it.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        defer_build=True,  # else each is built alone, and then once more in what it is part of
    )


def _form(value: Any) -> str | None:
    """Return the tag of the form that a value is written in."""
    forms = {bool: "<bool>", str: "<text>", list: "<list>", dict: "<table>"}
    return forms.get(type(value))


class BuildTable(Table):
    """An image made here, instead of `image`; cached by content."""

    base_image: kind.Image
    packages: list[kind.Line] = Field(default=[], max_length=500)
    package_manager: PackageManager = "pip"
    setup_commands: list[kind.Command] = Field(default=[], max_length=100)


class LimitsTable(Table):
    """What a sandbox and a call may use."""

    memory: kind.Size = 1 << 30
    cpus: float = Field(default=2.0, gt=0, le=4096)
    pids: int = Field(default=256, ge=8, le=4_194_304)
    timeout: kind.PositiveDuration = 300.0
    """A call's own timeout may only be shorter, up to `max_timeout`."""
    max_timeout: kind.PositiveDuration = 3600.0
    output: kind.Size = 1 << 20
    """Kept per call; the rest is counted."""
    output_kill: kind.Size = 64 << 20
    """A call that prints more is killed."""


class SecurityTable(Table):
    """What a sandbox may reach beyond itself."""

    network: kind.Network = "none"
    read_only: bool = False
    """Whether the root file system is read-only."""
    cap_add: list[kind.Capability] = Field(default=[], max_length=64)
    runtime: kind.Runtime = ""


class LocalTable(Table):
    """What holds where sandboxes are made of this machine's own processes, without images."""

    fallback: bool = False
    """With `engine = "auto"`: run so when no container engine answers, whatever the image."""
    isolation: Isolation = "auto"
    """`none` runs calls as plain processes, which reach whatever you do."""


class VolumeTable(Table):
    """A volume in its long form."""

    source: kind.Line
    """A path, relative to this file, or the name of an engine's volume."""
    target: kind.InnerPath
    read_only: bool = False
    type: Literal["bind", "volume"] = "bind"


class RuleTable(Table):
    """A rule in its long form."""

    match: kind.CommandPattern | None = None
    """Over a command: its words, or `re:` and a regular expression."""
    path: kind.PathPattern | None = None
    """Over the path of a file tool, relative to `work_dir`."""
    reason: kind.Line | None = None
    """Told to the caller and to the person who decides."""


RuleEntry = Annotated[
    Annotated[kind.Line, Tag("<text>")] | Annotated[RuleTable, Tag("<table>")],
    Discriminator(_form),
]


class ToolTable(Table):
    """What holds for one tool."""

    default: Answer = "ask"
    """For what no rule decides."""
    allow: list[RuleEntry] = Field(default=[], max_length=kind.MAX_RULES)
    """Run at once: every command of a call must be allowed, and nothing unproven in it."""
    ask: list[RuleEntry] = Field(default=[], max_length=kind.MAX_RULES)
    """Held, also when it is allowed."""
    deny: list[RuleEntry] = Field(default=[], max_length=kind.MAX_RULES)
    """Refused, also when any part of a call matches."""
    timeout: kind.PositiveDuration | None = None
    """Decide within so long."""


class TestTable(Table):
    """A test of the profile's own rules: one tool with its command or path, and the answer."""

    execute: kind.Command | None = None
    read_file: kind.Line | None = None
    write_file: kind.Line | None = None
    edit_file: kind.Line | None = None
    ls: kind.Line | None = None
    glob: kind.Line | None = None
    grep: kind.Line | None = None
    tool: kind.Line | None = None
    """A tool of an agent's own."""
    expect: Answer


class ApprovalsTable(Table):
    """How held calls wait."""

    default: Answer = "ask"
    """For tools that deepd does not know and `interrupt_on` does not name."""
    timeout: kind.PositiveDuration = 900.0
    on_timeout: Literal["deny", "keep"] = "deny"
    remember: list[Literal["session", "profile"]] = Field(default=["session"], max_length=2)
    """Scopes that a decision may be remembered for."""
    notify: list[kind.Notification] = Field(default=["bell"], max_length=10)


VolumeEntry = Annotated[
    Annotated[kind.Line, Tag("<text>")] | Annotated[VolumeTable, Tag("<table>")],
    Discriminator(_form),
]
ToolEntry = Annotated[
    Annotated[bool, Tag("<bool>")]
    | Annotated[Answer, Tag("<text>")]
    | Annotated[ToolTable, Tag("<table>")],
    Discriminator(_form),
]
InterruptOn = Annotated[
    Annotated[bool, Tag("<bool>")]
    | Annotated[list[kind.Tool], Tag("<list>")]
    | Annotated[dict[kind.Tool, ToolEntry], Tag("<table>")],
    Discriminator(_form),
]


class ProfileFile(Table):
    """What a sandbox should look like, and which calls a human wants to see first."""

    image: kind.Image | None = None
    build: BuildTable | None = None
    name: kind.Name | None = None
    """The file's name without `.toml` when left out."""
    idle_timeout: kind.Duration = 3600.0
    """Stop after so long without work; 0 = never."""
    volumes: list[VolumeEntry] = Field(default=[], max_length=100)
    """`source:target`, with `:ro` for read-only; sources are relative to this file."""
    work_dir: kind.InnerPath = "/workspace"
    interrupt_on: InterruptOn = False
    """The calls that are held: all (`true`), those of some tools, or a table of answers."""
    engine: EngineName = "auto"
    sessions: list[kind.Name] = Field(default=["main"], max_length=200)
    """Kept in existence; others are made on first use."""
    warm: int = Field(default=0, ge=0, le=64)
    """Started, unclaimed sandboxes held ready."""
    workspace_root: kind.Line | None = None
    """Where the sessions' workspaces are on this machine."""
    auto_remove: bool = True
    """Remove the container when its session stops; the workspace stays."""
    on_change: OnChange = "idle"
    """What a reload may recreate."""
    env: dict[kind.EnvName, kind.EnvValue] = {}
    secrets: list[kind.EnvName] = Field(default=[], max_length=200)
    """Taken from the daemon's environment, never stored, masked in logs."""
    setup: list[kind.Command] = Field(default=[], max_length=100)
    """Run once in each new container."""
    user: kind.User = "workspace"
    shell: kind.Shell = "auto"
    limits: LimitsTable = LimitsTable()
    security: SecurityTable = SecurityTable()
    local: LocalTable = LocalTable()
    approvals: ApprovalsTable = ApprovalsTable()
    test: list[TestTable] = Field(default=[], max_length=kind.MAX_TESTS)
    """The profile's own tests: all must hold, or the file is refused."""
