"""SessionManager: a user's sandbox and files are found again; on the real engine."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from deepd import AsyncSessionManager, RuntimeConfig, SandboxStopped, SessionManager
from deepd.errors import ArgumentsError, BadRequestError, ConflictError
from tests.eventually import eventually_sync
from tests.images import PYTHON
from tests.library.conftest import instance_of
from tests.library.world import containers

pytestmark = pytest.mark.docker


def test_a_user_s_files_are_found_again(root: Path) -> None:
    with SessionManager(workspace_root=root) as manager:
        sandbox = manager.get_or_create("user-123")
        assert (root / "user-123" / "workspace").is_dir(), "made at once"
        sandbox.write("/workspace/previous_file.py", "x = 1")
        assert manager.get_or_create("user-123") is sandbox
        assert "user-123" in manager
        assert len(manager) == 1
    assert containers(instance_of(root)) == []
    assert (root / "user-123" / "workspace" / "previous_file.py").read_text() == "x = 1"
    with SessionManager(workspace_root=str(root)) as manager:
        sandbox2 = manager.get_or_create("user-123")
        assert sandbox2.read("/workspace/previous_file.py") == "x = 1"


@pytest.mark.parametrize(
    "session_id", ["../../x", "/abs", "a/b", "a\0b", "x" * 300, "", ".", "..", "a..b", "A b", "ü"]
)
def test_an_id_that_is_no_name_is_refused_and_makes_nothing(root: Path, session_id: str) -> None:
    manager = SessionManager(workspace_root=root / "inner")
    with pytest.raises(BadRequestError, match="is not a session name"):
        manager.get_or_create(session_id)
    assert list(root.rglob("*")) == []
    assert len(manager) == 0
    assert containers(instance_of(root / "inner")) == []


def test_two_managers_with_one_session_have_one_container(root: Path) -> None:
    link = root / "link"
    link.symlink_to(root, target_is_directory=True)
    with SessionManager(workspace_root=root) as one, SessionManager(workspace_root=link) as two:
        one.get_or_create("user").write("/outside", "one container")
        assert two.get_or_create("user").read("/outside") == "one container"
        assert len(containers(instance_of(root))) == 1


def test_threads_that_ask_at_once_get_the_same_sandbox(root: Path) -> None:
    with SessionManager(workspace_root=root) as manager:
        names: list[str] = []

        def ask() -> None:
            names.append(manager.get_or_create("user").execute("hostname").output)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(names) == 4
        assert len(set(names)) == 1
        assert len(containers(instance_of(root))) == 1


async def test_everything_that_used_to_be_awaited_still_may_be(root: Path) -> None:
    manager = SessionManager(workspace_root=root)
    sandbox = await manager.get_or_create("user")
    assert sandbox.is_alive()
    assert await manager.release("user") == 1
    assert not await manager.release("user")
    with pytest.raises(SandboxStopped):
        sandbox.execute("true")
    await manager.get_or_create("user")
    assert await manager.cleanup_idle(max_idle=0) == 1
    await manager.get_or_create("user")
    assert await manager.shutdown() == 1
    assert containers(instance_of(root)) == []


def test_a_stopped_session_is_made_anew(root: Path) -> None:
    with SessionManager(workspace_root=root) as manager:
        first = manager.get_or_create("user")
        first.write("/workspace/kept", "kept")
        first.stop()
        second = manager.get_or_create("user")
        assert second is not first
        assert second.read("/workspace/kept") == "kept"
        assert manager.sessions == {"user": second}


def test_only_idle_sessions_are_cleaned_up(root: Path) -> None:
    with SessionManager(workspace_root=root, default_idle_timeout=100) as manager:
        busy = manager.get_or_create("busy")
        busy.start()
        manager.get_or_create("idle").start()
        working = threading.Thread(target=lambda: busy.execute("touch begun; sleep 2"))
        working.start()
        eventually_sync(lambda: busy.exists("begun"))
        assert manager.cleanup_idle() == 0
        assert manager.cleanup_idle(max_idle=0) == 1
        assert list(manager.sessions) == ["busy"]
        working.join()


def test_the_cleanup_loop_releases_by_itself(root: Path) -> None:
    with SessionManager(workspace_root=root, default_idle_timeout=0.2) as manager:
        manager.start_cleanup_loop(interval=0.05)
        manager.start_cleanup_loop(interval=0.05)
        manager.get_or_create("user").start()
        eventually_sync(lambda: len(manager) == 0)
        eventually_sync(lambda: not containers(instance_of(root)))
        manager.stop_cleanup_loop()
        manager.stop_cleanup_loop()


async def test_the_asyncio_manager_does_not_block(root: Path) -> None:
    async with AsyncSessionManager(workspace_root=root) as manager:
        manager.start_cleanup_loop(interval=0.05)
        one, two = manager.get_or_create("one"), manager.get_or_create("two")
        assert isinstance(manager.sessions["one"], type(one))
        done = await asyncio.gather(one.execute("echo 1"), two.execute("echo 2"))
        assert [each.output for each in done] == ["1\n", "2\n"]
        assert await manager.release("one")
        assert not await manager.release("one")
    assert containers(instance_of(root)) == []


def test_a_runtime_is_built_once_and_its_environment_given(root: Path) -> None:
    runtime = RuntimeConfig(
        "mine",
        base_image=PYTHON,
        setup_commands=["echo built > /built"],
        env_vars={"MODE": "test"},
        work_dir="/app",
    )
    with SessionManager(default_runtime=runtime) as manager:
        sandbox = manager.get_or_create("user")
        assert sandbox.execute("cat /built; echo $MODE; pwd").output == "built\ntest\n/app\n"
        assert sandbox.runtime == runtime
        with pytest.raises(ConflictError, match="another runtime"):
            manager.get_or_create("user", runtime="python-minimal")
        assert manager.get_or_create("other", runtime="python-minimal").runtime != runtime


def test_a_runtime_that_keeps_no_image_installs_in_the_container(own: str) -> None:
    setup = ["echo $HOME > made", "false"]
    good = RuntimeConfig("good", base_image=PYTHON, setup_commands=setup[:1], cache_image=False)
    with SessionManager(default_runtime=good) as manager:
        assert manager.get_or_create("user").read("made") == "/home/sandbox\n"
    bad = RuntimeConfig("bad", base_image=PYTHON, setup_commands=setup, cache_image=False)
    with (
        SessionManager(default_runtime=bad) as manager,
        pytest.raises(Exception, match="`false` failed with exit code 1"),
    ):
        manager.get_or_create("user").execute("true")
    assert containers(own) == []


def test_an_unknown_runtime_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ArgumentsError, match="python-datascience"):
        SessionManager(default_runtime="python-sience")
