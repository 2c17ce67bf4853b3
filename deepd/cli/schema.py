"""`deepd schema`: the JSON Schema of profiles, for editors."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING

from deepd.cli.parser import add_verb

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    add_verb(
        subparsers,
        "schema",
        description="Name it in a profile's first lines: #:schema ./profile.schema.json",
    )


def run(args: Namespace) -> int:
    """Print the schema."""
    del args
    print(schema_text(), end="")
    return 0


def schema_text() -> str:
    """Return the schema as it is kept in `config/profile.schema.json`."""
    from deepd.config.schema import profile_schema  # noqa: PLC0415 - it needs pydantic

    return json.dumps(profile_schema(), indent=2, ensure_ascii=False) + "\n"
