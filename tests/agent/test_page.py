"""Every Python block of the page that users know, run on the real engine, doing what it says."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

import deepd
from deepd.library.place import AnyPath
from tests.agent.page import PAGE, Block, python_blocks
from tests.agent.scripted import Call, Script, scripted_models
from tests.images import PYTHON, engine_api, is_here
from tests.podman import PodmanService

PYTHON_BY_NAME = deepd.RuntimeConfig(
    "page", base_image=PYTHON, setup_commands=["ln -sf python3 /usr/bin/python"]
)
"""The page runs `python`; the image that stands for its own has only `python3`."""


@dataclass
class Reader:
    """Somebody who tries a block of the page."""

    capsys: pytest.CaptureFixture[str]
    folders: ExitStack = field(default_factory=ExitStack)

    def sandbox(self, **options: Any) -> deepd.DockerSandbox:
        """Return a sandbox of an earlier block, stopped in the end."""
        made = deepd.DockerSandbox(runtime=PYTHON_BY_NAME, **options)
        self.folders.callback(made.stop)
        return made

    def host(self, path: str) -> Path:
        """Make a folder that the page names on this machine; it is removed in the end."""
        if os.geteuid() != 0:
            pytest.skip(f"only root can make {path}")
        made = Path(path)
        if made.exists():
            pytest.skip(f"{path} is somebody's")
        first = next(folder for folder in [*reversed(made.parents), made] if not folder.exists())
        self.folders.callback(shutil.rmtree, first, ignore_errors=True)
        made.mkdir(parents=True)
        return made

    def ending(self, sandbox: Any) -> deepd.DockerSandbox:
        """Check that it is a sandbox of ours, and have it stopped in the end."""
        assert isinstance(sandbox, deepd.DockerSandbox)
        self.folders.callback(sandbox.stop)
        return sandbox

    def printed(self) -> str:
        """Return what the block printed."""
        return self.capsys.readouterr().out


@pytest.fixture
def reader(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Reader]:
    """Return a reader whose sandboxes and folders are gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="deepd-page-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("DEEPD_RUNTIME_DIR", folder)
        somebody = Reader(capsys)
        with somebody.folders:
            yield somebody
        if request.node.get_closest_marker("docker") is not None:
            assert library_containers(folder) == []


def library_containers(runtime_folder: str) -> list[str]:
    """Return the containers that a reader with this runtime folder has left."""
    probe = deepd.AsyncDockerSandbox(session_id="probe")
    assert str(probe._wish.runtime_dir) == runtime_folder
    label = f"deepd.instance={probe._wish.instance}"
    return [row["Id"] for row in engine_api().containers(all=True, filters={"label": label})]


def full_example(block: Block, reader: Reader) -> None:
    with scripted_models() as script:
        block.run()
    printed = reader.printed()
    assert "DeferredToolRequests" in printed, "the run ends at the call that a person must see"
    assert "python3 /workspace/fibonacci.py" in printed
    assert script.heard[0].endswith("/workspace/fibonacci.py")


def basic_setup(block: Block, reader: Reader) -> None:
    sandbox = reader.ending(block.run(DockerSandbox=deepd.DockerSandbox)["sandbox"])
    assert sandbox.execute("pwd").output == "/workspace\n"


def custom_configuration(block: Block, reader: Reader) -> None:
    with tagged("python:3.12"):
        sandbox = reader.ending(block.run(DockerSandbox=deepd.DockerSandbox)["sandbox"])
        assert sandbox.idle_timeout == 3600
        assert sandbox.execute("pwd; touch mine && echo written").output == "/app\nwritten\n"
        sandbox.stop()


def persistent_storage(block: Block, reader: Reader) -> None:
    host = reader.host("/path/on/host")
    scope = block.run(DockerSandbox=deepd.DockerSandbox)
    reader.ending(scope["sandbox"])
    assert scope["content"] == '{"key": "value"}'
    assert (host / "data.json").read_text() == '{"key": "value"}'


def multiple_volumes(block: Block, reader: Reader) -> None:
    host = reader.host("/host")
    sandbox = reader.ending(block.run(DockerSandbox=deepd.DockerSandbox)["sandbox"])
    for name in ("workspace", "data", "config"):
        assert sandbox.write(f"/{name}/file", name).error is None
        assert (host / name / "file").read_text() == name


def session_manager(block: Block, reader: Reader) -> None:
    root = reader.host("/var/app/workspaces")
    earlier = root / "user-123" / "workspace" / "previous_file.py"
    with deepd.SessionManager(workspace_root=root) as before:
        before.get_or_create("user-123").write("/workspace/previous_file.py", "x = 1\n")
    assert earlier.read_text() == "x = 1\n"
    scope = block.run()
    reader.folders.callback(scope["manager"].shutdown)
    assert scope["content"] == "x = 1\n"
    assert scope["sandbox2"] is scope["sandbox"]


def execution(block: Block, reader: Reader) -> None:
    sandbox = reader.sandbox()
    sandbox.write("script.py", "print('from the script')")
    done: list[deepd.ExecuteResponse] = []

    def execute(command: str, timeout: int) -> None:
        done.append(sandbox.execute(command=command, timeout=timeout))

    block.run(execute=execute)
    assert [(one.output, one.exit_code) for one in done] == [("from the script\n", 0)]


def execute_response(block: Block, reader: Reader) -> None:
    from dataclasses import dataclass as decorator

    page = block.run(dataclass=decorator)["ExecuteResponse"]
    done = reader.sandbox().execute("echo out; echo err >&2; exit 3")
    assert isinstance(done, deepd.ExecuteResponse)
    assert [each.name for each in fields(page)] == [each.name for each in fields(done)][:3]
    for each in fields(page):
        assert type(getattr(done, each.name)) is each.type
    assert (sorted(done.output.split()), done.exit_code) == (["err", "out"], 3)


def human_in_the_loop(block: Block, reader: Reader) -> None:
    sandbox = reader.sandbox()
    script = Script([Call("execute", {"command": "touch /workspace/ran"}, as_json=True)])
    with scripted_models(script):
        block.run(
            create_deep_agent=deepd.create_deep_agent,
            prompt="Run it.",
            deps=deepd.DeepAgentDeps(backend=sandbox),
        )
    assert reader.printed() == "Command: touch /workspace/ran\n"
    assert not sandbox.exists("/workspace/ran"), "it waits for a person"


def automatic_start(block: Block, reader: Reader) -> None:
    class Watched(deepd.DockerSandbox):
        def write(self, path: AnyPath, content: str | bytes) -> deepd.WriteResult:
            assert not self.is_alive(), "it starts at its first operation"
            return super().write(path, content)

    sandbox = reader.ending(block.run(DockerSandbox=Watched)["sandbox"])
    assert sandbox.is_alive()
    assert sandbox.execute("python3 /test.py").output == "hello\n"


def manual_stop(block: Block, reader: Reader) -> None:
    sandbox = reader.sandbox()
    block.run(sandbox=sandbox, use=check_usable)
    with pytest.raises(deepd.SandboxStopped):
        sandbox.execute("true")


def context_manager(block: Block, reader: Reader) -> None:
    used: list[deepd.DockerSandbox] = []

    def use(sandbox: deepd.DockerSandbox) -> None:
        check_usable(sandbox)
        used.append(sandbox)

    # The page writes `DockerSandbox(...)` for whatever one would give.
    block.run(DockerSandbox=lambda _: deepd.DockerSandbox(), use=use)
    assert [sandbox.is_alive() for sandbox in used] == [False]


def file_operations(block: Block, reader: Reader) -> None:
    sandbox = reader.sandbox()
    sandbox.write("/workspace/package/deep/module.py", "import os\n\ndef main():\n    pass\n")
    scope = block.run(sandbox=sandbox)
    assert scope["content"] == "print('hello')"
    assert sandbox.read("/workspace/app.py") == "print('world')"
    assert [info.name for info in scope["files"]] == ["app.py", "package"]
    assert [(info.path, info.size) for info in scope["python_files"]] == [
        ("/workspace/app.py", 14),
        ("/workspace/package/deep/module.py", 32),
    ]
    assert scope["matches"] == [
        deepd.GrepMatch("/workspace/package/deep/module.py", 3, "def main():")
    ]


def error_handling(block: Block, reader: Reader) -> None:
    class Hurried(deepd.DockerSandbox):
        def execute(self, command: str, timeout: float | None = None) -> deepd.ExecuteResponse:
            assert timeout == 30
            return super().execute(command, timeout=1)

    for script, said in (
        ("print('fine')", ""),
        ("import sys; print('no'); sys.exit(3)", "Script failed: no\n\n"),
        ("import time; time.sleep(60)", "Execution timed out\n"),
    ):
        sandbox = reader.ending(Hurried(runtime=PYTHON_BY_NAME))
        sandbox.write("script.py", script)
        block.run(sandbox=sandbox)
        assert reader.printed() == said
        assert not sandbox.is_alive()
    nowhere = deepd.DockerSandbox(docker_host="unix:///nowhere/docker.sock")
    block.run(sandbox=nowhere)
    printed = reader.printed()
    assert printed.startswith("Error: no container engine answers at unix:///nowhere/docker.sock")
    assert "start Docker" in printed


def local_backend(block: Block, reader: Reader) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        backend = block.run()["backend"]
        reader.folders.callback(backend.stop)
        assert backend.execute("pwd").output == f"{os.path.realpath(folder)}/workspace\n"
        backend.write("file", "here")
        assert (Path(folder) / "workspace" / "file").read_text() == "here"


SCENARIOS: dict[str, Callable[[Block, Reader], None]] = {
    "Full Example 1": full_example,
    "Basic Setup 1": basic_setup,
    "Custom Configuration 1": custom_configuration,
    "Persistent Storage with Volumes 1": persistent_storage,
    "Persistent Storage with Volumes 2": multiple_volumes,
    "Automatic Persistent Storage with SessionManager 1": session_manager,
    "Execution 1": execution,
    "Execution 2": execute_response,
    "Human-in-the-Loop 1": human_in_the_loop,
    "Automatic Start 1": automatic_start,
    "Manual Stop 1": manual_stop,
    "Manual Stop 2": context_manager,
    "File Operations 1": file_operations,
    "Error Handling 1": error_handling,
    "Alternative: LocalBackend 1": local_backend,
}
"""What each block needs around it, and what must be true after it."""


def check_usable(sandbox: deepd.DockerSandbox) -> None:
    assert sandbox.execute("echo used").output == "used\n"


@contextmanager
def tagged(image: str) -> Iterator[None]:
    """Have the engine know an image that the page names; one that it knows stays as it is."""
    if is_here(image):
        yield
        return
    repository, tag = image.split(":")
    engine_api().tag(PYTHON, repository, tag)
    yield
    engine_api().remove_image(image)


WITHOUT_ENGINE = {"Alternative: LocalBackend 1"}
ON_PODMAN = ("Full Example 1", "Basic Setup 1", "Human-in-the-Loop 1", "File Operations 1")
"""Enough of the page to show that it is the same there."""


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            block,
            id=block.name,
            marks=() if block.name in WITHOUT_ENGINE else pytest.mark.docker,
        )
        for block in python_blocks()
    ],
)
def test_a_block_does_what_the_page_says(block: Block, reader: Reader) -> None:
    assert block.name in SCENARIOS, f"nobody tries the block in line {block.line} of the page"
    SCENARIOS[block.name](block, reader)


@pytest.mark.docker
@pytest.mark.parametrize("name", ON_PODMAN)
def test_a_block_does_the_same_on_podman(
    name: str, podman: PodmanService, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    podman.load(PYTHON)
    monkeypatch.setenv("DOCKER_HOST", podman.host)
    (block,) = [block for block in python_blocks() if block.name == name]
    SCENARIOS[name](block, reader)
    reader.folders.close()
    assert library_containers(os.environ["DEEPD_RUNTIME_DIR"]) == []


def test_no_block_is_missed() -> None:
    assert [block.name for block in python_blocks()] == list(SCENARIOS)
    assert len(SCENARIOS) == PAGE.read_text().count("```python")


def test_the_page_is_the_one_that_its_readers_know() -> None:
    assert hashlib.sha256(PAGE.read_bytes()).hexdigest() == (
        "ef5b7e71b3dedee30ddb977586c92e0db570010709b688cc38b8d77a5eaf9b91"
    ), "the page is what the library is held to: it is not changed to fit"


def test_only_import_lines_are_changed_and_uses_filled_in() -> None:
    for block in python_blocks():
        before, after = block.code.splitlines(), block.source().splitlines()
        kept = [line for line in after if line.strip() != "use(sandbox)"]
        changed = [new for old, new in zip(before, kept, strict=True) if old != new]
        assert all(line.startswith("from deepd import ") for line in changed)
