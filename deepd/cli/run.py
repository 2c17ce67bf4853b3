"""`deepd run`: the daemon in the foreground, its log on stderr."""

from __future__ import annotations

import gc
import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from deepd.cli.failure import say
from deepd.cli.parser import Parser, add_verb

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.config.settings import Settings

_LEVELS = ("debug", "info", "warning", "error")


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers, "run", description="SIGTERM and Ctrl-C end it in order; SIGHUP reloads."
    )
    add_daemon_options(parser)


def add_daemon_options(parser: Parser) -> None:
    """Add what `run` and `start` share."""
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="a profile, or a folder of them; may be repeated",
    )
    parser.add_argument("--log-level", choices=_LEVELS, default="info")
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="how each record is written"
    )


def run(args: Namespace) -> int:
    """Be the daemon until somebody ends it."""
    gc.disable()  # until it serves: collections would be a tenth of the start, and find nothing
    try:
        return _run(args)
    finally:
        gc.enable()


def _run(args: Namespace) -> int:
    # What else is installed has no say in how requests are read, and looking for it takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from deepd.config.paths import private_dir  # noqa: PLC0415 - `--help` has no use for it
    from deepd.config.settings import load_settings  # noqa: PLC0415 - it loads pydantic
    from deepd.daemon.diary import open_diary  # noqa: PLC0415 - only this command is the daemon
    from deepd.store.opening import Opening  # noqa: PLC0415 - the same

    diary = open_diary(args.log_level, args.log_format)
    settings = load_settings(runtime_dir=_runtime_dir(args.socket))
    paths = profile_paths(args.config)
    check_profiles(paths, settings)
    opening = Opening(private_dir(settings.state_dir))
    # Late, as it takes a third of a second, in which the store is looked through.
    from deepd.daemon.daemon import run_daemon  # noqa: PLC0415 - as said

    def ready() -> None:
        gc.enable()
        say(f"ready: {settings.runtime_dir}/deepd.sock")

    return run_daemon(settings, paths, diary, opening=opening, ready=ready)


def profile_paths(config: list[str]) -> list[Path]:
    """Return the files and folders that were named, or the user's folder of profiles."""
    from deepd.config.paths import config_dir  # noqa: PLC0415 - `--help` has no use for it

    return [Path(path) for path in config] or [path for path in (config_dir(),) if path.is_dir()]


def check_profiles(paths: list[Path], settings: Settings) -> None:
    """Refuse to start on files that make no sense; all that is wrong is said at once."""
    from deepd.config.load import find_profiles, load_profile  # noqa: PLC0415 - it loads pydantic
    from deepd.errors import ProfileError  # noqa: PLC0415 - the same

    files = find_profiles(paths)
    if not files:
        raise ProfileError(
            f"there is no profile at {', '.join(map(str, paths))}"
            if paths
            else "no profile is named",
            next_step="deepd init, then deepd start -c FILE",
        )
    problems: list[object] = []
    for file in files:
        try:
            load_profile(file, settings)
        except ProfileError as error:
            problems += error.problems or (error,)
    if problems:
        raise ProfileError(f"{len(problems)} problems", problems=tuple(problems))


def _runtime_dir(socket: str | None) -> Path | None:
    """Return the folder of a socket that was named; the daemon makes both sockets in it."""
    return Path(socket).absolute().parent if socket else None
