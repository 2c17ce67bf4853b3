"""The local engine: sandboxes made of this machine's own processes, without images.

Each is a guest in namespaces of its own, which bubblewrap makes or the guest itself; or, where a
profile says so, a plain process. A folder tells all about each: any process with this folder and
user finds what another one started.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from deepd.engine.base import ByteStream, EngineInfo, Progress
from deepd.engine.box import Box, Entry
from deepd.engine.bubblewrap import check_spec, render_command
from deepd.engine.fault import NameTakenError, NoContainerError
from deepd.engine.fifo import FifoStream
from deepd.engine.labels import read_session
from deepd.engine.launch import check_passage, count_processes, launch, limit, reap, render_plain
from deepd.engine.level import NONE, Level, find_level
from deepd.engine.processes import measure, process_tree, signal_tree
from deepd.engine.spec import STOP_GRACE
from deepd.engine.stats import CpuSample, read_stats
from deepd.errors import EngineError, EngineRefusedError, EngineTimeoutError
from deepd.guest.binary import guest_binary
from deepd.model.ids import ContainerId
from deepd.model.profile import Build, Limits
from deepd.model.sandbox import Sandbox, SandboxSpec, SandboxState, SandboxStats

LOCAL_ID = "local-"
"""What the id of every local sandbox begins with."""
IMAGE = "host"
"""The image of every local sandbox: this machine's own programs."""
LIMITS_NOTE = "limits hold for each process and user, not for a sandbox as a whole; cpus do not"
_STARTING = 10.0
_LOOK_EVERY = 0.002


class LocalEngine:
    """An `Engine` over a folder; `masked` are folders that no sandbox may see."""

    name = "local"

    def __init__(
        self,
        instance: str,
        folder: Path,
        *,
        masked: Sequence[Path] = (),
        guest: Path | None = None,
        level: Level | None = None,
    ) -> None:
        """Use this guest and this level instead of what is found."""
        self._instance = instance
        self._folder = folder
        self._masked = (*masked, folder)
        self._guest = guest
        self._level = level
        self.endpoint = "this machine"
        self._monitors: set[int] = set()
        self._streams: dict[ContainerId, FifoStream] = {}
        self._watched: dict[ContainerId, int] = {}
        self._changed: set[asyncio.Event] = set()
        self._cpu: dict[ContainerId, CpuSample] = {}

    async def info(self) -> EngineInfo:
        """Say how far sandboxes are isolated here."""
        level = await self._find_level()
        warnings = (level.trouble, LIMITS_NOTE) if level.trouble else (LIMITS_NOTE,)
        return EngineInfo(
            self.name, self.endpoint, os.uname().release, isolation=level.words, warnings=warnings
        )

    async def observe(self) -> list[Sandbox]:
        """List our instance's sandboxes."""
        self._reap()
        found = []
        for box, entry in self._boxes():
            if entry.spec.instance == self._instance:
                found.append(_look(box, entry))
                self._follow(box)
                # A look at hundreds of folders must not keep the loop from answering anybody.
                await asyncio.sleep(0)
        return found

    async def ensure_image(self, image: str, progress: Progress) -> str:  # noqa: ARG002 - the protocol's
        """Return what stands for an image; there is none."""
        return IMAGE

    async def build_image(self, build: Build, progress: Progress) -> str:  # noqa: ARG002 - the protocol's
        """Refuse: a build is made in containers."""
        raise EngineRefusedError(
            "a `[build]` takes a container engine",
            next_step="install what is needed on this machine, or in `setup`, and leave it out",
        )

    async def create(self, spec: SandboxSpec) -> ContainerId:
        """Make the folder of one sandbox; a level that cannot be had is refused here."""
        isolation = await self._choose(spec)
        box = Box(self._folder / f"{LOCAL_ID}{secrets.token_hex(16)}")
        with self._names():
            self._check_name(spec.name, f"cannot create the sandbox {spec.name}")
            box.make(Entry(spec, spec.name, time.time(), isolation, spec.limits))
        self._notify()
        return box.id

    async def start(self, container: ContainerId) -> None:
        """Start its guest; already running is no error."""
        box, entry = self._find(container)
        if box.state() is SandboxState.RUNNING:
            return
        if box.is_alive():
            raise EngineError("cannot start the sandbox: what ran in it has not ended")
        spec = replace(entry.spec, limits=entry.limits)
        isolation = await self._choose(spec)  # what is there may have changed since the create
        if isolation != entry.isolation:
            box.save(replace(entry, isolation=isolation))
        self._monitors.add(await self._launch(box, spec))
        try:
            pid = await self._wait_for_guest(box)
            limit([pid], entry.limits, self._beside(entry), first=True)
        except ProcessLookupError:
            raise EngineRefusedError(
                f"cannot start the sandbox: {box.complaints() or 'it ended at once'}",
                next_step="correct the profile, or the folder that it names",
            ) from None
        except (OSError, ValueError) as error:
            await self._end(box, 0)  # nothing runs without its limits
            raise EngineError(f"cannot limit the sandbox: {error}") from error
        self._follow(box)
        self._notify()

    async def stop(self, container: ContainerId) -> None:
        """Ask the guest to end, kill it after a short grace; not running is no error."""
        with suppress(NoContainerError):
            box, _ = self._find(container)
            await self._end(box, STOP_GRACE)

    async def pause(self, container: ContainerId) -> None:
        """Freeze all its processes."""
        box, _ = self._find(container)
        await _switch(box, signal.SIGSTOP, SandboxState.PAUSED)
        self._notify()

    async def resume(self, container: ContainerId) -> None:
        """Thaw it."""
        box, _ = self._find(container)
        if box.state() is SandboxState.PAUSED:
            await _switch(box, signal.SIGCONT, SandboxState.RUNNING)
            self._notify()

    async def remove(self, container: ContainerId) -> None:
        """Remove it, running or not; already gone is no error."""
        with suppress(NoContainerError):
            box, _ = self._find(container)
            await self._end(box, 0)
            # The entry first: what is left of a folder without one is nobody's sandbox.
            (box.folder / "spec").unlink(missing_ok=True)
            shutil.rmtree(box.folder, ignore_errors=True)
            self._cpu.pop(container, None)
            self._notify()

    async def claim(self, container: ContainerId, name: str) -> None:
        """Give a warm sandbox its session's name."""
        with self._names():
            box, entry = self._find(container)
            self._check_name(name, f"cannot name the sandbox {name}")
            box.save(replace(entry, name=name))
        self._notify()

    async def update(self, container: ContainerId, limits: Limits) -> None:
        """Change what each of its processes may use."""
        box, entry = self._find(container)
        try:
            limit(process_tree(box.pid()), limits, self._beside(entry))
        except ProcessLookupError:
            pass
        except (PermissionError, ValueError):
            raise EngineRefusedError(
                "limits of a running local sandbox can be lowered, but not raised",
                next_step="stop the session and start it again",
            ) from None
        box.save(replace(entry, limits=limits))

    async def stats(self, container: ContainerId) -> SandboxStats:
        """Measure its processes."""
        box, entry = self._find(container)
        if box.state() not in {SandboxState.RUNNING, SandboxState.PAUSED}:
            raise EngineError("the sandbox is not running: there is nothing to measure")
        raw = measure(box.pid(), entry.limits.memory)
        stats, self._cpu[container] = read_stats(raw, self._cpu.get(container))
        return stats

    async def open(self, container: ContainerId) -> ByteStream:
        """Open the guest's pipes; a former stream of ours to it ends."""
        box, _ = self._find(container)
        state = box.state()
        if state is not SandboxState.RUNNING:
            raise EngineError(f"cannot attach to the sandbox: it is {state}")
        if former := self._streams.pop(container, None):
            former.close()
        stream = self._streams[container] = FifoStream(box.stdin, box.stdout)
        return stream

    async def watch(self) -> AsyncIterator[None]:
        """Yield at first, after every change of ours and after the end of a guest."""
        changed = asyncio.Event()
        changed.set()
        self._changed.add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield None
        finally:
            self._changed.discard(changed)

    async def aclose(self) -> None:
        """Let go of everything; sandboxes go on."""
        for stream in self._streams.values():
            stream.close()
        for container in list(self._watched):
            self._unfollow(container)
        self._reap()

    async def _find_level(self) -> Level:
        if self._level is None:
            level = await find_level(self._guest)
            if not level.command:
                return level  # somebody may mend it
            self._level = level
        return self._level

    async def _choose(self, spec: SandboxSpec) -> str:
        """Return the level for a spec in words, or raise why there is none."""
        check_spec(spec)
        if spec.local.isolation != "none":
            level = await self._find_level()
            level.check()
            return level.words
        if spec.session is None:
            raise EngineRefusedError(
                "a warm sandbox that is not isolated could not follow its folder",
                next_step='leave out `warm`, or isolation = "none"',
            )
        if spec.volumes or spec.workspace is None:
            raise EngineRefusedError(
                "without isolation nothing can be mounted",
                next_step='leave out `volumes`, or isolation = "none"',
            )
        check_passage(spec, spec.workspace)
        return NONE

    async def _launch(self, box: Box, spec: SandboxSpec) -> int:
        guest = self._guest
        if guest is None:
            guest = await asyncio.to_thread(guest_binary)
        if spec.local.isolation == "none":
            if spec.workspace is None:
                raise EngineRefusedError("without isolation there must be a workspace")
            return launch(box, render_plain(guest, spec, spec.workspace), os.environ)
        level = await self._find_level()
        return launch(box, render_command(level.command, guest, spec, self._masked), os.environ)

    async def _wait_for_guest(self, box: Box) -> int:
        """Return the guest's process id once it is a guest; `ProcessLookupError` when it ended."""
        deadline = time.monotonic() + _STARTING
        while time.monotonic() < deadline:
            self._reap()
            with suppress(ProcessLookupError):
                pid = box.pid()
                if box.state() is not SandboxState.STOPPED:
                    return pid
            if not box.is_alive():
                raise ProcessLookupError
            await asyncio.sleep(_LOOK_EVERY)
        raise EngineTimeoutError(f"the guest did not start within {_STARTING:g} s")

    async def _end(self, box: Box, grace: float) -> None:
        """End the guest, by TERM when it has a grace, and wait until its monitor has told it."""
        try:
            guest = box.guest()
        except ProcessLookupError:
            return
        try:
            if box.state() is SandboxState.PAUSED:
                signal_tree(box.pid(), signal.SIGCONT)
            if grace:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(guest, signal.SIGTERM)
            if not await self._is_over(box, grace):
                self._kill(box, guest)
                if not await self._is_over(box, _STARTING):
                    raise EngineTimeoutError("the sandbox did not end although it was killed")
        finally:
            os.close(guest)
        self._reap()
        self._notify()

    def _kill(self, box: Box, guest: int) -> None:
        with suppress(ProcessLookupError):
            tree = process_tree(box.pid())
            signal.pidfd_send_signal(guest, signal.SIGKILL)
            # The kernel ends a namespace with its first process; a plain guest's tree is ours.
            for pid in tree[1:]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def _is_over(self, box: Box, within: float) -> bool:
        deadline = time.monotonic() + within
        while box.is_alive():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_EVERY)
        return True

    def _boxes(self) -> Iterator[tuple[Box, Entry]]:
        with suppress(FileNotFoundError):
            for folder in sorted(self._folder.iterdir()):
                box = Box(folder)
                if folder.name.startswith(LOCAL_ID) and (entry := box.load()):
                    yield box, entry

    def _find(self, container: ContainerId) -> tuple[Box, Entry]:
        box = Box(self._folder / container)
        entry = box.load() if container.startswith(LOCAL_ID) and "/" not in container else None
        if entry is None:
            raise NoContainerError(f"no such sandbox: {container}")
        return box, entry

    @contextmanager
    def _names(self) -> Iterator[None]:
        """Keep every other process from giving a name at the same time."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _check_name(self, name: str, doing: str) -> None:
        if any(entry.name == name for _, entry in self._boxes()):
            raise NameTakenError(f"{doing}: a sandbox of that name exists already")

    def _beside(self, entry: Entry) -> int:
        """Return how many processes of others are counted with the sandbox's own."""
        if os.geteuid() != 0 and entry.isolation != NONE:
            return 0  # a user namespace counts for itself
        workspace = entry.spec.workspace
        with suppress(OSError):
            return count_processes(workspace.stat().st_uid if workspace else os.geteuid())
        return 0

    def _follow(self, box: Box) -> None:
        """Notice the end of a guest when it comes."""
        if box.id in self._watched:
            return
        with suppress(ProcessLookupError, OSError):
            guest = box.guest()
            self._watched[box.id] = guest
            asyncio.get_running_loop().add_reader(guest, self._ended, box.id)

    def _ended(self, container: ContainerId) -> None:
        self._unfollow(container)
        self._reap()
        self._notify()

    def _unfollow(self, container: ContainerId) -> None:
        guest = self._watched.pop(container)
        asyncio.get_running_loop().remove_reader(guest)
        os.close(guest)

    def _reap(self) -> None:
        self._monitors -= {monitor for monitor in self._monitors if reap(monitor)}

    def _notify(self) -> None:
        for event in self._changed:
            event.set()


async def _switch(box: Box, number: signal.Signals, wanted: SandboxState) -> None:
    """Freeze or thaw a tree; again while it changes, as what was not frozen yet may have forked."""
    state = box.state()
    if state not in {SandboxState.RUNNING, SandboxState.PAUSED}:
        raise EngineError(f"the sandbox is not running but {state}")
    pid = box.pid()
    deadline = time.monotonic() + _STARTING
    seen: list[int] = []
    while (tree := process_tree(pid)) != seen or box.state() is not wanted:
        if time.monotonic() >= deadline:
            raise EngineTimeoutError(f"the sandbox is still {box.state()}")
        signal_tree(pid, number)
        seen = tree
        await asyncio.sleep(_LOOK_EVERY)


def _look(box: Box, entry: Entry) -> Sandbox:
    state = box.state()
    spec = entry.spec
    is_plain = entry.isolation == NONE
    return Sandbox(
        id=box.id,
        name=entry.name,
        session=read_session(entry.name, spec.instance),
        profile=spec.profile,
        state=state,
        spec_hash=spec.spec_hash,
        image=IMAGE,
        generation=spec.generation,
        created_at=entry.created_at,
        exit_code=box.exit_code() if state is SandboxState.STOPPED else None,
        warm_id=spec.warm_id,
        isolation=entry.isolation,
        work_dir=str(spec.workspace) if is_plain else "",
    )
