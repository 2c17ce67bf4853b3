"""The kinds of value that a profile is made of: how each is checked, and how a schema says it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from deepd.config.capability import CAPABILITIES
from deepd.config.problem import did_you_mean
from deepd.errors import BadRequestError
from deepd.model.duration import parse_duration, parse_size
from deepd.model.ids import parse_profile_name
from deepd.model.profile import CONSOLE_TOOLS
from deepd.policy.pattern import PatternError, parse_pattern
from deepd.policy.place import parse_glob

MAX_DURATION = 10 * 366 * 86400
MAX_SIZE = 1 << 50
MAX_TEXT = 16 * 1024
MAX_RULES = 200
MAX_TESTS = 200
KEPT_FOR_DEEPD = ("/.deepd", "/.deepd-lane", "/proc", "/sys", "/dev")
"""Folders inside a sandbox that a profile may not put anything in place of."""

_TYPE_WORDS = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
_DOMAIN = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_IMAGE = re.compile(
    rf"(?:(?:{_DOMAIN})(?:\.{_DOMAIN})*(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ENGINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_USER = re.compile(r"workspace|root|(\d{1,10}):(\d{1,10})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def refuse(reason: str, hint: str = "") -> PydanticCustomError:
    """Return the error of a value; `reason` reads on from its name: "must be …"."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason, "hint": hint})


def type_word(value: object) -> str:
    """Return what a TOML value is, in words."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return _TYPE_WORDS.get(type(value), "a date or time")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise refuse(f"must be {what}, not {type_word(value)}")
    if len(value) > MAX_TEXT:
        raise refuse(f"is longer than {MAX_TEXT} characters")
    return value


def _line(value: object, what: str = "a string") -> str:
    text = _text(value, what)
    if not text.strip():
        raise refuse("is empty")
    if found := _CONTROL.search(text):
        raise refuse(f"has a control character (0x{ord(found[0]):02x})")
    return text


def _command(value: object) -> str:
    text = _text(value, "a string")
    if not text.strip():
        raise refuse("is empty")
    if "\0" in text:
        raise refuse("has a NUL character")
    return text


def _env_value(value: object) -> str:
    hint = f'write it in quotes: "{value}"' if type(value) in {int, float} else ""
    if not isinstance(value, str):
        raise refuse(f"must be a string, not {type_word(value)}", hint)
    if "\0" in _text(value, "a string"):
        raise refuse("has a NUL character")
    return value


def _measure(
    value: object, parse: Callable[[str], float], what: str, most: int, hint: str = ""
) -> float:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refuse(f"must be {what}, not {type_word(value)}", hint)
    try:
        number = parse(_short(value)) if isinstance(value, str) else value
    except ValueError:
        raise refuse(f"must be {what}") from None
    if not 0 <= number <= most:
        raise refuse("is negative" if number < 0 else "is too large")
    return number


def _short(text: str) -> str:
    """Return the text of a measure; a long one could make an integer of thousands of digits."""
    if len(text) > 32:
        raise ValueError("too long")
    return text


def _duration(value: object) -> float:
    hint = f'write "{value}s"' if isinstance(value, float) else ""
    what = 'a duration such as "90s", "15m", "1h30m", or whole seconds'
    return float(_measure(value, parse_duration, what, MAX_DURATION, hint))


def _positive_duration(value: object) -> float:
    seconds = _duration(value)
    if not seconds:
        raise refuse("must be longer than 0")
    return seconds


def _size(value: object) -> int:
    size = int(_measure(value, parse_size, 'a size such as "512k", "1g", or bytes', MAX_SIZE))
    if not size:
        raise refuse("must be more than 0")
    return size


def _name(value: object) -> str:
    try:
        return parse_profile_name(_text(value, "a name"))
    except BadRequestError as error:
        raise refuse("is not a valid name", error.next_step) from None


def _image(value: object) -> str:
    text = _line(value, 'an image such as "python:3.12-slim"')
    if len(text) > 512 or not _IMAGE.fullmatch(text):
        lower = text.lower()
        hint = f'did you mean "{lower}"?' if len(text) < 200 and _IMAGE.fullmatch(lower) else ""
        raise refuse('is not an image reference such as "python:3.12-slim"', hint)
    return text


def _env_name(value: object) -> str:
    text = _text(value, "a name")
    if not _ENV_NAME.fullmatch(text):
        raise refuse("is not the name of an environment variable", "use A-Z a-z 0-9 _")
    return text


def inner_path(value: object) -> str:
    """Return an absolute path of the sandbox that a profile may name."""
    text = _line(value, "an absolute path")
    if not text.startswith("/"):
        raise refuse("must be an absolute path", f'did you mean "/{text.removeprefix("./")}"?')
    normal = "/" + posixpath.normpath(text).lstrip("/")
    if text != normal:
        raise refuse("must be written without `..`, `.` and extra slashes", f'write "{normal}"')
    if text == "/":
        raise refuse("must be a folder below /")
    for folder in KEPT_FOR_DEEPD:
        if text == folder or text.startswith(folder + "/"):
            raise refuse(f"may not be in {folder}")
    return text


def _user(value: object) -> str:
    text = _line(value, 'a user: "workspace", "root" or "1000:1000"')
    match = _USER.fullmatch(text)
    if not match or any(int(number) >= 2**31 for number in match.groups() if number):
        raise refuse('must be "workspace", "root" or numbers such as "1000:1000"')
    return text


def _shell(value: object) -> str:
    text = _line(value)
    if text != "auto" and (not text.startswith("/") or " " in text):
        raise refuse('must be "auto" or an absolute path such as "/bin/sh"')
    return text


def _network(value: object) -> str:
    text = _line(value, 'a network: "none", "bridge" or its name')
    if text == "host":
        raise refuse("may not be this machine's own network", 'use "bridge" or a named network')
    if text == "default":
        raise refuse("must be named", 'write "bridge"')
    if not _ENGINE_NAME.fullmatch(text):
        raise refuse("is not the name of a network")
    return text


def _runtime(value: object) -> str:
    text = _text(value, "the name of a runtime")
    if text and not _ENGINE_NAME.fullmatch(text):
        raise refuse("is not the name of a runtime")
    return text


def _capability(value: object) -> str:
    text = _line(value, "a capability such as NET_BIND_SERVICE")
    name = text.removeprefix("CAP_")
    if name not in CAPABILITIES:
        near = did_you_mean(name.upper().removeprefix("CAP_"), CAPABILITIES)
        hint = "name each one" if name == "ALL" else near
        raise refuse("is not a Linux capability", hint)
    return name


def _tool(value: object) -> str:
    text = _line(value, "the name of a tool")
    if text in CONSOLE_TOOLS or (len(text) <= 128 and any(sign in text for sign in "*?[")):
        return text
    near = did_you_mean(text, CONSOLE_TOOLS)
    glob = f'an agent\'s own tool is written as a glob: "{text[:40]}*"'
    raise refuse("is not a tool of deepd's", f"{near} {glob}".strip())


def _command_pattern(value: object) -> str:
    text = _line(value, 'a pattern such as "git diff *", or a table')
    try:
        parse_pattern(text)
    except PatternError as error:
        raise refuse(str(error), error.hint) from None
    return text


def _path_pattern(value: object) -> str:
    text = _line(value, 'a path such as ".github/**"')
    try:
        parse_glob(text)
    except PatternError as error:
        raise refuse(str(error), error.hint) from None
    return text


def _notification(value: object) -> str:
    text = _line(value, 'a string: "bell", "desktop" or "command:…"')
    command = text.removeprefix("command:")
    if text not in {"bell", "desktop"} and (command == text or not command.strip()):
        raise refuse(
            'must be "bell", "desktop" or "command:…"', did_you_mean(text, ("bell", "desktop"))
        )
    return text


def _schema(description: str, *examples: Any, **schema: Any) -> WithJsonSchema:
    said: dict[str, Any] = {"description": description} | (schema or {"type": "string"})
    return WithJsonSchema(said | ({"examples": list(examples)} if examples else {}))


_MEASURE: dict[str, Any] = {"type": ["string", "integer"], "minimum": 0}

Duration = Annotated[
    float,
    PlainValidator(_duration),
    _schema("A duration, or whole seconds.", "90s", "15m", "1h30m", **_MEASURE),
]
PositiveDuration = Annotated[
    float,
    PlainValidator(_positive_duration),
    _schema("A duration above 0, or whole seconds.", "90s", "15m", **_MEASURE),
]
Size = Annotated[
    int, PlainValidator(_size), _schema("A size, or bytes.", "512k", "64MiB", "1g", **_MEASURE)
]
Name = Annotated[
    str,
    PlainValidator(_name),
    _schema("A name.", "main", type="string", pattern="^[a-z0-9][a-z0-9_.-]{0,62}$"),
]
Image = Annotated[str, PlainValidator(_image), _schema("An image.", "python:3.12-slim")]
EnvName = Annotated[
    str,
    PlainValidator(_env_name),
    _schema("A variable's name.", type="string", pattern="^[A-Za-z_][A-Za-z0-9_]*$"),
]
EnvValue = Annotated[str, PlainValidator(_env_value), _schema("A variable's value.")]
Line = Annotated[str, PlainValidator(_line), _schema("Text on one line.")]
Command = Annotated[str, PlainValidator(_command), _schema("A shell command.")]
CommandPattern = Annotated[
    str,
    PlainValidator(_command_pattern),
    _schema(
        "Words of a command, `?` for one and a last `*` for all further ones; or `re:` and a "
        "regular expression.",
        "git diff *",
        "re:curl .*\\|",
    ),
]
PathPattern = Annotated[
    str,
    PlainValidator(_path_pattern),
    _schema("A glob over paths, relative to `work_dir`.", ".github/**", "**/.env"),
]
InnerPath = Annotated[
    str,
    PlainValidator(inner_path),
    _schema("An absolute path in the sandbox.", "/workspace", type="string", pattern="^/."),
]
User = Annotated[
    str,
    PlainValidator(_user),
    _schema("Who commands run as.", "workspace", "root", "1000:1000"),
]
Shell = Annotated[str, PlainValidator(_shell), _schema("auto, or a path.", "auto", "/bin/sh")]
Network = Annotated[
    str, PlainValidator(_network), _schema("none, bridge or a network's name.", "none", "bridge")
]
Runtime = Annotated[str, PlainValidator(_runtime), _schema("The engine's runtime.", "runsc")]
Capability = Annotated[
    str,
    PlainValidator(_capability),
    _schema(
        "A Linux capability, with or without CAP_.",
        "NET_BIND_SERVICE",
        anyOf=[{"enum": sorted(CAPABILITIES)}, {"type": "string", "pattern": "^CAP_[A-Z_]+$"}],
    ),
]
Notification = Annotated[
    str, PlainValidator(_notification), _schema("How to notify.", "bell", "desktop", "command:…")
]
Tool = Annotated[
    str,
    PlainValidator(_tool),
    _schema(
        "A tool of deepd's, or a glob over the names of an agent's own tools.",
        anyOf=[{"enum": list(CONSOLE_TOOLS)}, {"type": "string", "pattern": r"[*?\[]"}],
    ),
]
