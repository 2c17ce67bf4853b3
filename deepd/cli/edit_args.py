"""A call's arguments in the person's editor: TOML, so that a script is written line by line."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from deepd.errors import BadRequestError

_HEAD = "# Change what will run, then save and leave. An empty file leaves the call held.\n"


def edit_args(args: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the person made of the arguments; `None` when the file was left empty."""
    text, suffix = render_args(args)
    edited = _in_editor(text, suffix)
    try:
        return parse_args(edited, suffix)
    except ValueError as error:
        raise BadRequestError(
            f"what was written is not {suffix[1:].upper()}: {error}",
            next_step="nothing was decided; run the command again",
        ) from None


def render_args(args: dict[str, Any]) -> tuple[str, str]:
    """Return the text to edit and its suffix: TOML where that says all, else JSON."""
    try:
        text = tomli_w.dumps(args, multiline_strings=True)
        if tomllib.loads(text) == args:
            return _HEAD + text, ".toml"
    except (TypeError, ValueError):
        pass
    return json.dumps(args, indent=2) + "\n", ".json"


def parse_args(text: str, suffix: str) -> dict[str, Any] | None:
    """Return the arguments in an edited text; `None` when nothing but comments is left."""
    if suffix == ".toml":
        return tomllib.loads(text) or None
    value = json.loads(text) if text.strip() else None
    if value is not None and not isinstance(value, dict):
        raise ValueError("the arguments are an object")
    return value


def _in_editor(text: str, suffix: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", suffix=suffix, prefix="deepd-", delete=False) as file:
        file.write(text)
    path = Path(file.name)
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)
        if done.returncode:
            raise BadRequestError(
                f"the editor `{editor}` ended with {done.returncode}",
                next_step="nothing was decided; set EDITOR to another one",
            )
        return path.read_text()
    except FileNotFoundError:
        raise BadRequestError(
            f"there is no editor `{editor}`", next_step="set EDITOR to one that is installed"
        ) from None
    finally:
        path.unlink(missing_ok=True)
