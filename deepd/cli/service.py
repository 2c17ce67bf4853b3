"""`deepd service`: a systemd unit for the daemon, shown, written or removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from deepd.cli.failure import FAILED, OK, say
from deepd.cli.parser import add_verb, refuse
from deepd.cli.units import NAME, render_unit
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers

_SYSTEM_FOLDER = Path("/etc/systemd/system")
_WITHIN = 60.0


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(
        subparsers,
        "service",
        description="Without -c the daemon reads the folder of profiles that `deepd run` reads.",
    )
    parser.add_argument("action", choices=("install", "uninstall", "show"))
    parser.add_argument(
        "-c", "--config", action="append", default=[], metavar="FILE", help="a profile, or a folder"
    )
    parser.add_argument("--system", action="store_true", help="for the machine, as the user deepd")
    parser.add_argument("--now", action="store_true", help="with install: enable and start it too")
    parser.add_argument("--force", action="store_true", help="with install: over a unit of yours")


def run(args: Namespace) -> int:
    """Show, write or remove the unit."""
    if args.now and args.action != "install":
        refuse("service", "--now goes with install")
    match args.action:
        case "show":
            print(_unit(args), end="")
            return OK
        case "install":
            return _install(args)
        case _:
            return _uninstall(args)


def unit_folder(*, system: bool) -> Path:
    """Return where units of this kind are."""
    if system:
        return _SYSTEM_FOLDER
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "systemd" / "user"


def _unit(args: Namespace) -> str:
    command = [*_program(), "run", "--log-format", "json"]
    for path in args.config:
        command += ["-c", str(Path(path).absolute())]
    return render_unit(command, system=args.system)


def _program() -> list[str]:
    """Return the installed command, by its whole path: a service has no PATH of ours."""
    beside = Path(sys.executable).with_name("deepd")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "deepd"]


def _install(args: Namespace) -> int:
    file = unit_folder(system=args.system) / NAME
    text, shown = _unit(args), visible(str(file), one_line=True)
    if file.exists() and file.read_text() != text and not args.force and not _is_ours(file):
        say(f"error: {shown} is not of `deepd service`\nnext: look at it, then add --force")
        return FAILED
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{NAME}.{os.getpid()}")
    fresh.write_text(text)
    fresh.chmod(0o644)
    fresh.replace(file)
    print(f"wrote {shown}")
    if args.now:
        return _systemctl(args, ("daemon-reload",), ("enable", "--now", NAME))
    scope = "" if args.system else "--user "
    print(f"next: systemctl {scope}daemon-reload && systemctl {scope}enable --now deepd")
    if args.system:
        print("      (once: useradd --system --groups docker --home-dir /var/lib/deepd deepd)")
    else:
        print("      (loginctl enable-linger keeps it running while you are logged out)")
    return OK


def _uninstall(args: Namespace) -> int:
    file = unit_folder(system=args.system) / NAME
    shown = visible(str(file), one_line=True)
    if not file.exists():
        print(f"there is no {shown}")
        return OK
    if not args.force and not _is_ours(file):
        say(f"error: {shown} is not of `deepd service`\nnext: look at it, then add --force")
        return FAILED
    if shutil.which("systemctl"):
        _systemctl(args, ("disable", "--now", NAME))
    file.unlink()
    print(f"removed {shown}; profiles, state and workspaces stay")
    return OK


def _is_ours(file: Path) -> bool:
    return "Written by `deepd service install" in file.read_text(errors="replace")


def _systemctl(args: Namespace, *commands: tuple[str, ...]) -> int:
    """Run systemctl for the unit's kind; it says itself what is wrong."""
    program = shutil.which("systemctl")
    if program is None:
        say("error: there is no systemctl here\nnext: start it yourself: deepd start")
        return FAILED
    scope = () if args.system else ("--user",)
    for command in commands:
        done = subprocess.run([program, *scope, *command], timeout=_WITHIN, check=False)
        if done.returncode:
            return FAILED
    return OK
