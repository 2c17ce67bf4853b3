"""The suite of workspaces over sandboxd, for its wall time; run in the peers' environment only."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite
from pydantic_ai_backends.workspaces import SandboxdWorkspace

Backend = Any


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def workspace() -> AsyncIterator[SandboxdWorkspace]:
    """Return the service as one client sees it; the client lives as long as the test's loop."""
    url = os.environ["BENCH_SANDBOXD_URL"]
    async with SandboxdWorkspace(service_url=url, token="bench") as workspace:
        yield workspace


class TestSandboxd(WorkspaceBackendSuite):
    """Most tests share one session, as deepd's do."""

    @pytest.fixture
    def backend(self, workspace: SandboxdWorkspace) -> Backend:
        named = SandboxdWorkspace(
            service_url=workspace.service_url,
            token="bench",
            client=workspace._owned,
            session_name=f"shared-{os.getpid()}",
        )
        return named.backend()

    @pytest.fixture
    def fresh_backend(self, workspace: SandboxdWorkspace) -> Callable[[], Backend]:
        return workspace.backend  # type: ignore[no-any-return]

    @pytest.fixture
    def attach_backend(self, workspace: SandboxdWorkspace) -> Callable[[Any], Backend]:
        return workspace.backend  # type: ignore[no-any-return]

    @pytest.fixture
    def destroy_environment(
        self, workspace: SandboxdWorkspace
    ) -> Callable[[Backend], Awaitable[None]]:
        async def destroy(backend: Backend) -> None:
            await workspace.destroy(backend.ref)

        return destroy
