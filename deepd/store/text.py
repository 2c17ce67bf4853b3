"""JSON as it is stored: compact, ASCII, so that any string that Python can hold fits in a row."""

from __future__ import annotations

import json

to_text = json.JSONEncoder(separators=(",", ":")).encode
to_canonical_text = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
from_text = json.loads
