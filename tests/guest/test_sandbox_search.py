"""Globs, greps and archives over real files."""

from __future__ import annotations

import asyncio
import io
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deepd.errors import ArgumentsError, FileError
from deepd.sandbox.sandbox import Sandbox

TREE = {
    "a.py": "import os\nprint('hello')\n",
    "src/a.py": "def main():\r\n    pass\r\n",
    "src/x/y/deep.py": "needle at the end",
    "src/data.txt": "needle\nno\nneedle 2\n",
    ".hidden/secret.py": "needle\n",
    "src/.env": "needle=1\n",
}


@pytest.fixture
def tree(workspace: Path) -> Path:
    for name, text in TREE.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_bytes(text.encode())
    (workspace / "binary").write_bytes(b"needle\0needle")
    (workspace / "latin").write_bytes(b"caf\xe9 needle\n")
    return workspace


async def glob(sandbox: Sandbox, pattern: str, path: str = ".", **options: bool) -> list[str]:
    found = await sandbox.glob(pattern, path, **options)
    prefix = sandbox.work_dir + "/"
    return [entry.path.removeprefix(prefix) for entry in found]


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("**/*.py", ".", ["a.py", "src/a.py", "src/x/y/deep.py"]),
        ("*.py", ".", ["a.py"]),
        ("src/**/*.py", ".", ["src/a.py", "src/x/y/deep.py"]),
        ("*.py", "src", ["src/a.py"]),
        ("src/*", ".", ["src/a.py", "src/data.txt", "src/x"]),
        (".hidden/*.py", ".", [".hidden/secret.py"]),
        ("**/.env", ".", ["src/.env"]),
        ("src/a.py", ".", ["src/a.py"]),
        ("nowhere/*.py", ".", []),
        ("src/missing.py", ".", []),
        ("a.py/*", ".", []),
    ],
)
async def test_a_glob_finds_sorted_what_it_says(
    sandbox: Sandbox, tree: Path, pattern: str, path: str, found: list[str]
) -> None:
    assert await glob(sandbox, pattern, path) == found


async def test_a_glob_tells_sizes_and_takes_absolute_patterns(sandbox: Sandbox, tree: Path) -> None:
    [entry] = await sandbox.glob(f"{tree}/src/x/**/*.py", "/")
    assert (entry.path, entry.size, entry.kind) == (f"{tree}/src/x/y/deep.py", 17, "file")
    assert ".hidden/secret.py" in await glob(sandbox, "**/*.py", hidden=True)
    assert len(await sandbox.glob("**", limit=2)) == 2
    with pytest.raises(FileError):
        await sandbox.glob("*.py", "missing")


async def test_a_grep_finds_lines_with_their_numbers(sandbox: Sandbox, tree: Path) -> None:
    found = await sandbox.grep("needle")
    assert [(m.path.removeprefix(f"{tree}/"), m.line_number, m.line) for m in found] == [
        ("latin", 1, "caf\\xe9 needle"),
        ("src/data.txt", 1, "needle"),
        ("src/data.txt", 3, "needle 2"),
        ("src/x/y/deep.py", 1, "needle at the end"),
    ]
    assert [m.line for m in await sandbox.grep(r"^def \w+\(\):$")] == ["def main():"]


async def test_a_grep_can_be_narrowed(sandbox: Sandbox, tree: Path) -> None:
    async def paths(**options: object) -> list[str]:
        found = await sandbox.grep("needle", **options)  # type: ignore[arg-type]
        return sorted({match.path.removeprefix(f"{tree}/") for match in found})

    assert await paths(glob="*.py") == ["src/x/y/deep.py"]
    assert await paths(glob="src/**/*.txt") == ["src/data.txt"]
    assert await paths(glob="*.py", ignore_hidden=False) == [".hidden/secret.py", "src/x/y/deep.py"]
    assert await paths(path="src/data.txt") == ["src/data.txt"]
    assert await paths(path="src/x") == ["src/x/y/deep.py"]
    assert len(await sandbox.grep("needle", limit=2)) == 2


async def test_a_file_and_a_folder_of_the_same_name_are_told_apart(
    sandbox: Sandbox, workspace: Path
) -> None:
    (workspace / "same").mkdir()
    (workspace / "same" / "same").write_text("needle")
    assert [m.path for m in await sandbox.grep("needle", "same")] == [f"{workspace}/same/same"]
    assert [m.path for m in await sandbox.grep("needle", "same/same")] == [f"{workspace}/same/same"]


async def test_a_grep_is_no_way_to_run_or_hang_anything(sandbox: Sandbox, workspace: Path) -> None:
    (workspace / "f").write_text("a" * 100_000 + "!\n" + 'it\'s "quoted" $(touch x)\n')
    start = time.monotonic()
    assert await sandbox.grep("(a+)+$") == []
    assert time.monotonic() - start < 10
    assert len(await sandbox.grep('it\'s "quoted" \\$\\(touch x\\)')) == 1
    for bad in ("(", "", "(?=x)"):
        with pytest.raises(ArgumentsError):
            await sandbox.grep(bad)
    with pytest.raises(FileError):
        await sandbox.grep("x", "missing")
    assert not (workspace / "x").exists()


async def test_a_grep_lets_others_have_their_turn(sandbox: Sandbox, workspace: Path) -> None:
    for n in range(200):
        (workspace / f"f{n}").write_text("some line that is not it\n" * 2000)
    longest, running = 0.0, True

    async def watch() -> None:
        nonlocal longest
        last = time.monotonic()
        while running:
            await asyncio.sleep(0)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    watching = asyncio.create_task(watch())
    assert await sandbox.grep("(x+x+)+y") == []
    running = False
    await watching
    assert longest < 0.5


async def test_an_archive_unpacks_to_the_same_tree(sandbox: Sandbox, tree: Path) -> None:
    (tree / "src" / "link").symlink_to("x/y/deep.py")
    (tree / "src" / "empty").mkdir()
    (tree / "a.py").chmod(0o755)
    assert await sandbox.extract("copy", sandbox.archive("src")) == 8
    assert await sandbox.extract("one", sandbox.archive("a.py")) == 1
    assert (tree / "one" / "a.py").read_text() == TREE["a.py"]
    assert (tree / "one" / "a.py").stat().st_mode & 0o777 == 0o755
    assert (tree / "copy" / "empty").is_dir()
    assert (tree / "copy" / "link").readlink() == Path("x/y/deep.py")
    for name in ("a.py", "x/y/deep.py", ".env", "data.txt"):
        assert (tree / "copy" / name).read_bytes() == (tree / "src" / name).read_bytes()


async def test_tarfile_reads_an_archive(sandbox: Sandbox, tree: Path) -> None:
    data = b"".join([piece async for piece in sandbox.archive()])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = {member.name for member in archive}
        content = archive.extractfile("binary")
        assert content is not None
        assert content.read() == b"needle\0needle"
    assert set(TREE) | {"src", "src/x", "src/x/y", ".hidden", "binary", "latin"} == names


async def test_a_hostile_archive_leaves_nothing_outside(sandbox: Sandbox, workspace: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, ".."
        archive.addfile(link)
        file = tarfile.TarInfo("out/escaped")
        archive.addfile(file)

    async def source() -> AsyncIterator[bytes]:
        yield buffer.getvalue()

    with pytest.raises(ArgumentsError):
        await sandbox.extract("inside", source())
    assert [path.name for path in workspace.iterdir()] == ["inside"]


async def test_a_planted_link_is_replaced_and_not_followed(
    sandbox: Sandbox, workspace: Path
) -> None:
    (workspace / "victim").write_text("precious")
    (workspace / "inside").mkdir()
    (workspace / "inside" / "a.py").symlink_to("../victim")
    (workspace / "a.py").write_text("new")
    await sandbox.extract("inside", sandbox.archive("a.py"))
    assert (workspace / "victim").read_text() == "precious"
    assert (workspace / "inside" / "a.py").read_text() == "new"


async def tar_of(members: list[tuple[str, bytes]]) -> AsyncIterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    yield buffer.getvalue()


async def test_many_small_files_and_a_large_one_are_unpacked_and_the_last_of_a_name_stays(
    sandbox: Sandbox, workspace: Path
) -> None:
    members = [(f"d{n % 7}/f{n}", b"%d" % n * n) for n in range(200)]
    members += [("large", bytes(1 << 20)), *[("same", b"%d" % n) for n in range(20)]]
    assert await sandbox.extract("out", tar_of(members)) == len(members)
    for name, data in dict(members).items():
        assert (workspace / "out" / name).read_bytes() == data


async def test_an_archive_that_cannot_be_unpacked_says_where(
    sandbox: Sandbox, workspace: Path
) -> None:
    (workspace / "out" / "f").mkdir(parents=True)
    with pytest.raises(FileError, match="out/f: it is a folder"):
        await sandbox.extract("out", tar_of([("f", b"x"), *[(f"g{n}", b"") for n in range(40)]]))
