"""The JSON Schema of a profile's file, for editors: made from the shape that checks it."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any

from deepd.config import shape
from deepd.config.shape import ProfileFile

TITLE = "deepd profile"
_WITHOUT_IMAGE = {
    "properties": {"engine": {"const": "local"}},
    "required": ["engine"],
    "not": {"anyOf": [{"required": ["image"]}, {"required": ["build"]}]},
}


def profile_schema() -> dict[str, Any]:
    """Return the schema; `config/profile.schema.json` is this, printed by `deepd schema`."""
    schema = _plain(_described(ProfileFile.model_json_schema()))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": TITLE,
        **schema,
        "oneOf": [{"required": ["image"]}, {"required": ["build"]}, _WITHOUT_IMAGE],
    }


def _plain(node: Any) -> Any:
    """Leave out what pydantic adds and TOML does not have: titles of fields, and null."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    forms = [form for form in node.get("anyOf", []) if form != {"type": "null"}]
    if len(forms) == 1:
        node = forms[0] | {key: value for key, value in node.items() if key != "anyOf"}
    return {
        key: _plain(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and value is None)
    }


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Add what the shape's source says below its fields.

    pydantic would do so with `use_attribute_docstrings`, in every start of the daemon: reading the
    source took a thirtieth of it, and only this needs it.
    """
    tables = {**schema["$defs"], ProfileFile.__name__: schema}
    for table in ast.parse(inspect.getsource(shape)).body:
        if not isinstance(table, ast.ClassDef) or table.name not in tables:
            continue
        fields = tables[table.name]["properties"]
        for name, text in _docstrings(table):
            fields[name] = dict(sorted({**fields[name], "description": text}.items()))
    return schema


def _docstrings(table: ast.ClassDef) -> list[tuple[str, str]]:
    return [
        (field.target.id, inspect.cleandoc(said.value.value))
        for field, said in pairwise(table.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant)
        if isinstance(said.value.value, str)
    ]
