"""The schema of the API, made from the same table that the router is made from.

It is exact: each parameter, each kind of answer, and for each status the codes that come with it.
Requests that are made from this document are what the server is tried with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from deepd.server.endpoint import Endpoint
from deepd.server.failures import ALWAYS
from deepd.server.parameter import SESSION, Parameter
from deepd.server.reply import NDJSON, OCTETS, SSE
from deepd.wire.problems import CONTENT_TYPE, TABLE, statuses_of

_REF = "#/components/schemas/{model}"
_TOO_SLOW = {408: "bad-request: no whole header or body in time"}
"""What the connection itself answers, whatever is asked."""


def openapi_document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    bodies = {endpoint.body for endpoint in endpoints if endpoint.body is not None}
    chosen = sorted(bodies, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in chosen], ref_template=_REF)
    components: dict[str, Any] = dict(schemas.get("$defs", {}))
    for reply in {kind for line in endpoints for kind in (line.reply, line.taken) if _named(kind)}:
        schema = TypeAdapter(reply).json_schema(mode="serialization", ref_template=_REF)
        components |= schema.pop("$defs", {})
        components[reply.__name__] = schema
    components["Problem"] = _PROBLEM
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "deepd", "version": version},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    in_path = re.findall(r"{(\w+)}", endpoint.path)
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "x-operator-only": endpoint.operator_only,
        "parameters": [
            *({"name": name, "in": "path", "required": True} | _in_path(name) for name in in_path),
            *(_parameter(one) for one in endpoint.parameters),
        ],
        "responses": dict(_successes(endpoint)) | _failures(endpoint),
    }
    if endpoint.body is not None:
        content: dict[str, Any] = {"application/json": {"schema": _ref(endpoint.body.__name__)}}
        operation["requestBody"] = {"content": content}
    elif endpoint.raw:
        operation["requestBody"] = {"content": {OCTETS: {"schema": {}}}}
    return operation


def _in_path(name: str) -> dict[str, Any]:
    if name in {"session", "profile"}:
        return {"schema": SESSION.schema}
    return {"schema": {"type": "string", "minLength": 1, "pattern": "^[0-9a-f]{1,32}$"}}


def _parameter(one: Parameter) -> dict[str, Any]:
    about = {"description": one.about} if one.about else {}
    required = {"required": True} if one.required else {}
    return {"name": one.name, "in": one.place, "schema": one.schema} | about | required


def _successes(endpoint: Endpoint) -> Iterable[tuple[str, dict[str, Any]]]:
    if endpoint.reply is not None or endpoint.taken is None:
        yield "200", _success(endpoint.reply, "done")
    if endpoint.taken is not None:
        located = {"Location": {"schema": {"type": "string"}}} if endpoint.reply else {}
        yield (
            "202",
            _success(endpoint.taken, "taken; it goes on")
            | ({"headers": located} if located else {}),
        )
    if any(one.name == "Range" for one in endpoint.parameters):
        yield "206", _success(endpoint.reply, "the part that was asked for")


def _success(reply: Any, about: str) -> dict[str, Any]:
    return {"description": about, "content": dict(_content(reply))}


def _content(reply: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    if isinstance(reply, str):
        yield reply, {}
        if reply == NDJSON:
            yield SSE, {}
    elif _named(reply):
        yield "application/json", {"schema": _ref(reply.__name__)}
    else:
        yield "application/json", {"schema": {"type": "object"}}


def _named(reply: Any) -> bool:
    """Tell whether a reply is of a type that has a name of its own here."""
    return isinstance(reply, type) and not hasattr(reply, "__origin__")


def _failures(endpoint: Endpoint) -> dict[str, Any]:
    told: dict[int, list[str]] = {status: [text] for status, text in _TOO_SLOW.items()}
    for code in dict.fromkeys((*ALWAYS, *endpoint.fails)):
        for status in statuses_of(code):
            told.setdefault(status, []).append(f"{code}: {TABLE[code][1]}")
    problem = {CONTENT_TYPE: {"schema": _ref("Problem")}}
    return {
        str(status): {"description": "; ".join(texts), "content": problem}
        for status, texts in sorted(told.items())
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"enum": sorted(TABLE), "description": "a stable code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "next": {"type": "string", "description": "what to do about it"},
        "errno": {"type": "string", "description": "of a file operation"},
        "errors": {"type": "array", "items": {"type": "object"}, "description": "of a profile"},
        "output": {"type": "object", "description": "what it had printed"},
        "call": {"type": "string"},
        "rule": {"type": "string"},
    },
}
