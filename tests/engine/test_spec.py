"""What a sandbox is asked to be, before any engine sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepd.engine.spec import render_container, render_limits
from deepd.errors import EngineRefusedError
from deepd.model.profile import Limits, Security, Volume
from tests.engine.conftest import SPEC

VOLUME = "deepd-guest-0"


def test_the_guest_is_the_first_process_as_root_whatever_the_image_says() -> None:
    body = render_container(replace(SPEC, user="1000:1000", shell="/bin/dash"), VOLUME)
    assert body["Entrypoint"] == ["/.deepd/guest"]
    assert body["Cmd"] == [
        *("--work-dir", "/workspace", "--user", "1000:1000", "--shell", "/bin/dash", "--hosts")
    ]
    assert body["User"] == "0:0"
    assert body["Healthcheck"] == {"Test": ["NONE"]}


def test_stdin_stays_open_when_an_owner_goes() -> None:
    body = render_container(SPEC, VOLUME)
    assert body["OpenStdin"] is True
    assert body["StdinOnce"] is False
    assert body["Tty"] is False


def test_capabilities_of_the_profile_come_on_top_of_the_guests() -> None:
    security = Security(cap_add=("net_raw", "CAP_KILL"))
    host = render_container(replace(SPEC, security=security), VOLUME)["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == ["SETUID", "SETGID", "KILL", "NET_RAW"]


def test_memory_includes_swap() -> None:
    limits = render_limits(Limits(memory=123, cpus=1.5, pids=7))
    expected = {"Memory": 123, "MemorySwap": 123, "NanoCpus": 1_500_000_000, "PidsLimit": 7}
    assert limits == expected


def test_the_workspace_and_the_volumes_are_mounted_beside_the_guest() -> None:
    volume = Volume(source="cache", target="/cache", type="volume", read_only=True)
    spec = replace(SPEC, workspace=Path("/w/main/workspace"), volumes=(volume,))
    guest, workspace, cache = render_container(spec, VOLUME)["HostConfig"]["Mounts"]
    assert (guest["Source"], guest["Target"], guest["ReadOnly"]) == (VOLUME, "/.deepd", True)
    assert (workspace["Source"], workspace["Target"]) == ("/w/main/workspace", "/workspace")
    assert cache == {"Type": "volume", "Source": "cache", "Target": "/cache", "ReadOnly": True}


def test_a_relative_source_is_refused_before_the_engine_makes_a_volume_of_it() -> None:
    with pytest.raises(EngineRefusedError, match="absolute"):
        render_container(replace(SPEC, volumes=(Volume("src", "/src"),)), VOLUME)


@pytest.mark.parametrize("network", ["host", "container:abc", "ns:/proc/1/ns/net"])
def test_a_network_that_is_not_the_sandboxs_own_is_refused(network: str) -> None:
    with pytest.raises(EngineRefusedError, match="network"):
        render_container(replace(SPEC, security=Security(network=network)), VOLUME)


def test_a_read_only_sandbox_has_scratch_folders_where_no_volume_is() -> None:
    spec = replace(SPEC, security=Security(read_only=True), volumes=(Volume("/srv/tmp", "/tmp/"),))
    host = render_container(spec, VOLUME)["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert list(host["Tmpfs"]) == ["/run"]


def test_the_engine_sets_up_no_network_that_would_reach_nobody() -> None:
    body = render_container(SPEC, VOLUME)
    assert body["NetworkDisabled"] is True
    assert body["HostConfig"]["NetworkMode"] == "none"


@pytest.mark.parametrize(
    "changes",
    [
        {"security": Security(network="bridge")},
        {"security": Security(read_only=True)},
        {"security": Security(runtime="runsc")},
        {"volumes": (Volume("/srv/etc", "/etc/"),)},
        {"volumes": (Volume("/srv/hosts", "/etc/hosts"),)},
    ],
    ids=["a network", "read-only", "another runtime", "a volume at /etc", "hosts of its own"],
)
def test_the_engine_does_where_its_hosts_are_needed(changes: dict[str, Any]) -> None:
    body = render_container(replace(SPEC, **changes), VOLUME)
    assert body["NetworkDisabled"] is False
    assert "--hosts" not in body["Cmd"]
