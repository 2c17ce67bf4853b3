"""`deepd init`: writes a starter profile, and never over a file that is there."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from deepd.cli.failure import FAILED, OK, say
from deepd.cli.parser import add_verb
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

DEFAULT_FILE = Path("profile.toml")


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "init")
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        default=DEFAULT_FILE,
        help=f"where to write it (default: {DEFAULT_FILE})",
    )
    parser.add_argument("--image", metavar="IMAGE", help="the image that it names")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(args: Namespace) -> int:
    """Write the file and say what to do with it."""
    from deepd.config.starter import DEFAULT_IMAGE, starter_profile  # noqa: PLC0415 - only here

    file: Path = args.file
    text = starter_profile(args.image or DEFAULT_IMAGE)
    name = visible(str(file), one_line=True)
    try:
        _write(file, text, force=args.force)
    except FileExistsError:
        say(f"error: {name} exists already\nnext: name another file, or add --force")
        return FAILED
    except OSError as error:
        say(f"error: cannot write {name}: {error.strerror}\nnext: name a file in a folder of yours")
        return FAILED
    print(f"wrote {name}\nnext: deepd check {name} && deepd start -c {name}")
    return OK


def _write(file: Path, text: str, *, force: bool) -> None:
    """Write a file that only this user may change; one that is there is exchanged as a whole."""
    target = file.with_name(f".{file.name}.{os.getpid()}") if force else file
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        target.chmod(0o644)
        if force:
            target.replace(file)
    except OSError:
        target.unlink(missing_ok=True)
        raise
