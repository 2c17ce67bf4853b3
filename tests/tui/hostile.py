"""Texts that want to do something to whoever looks at them."""

from __future__ import annotations

HOSTILE = {
    "markup": "echo [bold red]x[/] [/] [/bold] [@click=app.exit]quit[/] [link=http://x]y[/link]",
    "osc 52": "echo \x1b]52;c;ZXZpbA==\x07 \x1b]52;c;ZXZpbA==\x1b\\",
    "osc 8": "echo \x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "csi": "echo \x1b[2J\x1b[H\x1b[31mred\x1b[0m\x1b[?1049l\x1b[6n",
    "c1": "echo \x9b31mred \x9d52;c;ZXZpbA==\x9c \x90x\x9c",
    "controls": "echo \x01\x02\x07\x08\x0b\x0c\r\x0e\x0f\x7f",
    "overwrite": "echo safe\rrm -rf /\r\necho \x08\x08\x08",
    "bidi": "echo \u202e\u2066txt.exe\u2069\u200f\u061c",
    "zero width": "ec\u200bho\u200d \ufeff\u2060 \u00ad\u034f",
    "blanks": "ls" + " " * 300 + "; rm -rf x",
    "tabs": "printf '\tx\t\ty'\n\tindented\n    four",
    "look": "echo \\u{1b} · → ⏎ ↪ … \\u{5c}u{41}",
    "combining": "echo Z" + "\u0301" * 40 + " \u0301",
    "wide": "echo 漢字 🎉 " + "字" * 90,
    "tags": "echo \U000e0041\U000e0042 \u2800 \u3164 \u115f",
    "long": "echo " + "0123456789abcdef" * 625,
    "lines": "\n".join(f"echo {number}" for number in range(3000)),
}
