"""What the README says is what happens: its blocks are run, in their order, in one shell."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import User, containers

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def section(title: str) -> list[tuple[str, str]]:
    """Return the fenced blocks under one heading as (language, text)."""
    text = README.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.docker
def test_the_first_steps_do_what_they_say(user: User) -> None:
    (install, _), *steps = section("See it work")
    assert install == "sh"
    script = []
    for language, text in steps:
        if language == "toml":
            name = text.splitlines()[0].removeprefix("# ")
            (user.home / name).write_text(text)
        else:
            script.append(text)
    *before, stop = script
    curl = [text for _, text in section("The same from a script")]
    # `curl` needs a call that is not held, and a daemon: it goes in before the stop.
    release = "sed -i 's/^interrupt_on.*//' hello.toml; deepd reload\n"
    shell = "\n".join(["set -eu", *before, release, *curl, stop])
    deepd = user.home / "bin" / "deepd"
    deepd.parent.mkdir()
    deepd.write_text(f'#!/bin/sh\nexec {sys.executable} -m deepd "$@"\n')
    deepd.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=user.home,
        env=user.env | {"PATH": f"{deepd.parent}:{user.env['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^main +hello +ready", done.stdout, re.MULTILINE)
    assert "hello.toml:4" in done.stdout
    assert re.search(r"^42$", done.stdout, re.MULTILINE)
    assert "hello from /" in done.stdout
    assert containers(user) == []


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target


def test_the_readme_names_one_test_command() -> None:
    assert [language for language, _ in section("Tests")] == ["sh"]
    assert BLOCKS
