"""Another model in place of a named one: agents run offline, with nothing else changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic_ai.capabilities import ResolveModelId
from pydantic_ai.models import Model, ModelResolutionContext

DEFAULT_MODEL = "openai:gpt-4.1"
"""What an agent uses that was made without a model."""

_replacement: ContextVar[Model[Any] | None] = ContextVar("deepd_model", default=None)


@contextmanager
def models_replaced(model: Model[Any]) -> Iterator[None]:
    """Let every agent made by `create_deep_agent` that names its model use this one meanwhile.

    For tests, demonstrations and recorded runs: with pydantic-ai's `FunctionModel` nothing is
    asked of a provider, and no key is needed. Models that were given as objects stay.
    """
    token = _replacement.set(model)
    try:
        yield
    finally:
        _replacement.reset(token)


def _resolve(_: ModelResolutionContext[Any], __: str) -> Model[Any] | None:
    return _replacement.get()


def replaceable() -> ResolveModelId[Any]:
    """Return the capability by which an agent's named model can be replaced."""
    return ResolveModelId(_resolve)
