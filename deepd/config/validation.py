"""Values to a checked shape: all that is wrong at once, each with its place in the file."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from deepd.config.document import Document
from deepd.config.kind import type_word
from deepd.config.problem import Problem, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ROUNDS = 20
"""Taking a wrong part out may uncover another one, such as a table that now lacks a key."""

Path = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_EXPECTED = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "list_type": "must be an array",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}
_FORMS: dict[tuple[str | int, int], str] = {
    ("volumes", 2): 'must be a string such as "./src:/workspace/src", or a table',
    ("interrupt_on", 1): "must be true, false, an array of tools, or a table",
    ("interrupt_on", 2): 'must be true, false, "allow", "ask", "deny", or a table',
}
"""What the keys that have several forms may be, by their name and depth."""
_RULE_FORM = 'must be a pattern such as "git diff *", or a table'


def validate(model: type[Model], document: Document) -> tuple[Model | None, list[Problem]]:
    """Return the shape and all problems; with problems, the shape of what is right beside them.

    The wrong parts are left out and the rest is tried again, so that later checks can add what
    they find: nobody should have to mend one mistake to be told of the next.
    """
    values = copy.deepcopy(document.values)
    problems: dict[tuple[Path, str], Problem] = {}
    left_out: set[Path] = set()
    for _ in range(ROUNDS):
        try:
            return model.model_validate(values), list(problems.values())
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in details:
            lacks = detail["loc"][-1:] if detail["type"] == "missing" else ()
            path = _path(detail["loc"][: len(detail["loc"]) - len(lacks)], document.values)
            if not (lacks and (*path, *lacks) in left_out):
                problem = _problem(model, document, detail, path)
                problems.setdefault((path, problem.message), problem)
            left_out.add(path)
            _leave_out(values, path)
    return None, list(problems.values())


def _path(loc: Path, values: Any) -> Path:
    """Return the part of pydantic's place that exists in the file, its own marks left out."""
    path: list[str | int] = []
    for part in loc:
        if _has(values, part):
            values = values[part]
            path.append(part)
    return tuple(path)


def _leave_out(values: Any, path: Path) -> None:
    """Remove a wrong key; of an array all, so that the places of no other item move."""
    owner, key = values, None
    for part in path:
        if not _has(values, part):
            return
        if isinstance(values, dict):
            owner, key = values, part
        values = values[part]
    if key is not None:
        del owner[key]


def _has(values: Any, part: str | int) -> bool:
    if isinstance(values, list):
        return isinstance(part, int) and part < len(values)
    return isinstance(values, dict) and part in values


def _problem(
    model: type[BaseModel], document: Document, detail: ErrorDetails, path: Path
) -> Problem:
    name = dotted(path)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(model, document, path)
        case "refused":
            place = document.key_problem if detail["loc"][-1] == "[key]" else document.value_problem
            return place(path, f"`{name}` {context['reason']}", context["hint"])
        case "missing":
            where = f"`{name}` needs" if path else "there must be"
            return document.value_problem(path, f"{where} `{detail['loc'][-1]}`")
        case "literal_error":
            return _not_one_of(document, path, context["expected"], detail["input"])
        case "union_tag_invalid" | "union_tag_not_found":
            form = _FORMS.get((path[0], len(path)), _RULE_FORM)
            return document.value_problem(
                path, f"`{name}` {form}, not {type_word(detail['input'])}"
            )
        case kind if kind in _EXPECTED:
            message = f"`{name}` {_EXPECTED[kind]}, not {type_word(detail['input'])}"
            return document.value_problem(path, message)
        case "too_long":
            return document.value_problem(
                path, f"`{name}` has more than {context['max_length']} items"
            )
        case _:
            said = detail["msg"].removeprefix("Input should ")
            return document.value_problem(path, f"`{name}` must {said}")


def _unknown_key(model: type[BaseModel], document: Document, path: Path) -> Problem:
    known = _known_keys(model, path[:-1])
    return document.key_problem(
        path, f"unknown key `{dotted(path)}`", did_you_mean(str(path[-1]), known)
    )


def _known_keys(model: type[BaseModel], path: Path) -> Iterable[str]:
    """Return the keys of the table at a path, read off the JSON Schema."""
    schema = _schema(model)
    nodes = [schema]
    for part in path:
        nodes = [child for node in nodes for child in _children(schema, node, part)]
    return [key for node in nodes for key in node.get("properties", {})]


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _children(
    schema: dict[str, Any], node: dict[str, Any], part: str | int
) -> list[dict[str, Any]]:
    if isinstance(part, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return _forms(schema, found) if isinstance(found, dict) else []


def _forms(schema: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a node of the schema with its references followed and its alternatives spread."""
    if reference := node.get("$ref"):
        return _forms(schema, schema["$defs"][reference.rsplit("/", 1)[1]])
    alternatives = [*node.get("anyOf", []), *node.get("oneOf", [])]
    return [form for one in alternatives for form in _forms(schema, one)] or [node]


def _not_one_of(document: Document, path: Path, expected: str, value: object) -> Problem:
    words = expected.replace("'", '"')
    if not isinstance(value, str):
        return document.value_problem(
            path, f"`{dotted(path)}` must be {words}, not {type_word(value)}"
        )
    known = [word.strip('" ') for word in words.replace(" or ", ",").split(",")]
    return document.value_problem(
        path, f"`{dotted(path)}` must be {words}", did_you_mean(value, known)
    )


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as it is written in TOML: `interrupt_on."mcp_*"`, `volumes[0].target`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = _BARE_KEY.fullmatch(part)
            text += ("." if text else "") + (part if bare else f'"{part}"')
    return text
