"""The two themes: quiet, one accent colour, and enough contrast in 16 colours too."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="deepd-dark",
    primary="#6cb6ff",
    secondary="#6cb6ff",
    accent="#6cb6ff",
    success="#57ab5a",
    warning="#daaa3f",
    error="#f47067",
    foreground="#cdd3da",
    background="#12161b",
    surface="#12161b",
    panel="#20272f",
    dark=True,
    variables={
        "quiet": "#8b96a3",
        "line": "#333c46",
        "chosen": "#24364b",
        "chosen-dull": "#222a33",
        "add": "#1b3325",
        "remove": "#3d2022",
        "footer-key-foreground": "#6cb6ff",
    },
)
LIGHT = Theme(
    name="deepd-light",
    primary="#0a5fb4",
    secondary="#0a5fb4",
    accent="#0a5fb4",
    success="#1a7f37",
    warning="#8a5d00",
    error="#c21f2b",
    foreground="#22272e",
    background="#fcfcfb",
    surface="#fcfcfb",
    panel="#ecedee",
    dark=False,
    variables={
        "quiet": "#5f6975",
        "line": "#cfd4d9",
        "chosen": "#d5e6f8",
        "chosen-dull": "#e7eaed",
        "add": "#dcf3e1",
        "remove": "#fbe0e0",
        "footer-key-foreground": "#0a5fb4",
    },
)
