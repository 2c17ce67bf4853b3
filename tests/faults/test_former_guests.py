"""Volumes of former guests go when a new one comes; those in use and those of others stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepd.engine.docker_client import DockerClient
from deepd.engine.endpoint import find_endpoint
from deepd.engine.guest_volume import YOUNG, GuestVolume
from deepd.guest.binary import guest_binary
from tests.faults.second_engine import SecondEngine
from tests.images import BUSYBOX

pytestmark = pytest.mark.docker

UNUSED, USED = "deepd-guest-0000000000000001", "deepd-guest-0000000000000002"
FOREIGN = "deepd-guest-book"


@pytest.mark.parametrize(
    ("young", "left"),
    [(-1.0, {USED, FOREIGN}), (YOUNG, {UNUSED, USED, FOREIGN})],
    ids=["old", "young"],
)
async def test_a_new_guest_removes_old_ones_that_nobody_uses(
    engine: SecondEngine, tmp_path: Path, young: float, left: set[str]
) -> None:
    for name in (UNUSED, USED, FOREIGN):
        engine.docker("volume", "create", name)
    user = engine.docker("create", "-v", f"{USED}:/x", BUSYBOX, "true").strip()
    binary = tmp_path / "guest"  # that this engine has not had yet
    binary.write_bytes(guest_binary().read_bytes() + f"{young}".encode())
    client = DockerClient(find_endpoint(engine.host), timeout=30)
    guest = GuestVolume(client, binary, young=young)
    ours = await guest.name()
    container = engine.docker("create", "-v", f"{ours}:/.deepd", BUSYBOX, "true").strip()

    await guest.wait_until_filled(container)
    await client.aclose()

    found = {UNUSED, USED, FOREIGN, ours} & set(engine.docker("volume", "ls", "-q").split())
    engine.docker("rm", "-f", user, container)
    engine.docker("volume", "rm", *found)
    assert found == left | {ours}
