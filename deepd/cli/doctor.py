"""`deepd doctor`: what is wrong on this machine, and how to mend it."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepd.cli.connect import connect
from deepd.cli.failure import FAILED
from deepd.cli.finding import Finding, fail, ok, warn
from deepd.cli.parser import add_json, add_verb
from deepd.cli.show import paint, print_json
from deepd.errors import DeepdError, ProfileError
from deepd.model.visible import visible

if TYPE_CHECKING:
    from deepd.cli.parser import Subparsers
    from deepd.config.settings import Settings

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_WITHIN = 10.0


def add(subparsers: Subparsers) -> None:
    """Add the verb's parser."""
    parser = add_verb(subparsers, "doctor", description="Exits with 1 when something must be done.")
    parser.add_argument(
        "-c", "--config", action="append", default=[], metavar="FILE", help="look at these profiles"
    )
    add_json(parser)


def run(args: Namespace) -> int:
    """Look at everything and print what was found."""
    findings = list(_look(args))
    if args.json:
        print_json({"findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        print("\n".join(map(_render, findings)))
    return FAILED if any(finding.level == "fail" for finding in findings) else 0


def _render(finding: Finding) -> str:
    level = paint(finding.level.ljust(4), _COLOURS[finding.level])
    line = f"{level}  {finding.check:<15} {visible(finding.text, one_line=True)}"
    return f"{line}\n{'':22}-> {visible(finding.mend, one_line=True)}" if finding.mend else line


def _look(args: Namespace) -> Iterator[Finding]:
    from deepd.cli import host_checks  # noqa: PLC0415 - `--help` has no use for it
    from deepd.config.paths import operator_socket  # noqa: PLC0415 - the same
    from deepd.config.settings import load_settings  # noqa: PLC0415 - it loads pydantic

    try:
        settings = load_settings()
    except DeepdError as error:
        yield fail("settings", error.detail, error.next_step or "mend deepd.toml or DEEPD_*")
        return
    yield ok("settings", "they make sense")
    socket = Path(args.socket) if args.socket else operator_socket(settings.runtime_dir)
    yield from host_checks.check_folders(settings.runtime_dir, settings.state_dir)
    yield host_checks.check_socket_path(socket)
    yield _check_daemon(args)
    images: list[str] = []
    yield from _check_profiles(args, settings, images)
    yield from _check_engine(settings, images)


def _check_daemon(args: Namespace) -> Finding:
    try:
        info: dict[str, Any] = connect(args).info()
    except DeepdError as error:
        return warn("daemon", error.detail, error.next_step or "deepd start")
    engine = info["engine"]
    text = f"pid {info['pid']}, engine {engine.get('name')} {engine.get('state')}"
    if engine.get("state") == "down":
        return fail("daemon", f"{text}: {engine.get('detail')}", "see the engine's lines below")
    return ok("daemon", text)


def _check_profiles(args: Namespace, settings: Settings, images: list[str]) -> Iterator[Finding]:
    """Look at each profile and collect the images that they need."""
    from deepd.cli.run import profile_paths  # noqa: PLC0415 - `--help` has no use for it
    from deepd.config.load import find_profiles, load_profile  # noqa: PLC0415 - it loads pydantic

    files = find_profiles(_files_of_daemon(args) or profile_paths(args.config))
    if not files:
        yield warn("profiles", "there is none", "deepd init")
    for file in files:
        try:
            profile = load_profile(file, settings)
        except ProfileError as error:
            yield fail("profile", error.detail, f"deepd check {file}")
            continue
        if profile.build is None:
            images.append(profile.image)
        held = [policy.tool for policy in profile.interrupt_on]
        text = f"{profile.name} ({file})"
        if held:
            yield ok("profile", text)
        else:
            yield warn("profile", f"{text} holds nothing", "say what asks with interrupt_on")


def _files_of_daemon(args: Namespace) -> list[Path]:
    """Return the files that a daemon has loaded, unless others were named."""
    if args.config:
        return []
    try:
        return [Path(profile["file"]) for profile in connect(args).profiles()]
    except DeepdError:
        return []


def _check_engine(settings: Settings, images: list[str]) -> Iterator[Finding]:
    """Ask the engine itself: the daemon may have been told another endpoint, or be down."""
    import asyncio  # noqa: PLC0415 - only here in the whole command line

    from deepd.cli import host_checks  # noqa: PLC0415 - the same as above
    from deepd.engine.docker import DockerEngine  # noqa: PLC0415 - no other command needs it
    from deepd.engine.endpoint import find_endpoint  # noqa: PLC0415 - the same

    endpoint = find_endpoint(settings.docker_host)
    if endpoint.path:
        finding = host_checks.check_engine_socket(endpoint.path)
        yield finding
        if finding.level == "fail":
            return
    engine = DockerEngine("doctor", settings.docker_host, timeout=_WITHIN)
    try:
        info = asyncio.run(engine.info())
    except DeepdError as error:
        yield fail("engine", error.detail, error.next_step or f"look at {endpoint.url}")
        return
    yield ok("engine", f"{info.name} {info.version}, {info.isolation}")
    for warning in info.warnings:
        yield warn("engine", warning, "limits that the engine lacks do not hold")
    yield from host_checks.check_runtime(info.isolation)
    yield from asyncio.run(_ask_engine(settings.docker_host, images))


async def _ask_engine(docker_host: str, images: list[str]) -> list[Finding]:
    """Look for the guest of the engine's machine, and for each image."""
    from urllib.parse import quote  # noqa: PLC0415 - the same

    from deepd.engine.docker_client import DockerClient  # noqa: PLC0415 - the same
    from deepd.engine.endpoint import find_endpoint  # noqa: PLC0415 - the same

    client = DockerClient(find_endpoint(docker_host), timeout=_WITHIN)
    try:
        findings = [_check_guest((await client.server()).machine)]
        for image in dict.fromkeys(images):
            reply = await client.ask("GET", f"/images/{quote(image, safe='')}/json")
            findings.append(_check_image(image, is_here=reply.status == 200))
    finally:
        await client.aclose()
    return findings


def _check_image(image: str, *, is_here: bool) -> Finding:
    if is_here:
        return ok("image", image)
    step = f"it is pulled when needed: docker pull {image}"
    return warn("image", f"{image} is not here", step)


def _check_guest(machine: str) -> Finding:
    from deepd.guest.binary import guest_binary  # noqa: PLC0415 - the same

    try:
        return ok("guest", f"{guest_binary(machine)}")
    except (DeepdError, OSError) as error:
        return fail("guest", str(error), "install a C compiler or ziglang, then deepd again")
