"""Several processes: one owner at a time, and nothing left by those that are no more."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from deepd import DockerSandbox, OwnedError
from tests.eventually import eventually_sync
from tests.library.world import containers, line_of, program

pytestmark = pytest.mark.docker

HOLD = """
import sys
from deepd import DockerSandbox
sandbox = DockerSandbox(session_id="shared", idle_timeout=1)
sandbox.write("/workspace/file", "first")
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_has_the_sandbox(own: str) -> None:
    first = program(HOLD)
    assert line_of(first) == "ready"
    second = DockerSandbox(session_id="shared")
    with pytest.raises(OwnedError, match=rf"in use by .*pid {first.pid}"):
        second.execute("true")
    assert len(containers(own)) == 1
    assert first.communicate(timeout=30)[1] == ""
    assert containers(own) == [], "a process that ends takes its containers with it"
    second.write("/workspace/file", "second")
    assert second.read("/workspace/file") == "second"
    second.stop()


def test_a_killed_process_leaves_a_container_that_the_next_one_goes_on_with(own: str) -> None:
    first = program(HOLD)
    assert line_of(first) == "ready"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert [one.state for one in containers(own)] == ["running"]
    with DockerSandbox(session_id="shared") as second:
        assert second.read("/workspace/file") == "first"
    assert containers(own) == []


def test_what_a_killed_process_left_ends_by_itself_and_is_removed_at_the_next_start(
    own: str,
) -> None:
    first = program(HOLD)
    assert line_of(first) == "ready"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    # Its guest's lease is 20 s at least, so that a busy owner does not lose it.
    eventually_sync(lambda: containers(own)[0].state == "exited", within=60)
    with DockerSandbox(session_id="other"):
        assert [one.name for one in containers(own)] == [f"deepd-{own}-other"]


def test_a_program_that_ends_without_a_word_leaves_nothing_and_says_nothing(own: str) -> None:
    ended = program("import deepd; s = deepd.DockerSandbox(); print(s.execute('echo hi').output)")
    out, err = ended.communicate(timeout=60)
    assert (out.split(), err, ended.returncode) == (["hi"], "", 0)
    assert containers(own) == []


def test_a_program_that_ends_by_an_error_leaves_nothing(own: str) -> None:
    ended = program("import deepd; deepd.DockerSandbox().start(); raise SystemExit(3)")
    assert (ended.communicate(timeout=60)[1], ended.returncode) == ("", 3)
    assert containers(own) == []


def test_what_a_killed_process_left_without_a_name_is_removed_at_the_next_start(own: str) -> None:
    first = program(HOLD.replace('session_id="shared", ', ""))
    assert line_of(first) == "ready"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert [one.state for one in containers(own)] == ["running"]
    with DockerSandbox(session_id="other"):
        assert [one.name for one in containers(own)] == [f"deepd-{own}-other"]


LOOP = """
import asyncio, deepd
async def main():
    sandbox = deepd.AsyncDockerSandbox(session_id="named")
    await sandbox.start()
    asyncio.get_running_loop().call_later(60, sandbox.id)
    local = deepd.AsyncLocalBackend()
    await local.execute("sleep 4321 & echo $! && exit 0")
    raise SystemExit(4)
asyncio.run(main())
"""


def test_what_is_left_in_a_loop_ends_with_it_and_says_nothing(own: str) -> None:
    ended = program(LOOP)
    assert (ended.communicate(timeout=60)[1], ended.returncode) == ("", 4)
    assert containers(own) == []


LATE = """
import deepd
class Owner:
    def __init__(self):
        self.sandbox, self.manager = deepd.DockerSandbox(), deepd.SessionManager()
        self.sandbox.start()
        self.manager.get_or_create("user").start()
    def __del__(self):
        self.manager.shutdown()
        self.sandbox.stop()
        try:
            self.sandbox.execute("true")
        except Exception as error:
            print(error)
owner = Owner()
"""


def test_an_object_may_stop_its_sandbox_when_the_program_is_at_its_end(own: str) -> None:
    ended = program(LATE)
    out, err = ended.communicate(timeout=60)
    assert (out, err, ended.returncode) == (
        "the program ends, and all its sandboxes with it\n",
        "",
        0,
    )
    assert containers(own) == []


MULTIPROCESSING = """
import multiprocessing, deepd
def work():
    print(deepd.DockerSandbox().execute("echo child").output, end="", flush=True)
if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    print(child.exitcode)
"""


def test_a_child_of_multiprocessing_leaves_nothing(own: str) -> None:
    ended = program(MULTIPROCESSING)
    assert ended.communicate(timeout=60) == ("child\n0\n", "")
    assert containers(own) == []


FORK = """
import os, sys
from deepd import DockerSandbox, OwnedError
sandbox = DockerSandbox()
sandbox.write("/workspace/file", "the parent's")
child = os.fork()
if child == 0:
    try:
        sandbox.read("/workspace/file")
    except OwnedError as error:
        print("refused", str(os.getppid()) in str(error), flush=True)
    with DockerSandbox() as own:
        print(own.execute("echo child").output, end="", flush=True)
    sandbox.stop()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(sandbox.read("/workspace/file"), flush=True)
"""


def test_a_forked_child_leaves_its_parent_s_sandbox_alone_and_may_have_its_own(own: str) -> None:
    if sys.version_info >= (3, 12):
        pytest.skip("forking a process with threads is a warning there")
    parent = program(FORK)
    out, err = parent.communicate(timeout=60)
    assert (out.splitlines(), err) == (["refused True", "child", "the parent's"], "")
    assert containers(own) == []


INTERRUPTED = r"""
import deepd, threading
sandbox = deepd.DockerSandbox()
sandbox.start()
def tell():
    while not sandbox.exists("begun"):
        pass
    print("up", flush=True)
threading.Thread(target=tell).start()
try:
    sandbox.execute("touch begun; sleep 4321")
except KeyboardInterrupt:
    sandbox.execute("sleep 0.5")
    print(sandbox.execute("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").output, flush=True)
"""


def test_an_interrupt_ends_the_command(own: str) -> None:
    waiting = program(INTERRUPTED)
    assert line_of(waiting) == "up"
    os.kill(waiting.pid, signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert err == ""
    assert out
    assert "sleep 4321" not in out
