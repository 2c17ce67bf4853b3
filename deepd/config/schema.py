"""The JSON Schema of a profile's file, for editors: made from the shape that checks it."""

from __future__ import annotations

from typing import Any

from deepd.config.shape import ProfileFile

TITLE = "deepd profile"
_WITHOUT_IMAGE = {
    "properties": {"engine": {"const": "local"}},
    "required": ["engine"],
    "not": {"anyOf": [{"required": ["image"]}, {"required": ["build"]}]},
}


def profile_schema() -> dict[str, Any]:
    """Return the schema; `config/profile.schema.json` is this, printed by `deepd schema`."""
    schema = _plain(ProfileFile.model_json_schema())
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
