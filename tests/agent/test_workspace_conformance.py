"""pydantic-ai's own suite for workspaces, over a daemon and each real engine."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

from deepd.client.async_ import AsyncClient
from deepd.integrations.pydantic_ai import DeepdWorkspaceBackend
from tests.e2e.conftest import User

if TYPE_CHECKING:
    from pydantic_ai.workspaces import WorkspaceBackend, WorkspaceRef

Make = Callable[..., DeepdWorkspaceBackend]


@pytest.fixture(scope="module")
def shared_session() -> str:
    """Return the session of those tests that do not ask for one of their own."""
    return f"shared-{secrets.token_hex(4)}"


@pytest.fixture
async def make(any_daemon: User) -> AsyncIterator[Make]:
    """Return what makes backends, of which nothing is left afterwards."""
    made: list[DeepdWorkspaceBackend] = []

    def make(**options: object) -> DeepdWorkspaceBackend:
        socket = f"{any_daemon.env['DEEPD_RUNTIME_DIR']}/agent.sock"
        made.append(DeepdWorkspaceBackend(socket_path=socket, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for backend in made:
        backend.close()


class TestDeepdWorkspace(WorkspaceBackendSuite):
    """Every rule of the suite's: what would be skipped fails."""

    @pytest.fixture(autouse=True)
    def nothing_is_skipped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(reason: str = "") -> None:
            pytest.fail(f"a rule is left out: {reason}")

        monkeypatch.setattr(pytest, "skip", refuse)

    @pytest.fixture
    def backend(self, make: Make, shared_session: str) -> WorkspaceBackend:
        return make(session=shared_session)

    @pytest.fixture
    def fresh_backend(self, make: Make) -> Callable[[], WorkspaceBackend]:
        return lambda: make(profile="open")

    @pytest.fixture
    def attach_backend(self, make: Make) -> Callable[[WorkspaceRef], WorkspaceBackend]:
        return lambda ref: make(ref=ref)

    @pytest.fixture
    def destroy_environment(
        self, any_daemon: User
    ) -> Callable[[WorkspaceBackend], Awaitable[None]]:
        async def destroy(backend: WorkspaceBackend) -> None:
            assert isinstance(backend, DeepdWorkspaceBackend)
            async with AsyncClient(f"{any_daemon.env['DEEPD_RUNTIME_DIR']}/deepd.sock") as operator:
                await operator.close_session(backend.session, purge=True)

        return destroy
