"""Look into what a release is made of: `python .ci/check_release.py dist`.

It ends with 1 and says what is wrong.
"""

from __future__ import annotations

import struct
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

MACHINES = {"x86_64": 62, "aarch64": 183}
"""Each with its number in an ELF header."""
INTERPRETER = 3
"""The type of a program header that only a program with shared libraries has."""
MUST_HAVE = {
    *("LICENSE", "CHANGELOG.md", "README.md", "pyproject.toml", "config/python.toml"),
    *("deepd/guest/guest.c", "deepd/guest/guest.h", "deepd/guest/build_hook.py"),
    "tests/conftest.py",
}
"""What the archive of sources has besides; from it a wheel is built."""


def main(folder: Path) -> None:
    """Check the only two files that must be there."""
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    sources, wheels = sorted(folder.glob("*.tar.gz")), sorted(folder.glob("*.whl"))
    expect(len(sources) == len(wheels) == 1, f"one archive and one wheel: {[*sources, *wheels]}")
    check_sources(sources[0], version)
    check_wheel(wheels[0], version)
    print(f"{sources[0].name} and {wheels[0].name} are whole")


def check_sources(archive: Path, version: str) -> None:
    """Check that everything is there to build from, and nothing that was built."""
    with tarfile.open(archive) as opened:
        names = {name.removeprefix(f"deepd-{version}/") for name in opened.getnames()}
    expect(names >= MUST_HAVE, f"{archive.name} lacks {sorted(MUST_HAVE - names)}")
    built = sorted(name for name in names if name.startswith("deepd/guest/bin/"))
    expect(not built, f"{archive.name} has {built}")


def check_wheel(wheel: Path, version: str) -> None:
    """Check that it fits both machines, and carries the guest of both."""
    for machine in MACHINES:
        expect(f"manylinux_2_17_{machine}" in wheel.name, f"{wheel.name} is not for {machine}")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        info = f"deepd-{version}.dist-info"
        wanted = {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt", "deepd/py.typed"}
        expect(names >= wanted, f"{wheel.name} lacks {sorted(wanted - names)}")
        for machine, number in MACHINES.items():
            name = f"deepd/guest/bin/guest-{machine}"
            expect({name, f"{name}.sources"} <= names, f"{wheel.name} lacks {name}")
            mode = opened.getinfo(name).external_attr >> 16
            expect(mode & 0o111 == 0o111, f"{name} may not be run: {mode:o}")
            check_program(name, opened.read(name), number)


def check_program(name: str, data: bytes, machine: int) -> None:
    """Check that a file is a program for that machine that needs nothing else."""
    magic, bits, order = struct.unpack_from("<4sBB", data)
    expect((magic, bits, order) == (b"\x7fELF", 2, 1), f"{name} is no 64-bit program")
    expect(struct.unpack_from("<H", data, 18)[0] == machine, f"{name} is for another machine")
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = [struct.unpack_from("<I", data, start + at * size)[0] for at in range(count)]
    expect(bool(kinds) and INTERPRETER not in kinds, f"{name} is not static")


def expect(holds: bool, text: str) -> None:  # noqa: FBT001 - it is what is said
    """End where something does not hold."""
    if not holds:
        sys.exit(f"release: {text}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
