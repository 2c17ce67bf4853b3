"""The daemon: the one place where its parts are made and put together."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from deepd import __version__
from deepd.config.paths import agent_socket, check_socket_path, operator_socket, private_dir
from deepd.config.settings import Settings
from deepd.daemon.approvals import ApprovalService
from deepd.daemon.calls import CallService
from deepd.daemon.diary import Diary
from deepd.daemon.engine_status import EngineStatus
from deepd.daemon.environment import secret_values
from deepd.daemon.events import EventBus
from deepd.daemon.journal import Journal
from deepd.daemon.logs import LogService
from deepd.daemon.numbers import Numbers
from deepd.daemon.policy import PolicyService
from deepd.daemon.profiles import ProfileStore
from deepd.daemon.sessions import Pace, SessionService
from deepd.daemon.supervisor import Supervisor
from deepd.engine.base import Engine
from deepd.engine.docker import DockerEngine
from deepd.engine.endpoint import podman_url
from deepd.engine.local import LocalEngine
from deepd.engine.many import Engines
from deepd.errors import DeepdError
from deepd.model.call import CallState
from deepd.model.caller import Caller
from deepd.server.app import build_app
from deepd.server.serve import serve
from deepd.server.services import Services
from deepd.store.opening import Opening
from deepd.store.retention import Retention
from deepd.store.store import Store

logger = logging.getLogger(__name__)

PRUNE_EVERY = 60.0
"""Seconds between two looks for calls and events that are old enough to be forgotten."""

_BETWEEN_BATCHES = 0.01
"""Seconds that are others' between two batches of a pruning."""

_UNSENT = frozenset({CallState.HELD, CallState.APPROVED})
"""States that have touched no container: such calls outlive the daemon even when it removes all."""

EngineOf = Callable[[str, Settings], Engine]


def engines_of(instance: str, settings: Settings) -> Engine:
    """Return the container engines that the settings name and the local one, as one."""
    containers = DockerEngine(
        instance,
        settings.docker_host,
        timeout=settings.engine_timeout,
        starts=settings.start_concurrency,
        lanes=settings.state_dir / "lanes" / "docker",
    )
    podman = DockerEngine(
        instance,
        podman_url(settings.podman_host),
        timeout=settings.engine_timeout,
        starts=settings.start_concurrency,
        name="podman",
        lanes=settings.state_dir / "lanes" / "podman",
    )
    hidden = (settings.state_dir, settings.runtime_dir)
    local = LocalEngine(instance, settings.state_dir / "local", masked=hidden)
    return Engines(containers, local, podman=podman)


class Daemon:
    """One daemon over one state folder; `OwnedError` when another one has it."""

    def __init__(
        self,
        settings: Settings,
        paths: Sequence[Path],
        *,
        opening: Opening | None = None,
        engine_of: EngineOf = engines_of,
    ) -> None:
        self._settings = settings
        self._sockets = tuple(
            check_socket_path(path)
            for path in (operator_socket(settings.runtime_dir), agent_socket(settings.runtime_dir))
        )
        private_dir(settings.runtime_dir)
        self._started_at = time.time()
        self._ended = asyncio.Event()
        self._keep = False
        self.store = store = Store.open(opening or private_dir(settings.state_dir))
        self.engine = engine_of(store.instance, settings)
        self.events = EventBus(store)
        self.profiles = ProfileStore(paths, settings, self.events.publish)
        if isinstance(self.engine, Engines):
            self.engine.profiles = lambda: self.profiles.all().values()
            self.engine.expected = self._containers
        self.sessions = SessionService(
            self.engine,
            store,
            self.profiles,
            self.events.publish,
            owners=settings.state_dir / "owners",
            pace=Pace(start_concurrency=settings.start_concurrency),
        )
        journal = Journal(store, self.events)
        self.approvals = ApprovalService(journal, self.events, self.sessions)
        self.calls = CallService(journal, self.events, self.sessions, self.approvals)
        self.logs = LogService(store, self.events, self.calls)
        self._status = EngineStatus(self.engine, lambda: self.sessions.reconciler.down)
        self._numbers = Numbers(store, self.events, self._started_at)
        self._supervisor = Supervisor()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until stopped; `ready` is called once clients can connect."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, False)  # noqa: FBT003 - a callback's argument
        loop.add_signal_handler(signal.SIGHUP, self._reload_or_log)
        self.profiles.on_change(self.approvals.recheck)
        self.profiles.reload()
        self.store.remove_strays()
        self.calls.recover()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            await stack.enter_async_context(serve(build_app(self.services()), *self._sockets))
            self.events.publish("daemon_started", version=__version__, pid=os.getpid())
            # What is there now stays: the collector need not walk it again under somebody's call.
            gc.freeze()
            ready()
            self._supervisor.ready(f"serving at {self._sockets[0]}")
            await self._work()
            self._supervisor.stopping()
            if not self._keep:
                await self._end_sandboxes()
            self.events.publish("daemon_stopped", kept=self._keep)

    async def _work(self) -> None:
        """Do all standing work until somebody stops it."""
        duties = (
            self.sessions.run(),
            self.approvals.run(),
            self._status.run(),
            self.profiles.watch(),
            self._prune(),
            self._supervisor.ping(self.store.check),
        )
        async with asyncio.TaskGroup() as group:
            # A duty that fails ends the daemon loudly: it is a bug, and start is recover.
            tasks = [group.create_task(duty) for duty in duties]
            await self._ended.wait()
            for task in tasks:
                task.cancel()

    def stop(self, keep: bool) -> None:  # noqa: FBT001 - the wire's own word
        """End the daemon soon; `keep` leaves the sandboxes running for the next start to adopt."""
        self._keep = keep
        self._ended.set()

    async def reload(self) -> None:
        """Read the profiles again, now."""
        self.profiles.reload()

    def services(self) -> Services:
        """Return what the API stands on."""
        return Services(
            profiles=self.profiles,
            sessions=self.sessions,
            calls=self.calls,
            approvals=self.approvals,
            events=self.events,
            logs=self.logs,
            info=self._info,
            engine=self._status.view,
            plan=self.sessions.plan,
            reload=self.reload,
            stop=self.stop,
            stats=self.sessions.stats,
            spool=self.store.spool.folder,
            audit=self.store.audit,
            numbers=self._numbers.read,
            policy=PolicyService(self.store, self.profiles, self.sessions),
            grants=self.approvals.grants,
        )

    def _info(self) -> dict[str, Any]:
        operator, agent = self._sockets
        return {
            "version": __version__,
            "pid": os.getpid(),
            "instance": self.store.instance,
            "started_at": self._started_at,
            "state_dir": str(self._settings.state_dir),
            "socket": str(operator),
            "agent_socket": str(agent),
        }

    def _containers(self) -> Mapping[str, str]:
        return self.sessions.containers()

    def secrets(self) -> tuple[str, ...]:
        """Return what no log may show: the secrets of the profiles in force, by value."""
        return secret_values(self.profiles.all().values())

    def _reload_or_log(self) -> None:
        self._supervisor.reloading()
        try:
            self.profiles.reload()
        except DeepdError as error:
            logger.error("cannot reload: %s", error)  # noqa: TRY400 - its text says all
        self._supervisor.ready(f"serving at {self._sockets[0]}")

    async def _prune(self) -> None:
        while True:
            pause = PRUNE_EVERY
            try:
                if self.store.prune(Retention(), time.time()):
                    pause = _BETWEEN_BATCHES
            except DeepdError as error:
                logger.warning("cannot prune: %s", error)
            await asyncio.sleep(pause)

    async def _end_sandboxes(self) -> None:
        """End what runs, so that nobody waits for it, and remove the containers."""
        daemon = Caller(uid=os.getuid(), pid=os.getpid(), role="operator", client="daemon")
        for call in self.calls.list(open_only=True, limit=100_000):
            if call.state not in _UNSENT:
                try:
                    await self.calls.cancel(call.id, daemon, "the daemon was stopped")
                except DeepdError as error:
                    logger.warning("cannot cancel call %s: %s", call.id, error)
        try:
            await self.sessions.stop_all()
        except DeepdError as error:
            logger.error("containers are left behind: %s", error)  # noqa: TRY400 - its text says all

    async def _close(self) -> None:
        await self.calls.aclose()
        await self.approvals.aclose()
        await self.sessions.aclose()
        await self.engine.aclose()
        self.store.close()


def run_daemon(
    settings: Settings,
    paths: Sequence[Path],
    diary: Diary,
    *,
    opening: Opening,
    ready: Callable[[], None],
) -> int:
    """Be the daemon until it is stopped; return the process's exit code."""
    import uvloop  # noqa: PLC0415 - only the daemon needs it

    daemon = Daemon(settings, paths, opening=opening)
    diary.secrets = daemon.secrets
    uvloop.run(daemon.run(ready))
    return 0
