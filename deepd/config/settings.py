"""The daemon's own settings: argument, then `DEEPD_*`, then `deepd.toml`, then the default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from deepd.config import paths
from deepd.config.document import Document, parse_document
from deepd.config.problem import Problem, did_you_mean, render
from deepd.config.source import read_source
from deepd.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PREFIX = "DEEPD_"


def _not_a_boolean(value: object) -> object:
    if isinstance(value, bool):
        # Not a TypeError: pydantic collects only these.
        raise ValueError("must be a number, not a boolean")  # noqa: TRY004
    return value


def _folder(value: object) -> object:
    return paths.expanded(value, Path.cwd()) if isinstance(value, str) else value


def folders(value: object) -> object:
    """Split what has several folders in one text."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def _endpoint(value: str) -> str:
    if value and not value.startswith(("unix:///", "tcp://", "ssh://", "http://", "https://")):
        raise ValueError("must be an endpoint such as unix:///run/docker.sock")
    return value


Folder = Annotated[Path, BeforeValidator(_folder)]


class Settings(BaseModel):
    """What holds for the whole daemon, whatever its profiles say."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    runtime_dir: Folder = Field(default_factory=paths.runtime_dir)
    """The folder of the sockets."""
    state_dir: Folder = Field(default_factory=paths.state_dir)
    """The folder of the store and, unless a profile says otherwise, of the workspaces."""
    docker_host: Annotated[str, AfterValidator(_endpoint)] = ""
    """The engine's endpoint; empty is what docker itself would use."""
    podman_host: Annotated[str, AfterValidator(_endpoint)] = ""
    """Podman's endpoint; empty is CONTAINER_HOST, else the socket of its service."""
    allowed_roots: Annotated[tuple[Folder, ...], BeforeValidator(folders)] = ()
    """Where the sources of volumes may be; empty is the home and the profile's own folder."""
    start_concurrency: Annotated[int, BeforeValidator(_not_a_boolean)] = Field(
        default=4, ge=1, le=64
    )
    """How many sandboxes are started at once."""
    engine_timeout: Annotated[float, BeforeValidator(_not_a_boolean)] = Field(
        default=30.0, ge=1, le=3600
    )
    """Seconds that the engine has for one request; pulls and builds have their own limits."""


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings, or raise `SettingsError` with each place that is wrong.

    `overrides` are arguments of a command; those that are `None` were not given.
    """
    file = file or paths.config_dir() / paths.SETTINGS_FILE
    document = _read(file) if file.exists() else None
    given = {name: value for name, value in overrides.items() if value is not None}
    from_file = _from_file(document) if document else {}
    environment = {name.upper() for name, value in os.environ.items() if value}
    behind = {
        name: value
        for name, value in from_file.items()
        if name not in given and f"{PREFIX}{name.upper()}" not in environment
    }
    try:
        return _class_for(environment)(**(behind | given))
    except ValidationError as error:
        said = [_explain(detail, document, behind, given) for detail in error.errors()]
        raise SettingsError("\n".join(said)) from None


def _class_for(environment: set[str]) -> type[Settings]:
    """Return what reads the environment, if there is more in it than the folders.

    Those two are found without it, as clients find them; and loading it would be a tenth of most
    starts, for nothing.
    """
    others = Settings.model_fields.keys() - {"runtime_dir", "state_dir"}
    if environment.isdisjoint(f"{PREFIX}{name.upper()}" for name in others):
        return Settings
    from deepd.config.environment import EnvironmentSettings  # noqa: PLC0415 - as said

    return EnvironmentSettings


def _read(file: Path) -> Document:
    source = read_source(file)
    document = source if isinstance(source, Problem) else parse_document(source)
    if isinstance(document, Problem):
        raise SettingsError(render(document))
    known = Settings.model_fields
    if problems := [
        render(document.key_problem((key,), f"unknown key `{key}`", did_you_mean(key, known)))
        for key in document.values
        if key not in known
    ]:
        raise SettingsError("\n".join(problems))
    return document


def _from_file(document: Document) -> dict[str, Any]:
    """Return the file's values; its relative paths are relative to it."""
    values = dict(document.values)
    base = document.source.file.absolute().parent
    for name in ("runtime_dir", "state_dir"):
        if isinstance(values.get(name), str):
            values[name] = paths.expanded(values[name], base)
    if isinstance(roots := values.get("allowed_roots"), list):
        values["allowed_roots"] = tuple(
            paths.expanded(root, base) if isinstance(root, str) else root for root in roots
        )
    return values


def _explain(
    detail: ErrorDetails, document: Document | None, behind: dict[str, Any], given: dict[str, Any]
) -> str:
    """Return what is wrong with a setting, with the place that it came from."""
    name = str(detail["loc"][0])
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should ")
    message = message if message.startswith("must ") else f"must {message}"
    if name in given:
        return f"error: the argument {name} {message}"
    if document and name in behind:
        return render(document.value_problem((name,), f"`{name}` {message}"))
    return f"error: the environment's {PREFIX}{name.upper()} {message}"
