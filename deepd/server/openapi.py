"""The schema of the API, made from the same table that the router is made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from deepd.server.endpoint import Endpoint
from deepd.wire.problems import CONTENT_TYPE

_REF = "#/components/schemas/{model}"


def openapi_document(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    bodies = {endpoint.body for endpoint in endpoints if endpoint.body is not None}
    chosen = sorted(bodies, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in chosen], ref_template=_REF)
    components: dict[str, Any] = dict(schemas.get("$defs", {}))
    for reply in {endpoint.reply for endpoint in endpoints if endpoint.reply is not None}:
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
        "components": {"schemas": components},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    in_path = re.findall(r"{(\w+)}", endpoint.path)
    parameters = [
        *({"name": name, "in": "path", "required": True, "schema": _TEXT} for name in in_path),
        *({"name": name, "in": "query", "schema": _TEXT} for name in endpoint.query),
    ]
    reply: dict[str, Any] = {"description": "done"}
    if endpoint.reply is not None:
        reply["content"] = {"application/json": {"schema": _ref(endpoint.reply.__name__)}}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "x-operator-only": endpoint.operator_only,
        "parameters": parameters,
        "responses": {
            "200": reply,
            "default": {
                "description": "what went wrong",
                "content": {CONTENT_TYPE: {"schema": _ref("Problem")}},
            },
        },
    }
    if endpoint.body is not None:
        schema = _ref(endpoint.body.__name__)
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "a stable code"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "next": {"type": "string", "description": "what to do about it"},
        "errno": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
