"""The engine's pure parts: labels, Dockerfiles, progress, counters, faults, addresses."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepd.engine.attach import Demultiplexer
from deepd.engine.dockerfile import render_dockerfile
from deepd.engine.endpoint import DEFAULT_URL, find_endpoint
from deepd.engine.fault import NameTakenError, NoContainerError, pull_failed, refused
from deepd.engine.images import split_tag
from deepd.engine.labels import read_sandbox, render_labels
from deepd.engine.progress import PullProgress, read_step
from deepd.engine.stats import read_stats
from deepd.errors import EngineError, EngineRefusedError, ImageNotFoundError, SettingsError
from deepd.model.profile import Build, PackageManager
from deepd.model.sandbox import SandboxState
from tests.engine.conftest import SPEC


def row(**changes: Any) -> dict[str, Any]:
    """Return a row as the engine lists it."""
    spec = replace(SPEC, instance="i1")
    return {
        "Id": "c" * 64,
        "Names": ["/deepd-i1-main"],
        "ImageID": "sha256:0",
        "State": "exited",
        "Status": "Exited (137) 3 minutes ago",
        "Created": 1_700_000_000,
        "Labels": render_labels(spec),
    } | changes


def test_a_row_of_the_list_becomes_a_sandbox() -> None:
    sandbox = read_sandbox(row(), "i1")
    assert sandbox is not None
    assert (sandbox.session, sandbox.profile, sandbox.generation) == ("main", "python", 3)
    assert (sandbox.state, sandbox.exit_code) == (SandboxState.STOPPED, 137)


def test_a_row_of_another_instance_is_nothing() -> None:
    assert read_sandbox(row(), "i2") is None
    assert read_sandbox(row(Labels=None), "i1") is None


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("/deepd-i1-a.b_c-d", "a.b_c-d"),
        ("/deepd-i1-.warm-0123", None),
        ("/renamed-by-hand", None),
        ("/deepd-i2-main", None),
    ],
)
def test_the_session_is_read_from_the_name(name: str, session: str | None) -> None:
    sandbox = read_sandbox(row(Names=[name]), "i1")
    assert sandbox is not None
    assert sandbox.session == session


@pytest.mark.parametrize("state", ["dead", "removing", "restarting", "", None, "new in 2030"])
def test_a_state_that_we_do_not_know_is_broken(state: str | None) -> None:
    sandbox = read_sandbox(row(State=state), "i1")
    assert sandbox is not None
    assert sandbox.state is SandboxState.BROKEN


def test_labels_that_make_no_sense_do_no_harm() -> None:
    labels = row()["Labels"] | {"deepd.generation": "many", "deepd.profile": "../x"}
    sandbox = read_sandbox(row(Labels=labels), "i1")
    assert sandbox is not None
    assert sandbox.generation == 0


@pytest.mark.parametrize("manager", ["pip", "npm", "apt", "cargo"])
def test_a_package_is_neither_an_option_nor_shell(manager: PackageManager) -> None:
    build = Build("debian:12", packages=("--evil", "a;b", "x>=1"), package_manager=manager)
    first, user, run = render_dockerfile(build).splitlines()
    assert (first, user) == ("FROM debian:12", "USER 0:0")
    program, flag, command = json.loads(run.removeprefix("RUN "))
    assert (program, flag) == ("/bin/sh", "-c")
    assert " -- --evil 'a;b' 'x>=1'" in command


@given(st.lists(st.text()))
def test_every_setup_command_is_one_instruction_and_stays_itself(commands: list[str]) -> None:
    lines = render_dockerfile(Build("debian:12", setup_commands=tuple(commands))).split("\n")
    runs = [json.loads(line.removeprefix("RUN ")) for line in lines[2:-1]]
    assert [run[2] for run in runs] == commands


@pytest.mark.parametrize("image", ["debian\nRUN evil", "", "--platform=x", "a b", "$X"])
def test_a_base_image_that_is_more_than_a_name_is_refused(image: str) -> None:
    with pytest.raises(EngineRefusedError, match="not an image name"):
        render_dockerfile(Build(image))


def test_a_pull_never_seems_to_go_back() -> None:
    def line(layer: str, status: str, current: int = 0) -> dict[str, Any]:
        return {
            "id": layer,
            "status": status,
            "progressDetail": {"current": current, "total": 10} if current else {},
        }

    progress = PullProgress()
    assert progress.feed({"id": "latest", "status": "Pulling from library/x"}) is None
    fractions = [
        progress.feed(line("a", "Pulling fs layer")),
        progress.feed(line("a", "Downloading", 10)),
        progress.feed(line("b", "Pulling fs layer")),
        progress.feed(line("b", "Downloading", 5)),
        progress.feed(line("a", "Pull complete")),
        progress.feed(line("b", "Extracting", 5)),
        progress.feed(line("b", "Pull complete")),
    ]
    known = [fraction for fraction in fractions if fraction is not None]
    assert known == sorted(known)
    assert (known[0], known[-1]) == (0.0, 1.0)


def test_a_step_of_a_build_says_how_far_it_is() -> None:
    assert read_step("Step 2/4 : RUN x\n") == ("RUN x", 0.25)
    assert read_step(" ---> Running in 0123") is None


def raw(at: str, total: int) -> dict[str, Any]:
    return {
        "read": at,
        "cpu_stats": {"cpu_usage": {"total_usage": total}},
        "memory_stats": {"usage": 1000, "limit": 4000, "stats": {"inactive_file": 300}},
        "pids_stats": {"current": 5},
    }


def test_cpu_is_measured_between_two_samples_by_the_engines_clock() -> None:
    stats, sample = read_stats(raw("2026-01-01T00:00:00.123456789Z", 10**9), None)
    assert (stats.cpu, stats.memory, stats.memory_limit, stats.pids) == (0.0, 700, 4000, 5)
    later, _ = read_stats(raw("2026-01-01T00:00:02.123456789Z", 4 * 10**9), sample)
    assert later.cpu == pytest.approx(1.5)


def test_a_restart_between_two_samples_is_no_negative_cpu() -> None:
    _, sample = read_stats(raw("2026-01-01T00:00:00Z", 10**9), None)
    assert read_stats(raw("2026-01-01T00:00:01Z", 10), sample)[0].cpu == 0.0


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (409, 'The container name "/x" is already in use by container "0".', NameTakenError),
        (500, "creating storage: the container name x is already in use by 0", NameTakenError),
        (404, "No such image: x:1", ImageNotFoundError),
        (404, "No such container: 0123", NoContainerError),
        (404, "network nowhere not found", EngineRefusedError),
        (400, "Unknown runtime specified nowhere", EngineRefusedError),
        (400, "Minimum memory limit allowed is 6MB", EngineRefusedError),
        (400, "invalid mount config: bind source path does not exist: /x", EngineRefusedError),
        (500, "OCI runtime create failed: exec: not a directory", EngineRefusedError),
        (500, "context deadline exceeded", EngineError),
        (500, "no space left on device", EngineError),
    ],
)
def test_each_refusal_has_its_own_error(status: int, message: str, kind: type[EngineError]) -> None:
    error = refused(status, message, doing="cannot", image="x:1")
    assert type(error) is kind


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Get https://registry-1.docker.io/v2/: dial tcp: lookup x: no such host", EngineError),
        ("pull access denied for x, repository does not exist", ImageNotFoundError),
        ("manifest for x:1 not found: manifest unknown", ImageNotFoundError),
        ("invalid reference format", EngineRefusedError),
        ("toomanyrequests: rate limit", EngineError),
    ],
)
def test_each_failed_pull_has_its_own_error(message: str, kind: type[EngineError]) -> None:
    assert type(pull_failed("x:1", message)) is kind


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("python", ("python", "latest")),
        ("python:3.12-slim", ("python", "3.12-slim")),
        ("localhost:5000/python", ("localhost:5000/python", "latest")),
        ("localhost:5000/python:3", ("localhost:5000/python", "3")),
        ("python@sha256:0", ("python", "sha256:0")),
    ],
)
def test_an_image_without_a_tag_is_the_latest(image: str, parts: tuple[str, str]) -> None:
    assert split_tag(image) == parts


def test_the_endpoint_is_the_argument_or_the_environment_or_the_default() -> None:
    environ = {"DOCKER_HOST": "tcp://[::1]:4000"}
    assert find_endpoint("/run/x.sock", environ).path == "/run/x.sock"
    assert find_endpoint("", environ).sdk_url == "http://[::1]:4000"
    assert find_endpoint("", {}).url == DEFAULT_URL
    assert find_endpoint("", {}).sdk_url == DEFAULT_URL


def test_tls_is_used_where_docker_would_use_it() -> None:
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certificates"}
    endpoint = find_endpoint("tcp://host", environ)
    assert (endpoint.certificates, endpoint.port) == (Path("/certificates"), 2376)
    assert endpoint.sdk_url == "https://host:2376"


@pytest.mark.parametrize("url", ["ssh://", "docker", "npipe:////./pipe/x", "tcp://"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="not an address"):
        find_endpoint(url, {})


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40))), st.integers(0))
def test_a_stream_is_taken_apart_wherever_it_is_cut(
    frames: list[tuple[int, bytes]], seed: int
) -> None:
    data = b"".join(
        bytes([stream, 0, 0, 0]) + len(piece).to_bytes(4, "big") + piece for stream, piece in frames
    )
    cuts = sorted(random.Random(seed).sample(range(len(data) + 1), min(len(data), 7)))
    demultiplexer = Demultiplexer()
    stdout, stderr = b"", b""
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        pieces, said = demultiplexer.feed(data[begin:end])
        stdout += b"".join(pieces)
        stderr += said
    assert stdout == b"".join(piece for stream, piece in frames if stream == 1)
    assert stderr == b"".join(piece for stream, piece in frames if stream == 2)


@pytest.mark.parametrize(
    "header", [b"HTTP/1.1", b"\x01\0\0\0\xff\xff\xff\xff", b"\x09\0\0\0\0\0\0\1"]
)
def test_a_stream_that_makes_no_sense_is_an_error(header: bytes) -> None:
    with pytest.raises(EngineError, match="no sense"):
        Demultiplexer().feed(header)
