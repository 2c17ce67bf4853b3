"""The daemon's settings where the environment has some of them; pydantic-settings reads it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deepd.config.settings import PREFIX, Folder, Settings, folders


class EnvironmentSettings(BaseSettings, Settings):
    """`Settings` whose fields are arguments, then the environment's, then their defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True)

    allowed_roots: Annotated[tuple[Folder, ...], NoDecode, BeforeValidator(folders)] = ()
    """As elsewhere, and not JSON: folders with the path's separator between them."""
