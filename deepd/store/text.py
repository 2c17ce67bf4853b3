"""JSON as it is stored: compact, ASCII, so that any string that Python can hold fits in a row."""

from __future__ import annotations

import json

to_text = json.JSONEncoder(separators=(",", ":")).encode
to_canonical_text = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
to_sorted_text = json.JSONEncoder(sort_keys=True).encode
"""What a value is hashed as: not compact, as it was from the first version on."""
from_text = json.loads
