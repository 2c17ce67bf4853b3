"""What the library decides without an engine: pages, wishes, and what containers there are mean."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import deepd
from deepd import AsyncDockerSandbox, DockerSandbox, RuntimeConfig, SessionManager
from deepd.errors import ArgumentsError, BadRequestError, ConflictError, DeepdError, TooLargeError
from deepd.library.find import NotUsableError, next_step
from deepd.library.mounts import make_missing, read_volumes
from deepd.library.page import END_OF_FILE, MAX_PAGE, Page
from deepd.library.place import checked_path
from deepd.library.wish import KEPT, LEAST_LEASE, LIBRARY, UNNAMED, UNNAMED_LEASE, Wish
from deepd.model.ids import ContainerId
from deepd.model.profile import Volume
from deepd.model.sandbox import Sandbox, SandboxState


def page_of(pieces: list[bytes], offset: int = 0, limit: int = 2000) -> str:
    """Return what a page says of a file that came in these pieces."""
    page = Page(offset, limit)
    for piece in pieces:
        page.feed(piece)
    return page.text()


@given(
    lines=st.lists(st.sampled_from(["", "a", "bc", "d\r"]), max_size=12),
    ends=st.booleans(),
    cuts=st.lists(st.integers(0, 40), max_size=5),
    offset=st.integers(0, 14),
    limit=st.integers(1, 14),
)
def test_a_page_is_the_same_however_the_file_is_cut(
    lines: list[str], *, ends: bool, cuts: list[int], offset: int, limit: int
) -> None:
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    data = text.encode()
    marks = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(marks)]
    whole = [line + "\n" for line in text.split("\n")]
    whole[-1] = whole[-1][:-1]
    whole = [line for line in whole if line]
    shown = page_of(pieces, offset, limit)
    if offset and offset >= len(whole):
        assert shown == END_OF_FILE
        return
    expected = "".join(whole[offset : offset + limit])
    if more := max(0, len(whole) - offset - limit):
        expected += f"[... {more} more lines. Use offset={offset + limit} to read more.]"
    assert shown == expected


def test_a_page_that_does_not_fit_is_an_error_and_what_is_behind_it_is_not() -> None:
    with pytest.raises(TooLargeError, match="larger than 32 MiB"):
        page_of([b"x" * MAX_PAGE, b"y"])
    assert page_of([b"first\n", b"x" * MAX_PAGE, b"y"], limit=1).startswith("first\n[... 1 more")


def wish(**changes: Any) -> Wish:
    """Return the wish of a sandbox."""
    return AsyncDockerSandbox(**{"session_id": "main", **changes})._wish


def seen(of: Wish, state: SandboxState, **changes: Any) -> Sandbox:
    """Return a container as the engine would show it."""
    given = {
        "id": ContainerId("c1"),
        "name": of.name,
        "session": of.session,
        "profile": of.label,
        "state": state,
        "spec_hash": of.profile.container_hash(),
    }
    return Sandbox(**(given | changes))


def said(of: Wish, found: Sandbox | None, own: str | None) -> str:
    """Return the next step, or why there is none."""
    try:
        return next_step(of, found, None if own is None else ContainerId(own))
    except (NotUsableError, DeepdError) as error:
        return str(error)


S = SandboxState


@pytest.mark.parametrize(
    ("state", "changes", "own", "expected"),
    [
        (None, {}, None, "create"),
        (S.RUNNING, {}, None, "attach"),
        (S.PAUSED, {}, None, "attach"),
        (S.RUNNING, {"spec_hash": "other"}, None, "remove"),
        (S.STOPPED, {}, None, "remove"),
        (S.CREATED, {}, None, "remove"),
        (S.BROKEN, {}, None, "remove"),
        (S.STOPPED, {"profile": KEPT}, None, "start"),
        (S.CREATED, {"profile": KEPT}, None, "start"),
        (S.BROKEN, {"profile": KEPT}, None, "remove"),
        (S.STOPPED, {"profile": KEPT, "spec_hash": "o"}, None, "a container of the session main"),
        (S.RUNNING, {"profile": KEPT, "spec_hash": "o"}, None, "a container of the session main"),
        (S.RUNNING, {}, "c1", "attach"),
        (S.STOPPED, {"exit_code": 0}, "c1", "start"),
        (S.STOPPED, {"exit_code": 137}, "c1", "the container of the sandbox main ended with exit"),
        (S.BROKEN, {}, "c1", "the container of the sandbox main ended"),
        (None, {}, "c1", "the container of the sandbox main was removed"),
        (S.RUNNING, {"id": ContainerId("c2")}, "c1", "the container of the sandbox main was remov"),
    ],
)
def test_what_a_container_means_for_a_wish(
    state: SandboxState | None, changes: dict[str, Any], own: str | None, expected: str
) -> None:
    of = wish()
    found = None if state is None else seen(of, state, **changes)
    assert said(of, found, own).startswith(expected)


def test_one_root_is_one_instance_and_names_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    one, two = wish(workspace_root=tmp_path), wish(workspace_root=tmp_path / "link")
    other = wish(workspace_root=tmp_path / "other")
    assert one.name == two.name
    assert one.key == two.key
    assert one.name != other.name != wish().name
    assert one.name.startswith("deepd-lib-")
    assert one.name.endswith("-main")


def test_sandboxes_without_an_id_are_never_the_same() -> None:
    assert len({DockerSandbox().id for _ in range(50)}) == 50
    assert DockerSandbox(sandbox_id="named").id == "named"
    assert DockerSandbox(sandbox_id="one", session_id="two").session_id == "two"


def test_what_does_not_change_a_container_is_not_in_its_hash() -> None:
    same = [wish(idle_timeout=5), wish(env={"A": "b"}), wish(memory="2g"), wish(auto_remove=False)]
    assert {each.profile.container_hash() for each in same} == {wish().profile.container_hash()}
    for other in (wish(image="b"), wish(work_dir="/a"), wish(network="bridge"), wish(user="root")):
        assert other.profile.container_hash() != wish().profile.container_hash()
    assert wish().label == LIBRARY
    assert wish(auto_remove=False).label == KEPT


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"work_dir": "relative"}, "the work dir must be an absolute path"),
        ({"work_dir": "/"}, "the work dir must be an absolute path"),
        ({"work_dir": "/a/../b"}, "the work dir must be an absolute path"),
        ({"work_dir": "/proc/x"}, "the work dir cannot be in"),
        ({"volumes": {"/": "/data"}}, "the whole file system"),
        ({"volumes": {"/tmp": "data"}}, "a volume's container path must be absolute"),
        ({"volumes": {"/tmp": "/data:rx"}}, "unknown mode"),
        ({"volumes": {"/tmp": "/.deepd"}}, "a volume's container path cannot be in"),
        ({"volumes": {"/tmp": "/data", "/var": "/data/"}}, "two volumes are mounted at /data"),
        ({"memory": "lots"}, "memory: 'lots' is not a size"),
        ({"memory": 0}, "memory must be more than 0"),
        ({"cpus": float("nan")}, "cpus must be more than 0"),
        ({"idle_timeout": -1}, "idle_timeout must be 0 or more"),
        ({"image": ""}, "the image has no name"),
        ({"runtime": "python-minimum"}, "there is no runtime 'python-minimum'"),
        ({"session_id": 5}, "the session id must be a text"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(options: dict[str, Any], said: str) -> None:
    pattern = said.replace("must be absolute", "must be an absolute")
    with pytest.raises(ArgumentsError, match=pattern):
        DockerSandbox(**options)


@pytest.mark.parametrize("name", ["../../x", "/abs", "a/b", "a\0b", "x" * 300, "", "A", "a\n"])
def test_an_id_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="is not a session name"):
        DockerSandbox(session_id=name)
    with pytest.raises(BadRequestError, match="is not a session name"):
        SessionManager().get_or_create(name)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="netwrok"):
        DockerSandbox(netwrok="none")  # type: ignore[call-arg] # that is what is tested


def test_idle_never_is_none_or_zero() -> None:
    assert [DockerSandbox(idle_timeout=each).idle_timeout for each in (0, None, 7)] == [
        None,
        None,
        7,
    ]


def test_volumes_are_resolved_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    volumes = read_volumes({"link": "/b", "~/new": "/a:ro", "./x/../real": "/c:rw"})
    real = os.path.realpath(tmp_path)
    assert volumes == (
        Volume(f"{real}/new", "/a", read_only=True),
        Volume(f"{real}/real", "/b"),
        Volume(f"{real}/real", "/c"),
    )


def test_missing_folders_are_made_for_an_ordinary_user(tmp_path: Path) -> None:
    volume = Volume(str(tmp_path / "a" / "b"), "/data")
    make_missing([volume])
    made = Path(volume.source).stat()
    assert made.st_uid == (1000 if os.geteuid() == 0 else os.geteuid())
    make_missing([volume])
    (tmp_path / "file").write_text("")
    with pytest.raises(DeepdError, match="cannot make the folder"):
        make_missing([Volume(str(tmp_path / "file" / "b"), "/data")])


def test_a_runtime_is_one_image_or_one_base() -> None:
    with pytest.raises(ArgumentsError, match="needs one of image and base_image"):
        RuntimeConfig("none")
    with pytest.raises(ArgumentsError, match="needs one of image and base_image"):
        RuntimeConfig("both", image="a", base_image="b")
    with pytest.raises(ArgumentsError, match="to which nothing is added"):
        RuntimeConfig("more", image="a", packages=["b"])
    with pytest.raises(ArgumentsError, match="packages must be a list"):
        RuntimeConfig("text", base_image="a", packages="b")
    with pytest.raises(ArgumentsError, match="'poetry' is none of"):
        RuntimeConfig("x", base_image="a", package_manager="poetry")  # type: ignore[arg-type]


def test_the_builtin_runtimes_are_those_that_users_know() -> None:
    assert list(deepd.BUILTIN_RUNTIMES) == [
        "python-minimal",
        "python-datascience",
        "python-web",
        "node-minimal",
        "node-react",
    ]
    science = wish(runtime="python-datascience").profile
    assert science.build is not None
    assert "pandas" in science.build.packages
    assert wish(runtime="python-minimal").profile.image == "python:3.12-slim"
    mine = RuntimeConfig("m", image="i", work_dir="/app", env_vars={"A": "1", "B": "2"})
    profile = wish(runtime=mine, env={"B": "3"}).profile
    assert (profile.image, profile.work_dir) == ("i", "/app")
    assert dict(profile.env) == {"A": "1", "B": "3"}
    assert wish(runtime=mine, work_dir="/mine").profile.work_dir == "/mine"


def test_a_session_manager_s_session_keeps_its_kind() -> None:
    manager = SessionManager()
    first = manager.get_or_create("a", runtime="python-minimal")
    assert manager.get_or_create("a") is first
    with pytest.raises(ConflictError):
        manager.get_or_create("a", runtime="node-minimal")


def test_every_public_name_can_be_had_and_has_a_docstring() -> None:
    homes = {name for names in deepd._HOMES.values() for name in names.split()}
    assert set(deepd.__all__) == homes | {"__version__"}
    assert set(deepd.__all__) <= set(dir(deepd))
    for name in homes - {"BUILTIN_RUNTIMES"}:
        assert getattr(deepd, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'DockerSandbx'"):
        _ = deepd.DockerSandbx  # type: ignore[attr-defined] # a type checker says so too


def test_every_public_method_has_a_docstring() -> None:
    for name in deepd.__all__:
        kind = getattr(deepd, name)
        if not isinstance(kind, type):
            continue
        for method in vars(kind).values():
            target = getattr(method, "fget", method)
            if callable(target) and not target.__name__.startswith("_"):
                assert target.__doc__, f"{name}.{target.__name__}"


def test_its_types_come_along() -> None:
    assert (Path(deepd.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    "live",
    [
        DockerSandbox(),
        AsyncDockerSandbox(),
        deepd.LocalBackend("/tmp"),
        SessionManager(),
        deepd.connect("/tmp/none.sock"),
    ],
    ids=lambda live: type(live).__name__,
)
@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_is_live_is_no_copy_s(live: object, way: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=rf"a {type(live).__name__} cannot be pickled or copied"):
        way(live)


def test_a_path_is_a_text_or_what_pathlib_makes() -> None:
    assert checked_path(PurePosixPath("/a/ü")) == "/a/ü"
    with pytest.raises(ArgumentsError, match="not bytes") as caught:
        checked_path(b"/a")  # type: ignore[arg-type] # that is what is tested
    assert "os.fsdecode" in caught.value.next_step
    with pytest.raises(ArgumentsError, match="not int"):
        checked_path(7)  # type: ignore[arg-type] # that is what is tested


def test_a_sandbox_that_nobody_can_ask_for_again_is_given_up_sooner() -> None:
    assert wish().lease == 3600
    assert wish(idle_timeout=None).lease is None
    unnamed = {"session_id": None}
    assert wish(**unnamed).lease == wish(**unnamed, idle_timeout=None).lease == UNNAMED_LEASE
    assert wish(**unnamed, idle_timeout=60).lease == 60
    assert wish(**unnamed, idle_timeout=1).lease == LEAST_LEASE
    assert wish(**unnamed, auto_remove=False).lease == 3600
    assert [wish(**unnamed).label, wish(**unnamed, auto_remove=False).label] == [UNNAMED, KEPT]


def test_importing_deepd_costs_next_to_nothing() -> None:
    def best(code: str) -> float:
        times = []
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - began)
        return min(times)

    assert best("import deepd") < 3 * best("pass")


def test_importing_the_sandbox_loads_neither_docker_nor_pydantic() -> None:
    code = (
        "import sys; from deepd import DockerSandbox, SessionManager, LocalBackend, connect;"
        "print({'docker', 'pydantic', 'pydantic_ai', 'textual', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
