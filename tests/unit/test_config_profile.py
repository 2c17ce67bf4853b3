"""Every documented key of a profile, and every rule between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepd.config.advice import warnings
from deepd.model.profile import Approvals, Build, Limits, Profile, Security, Volume
from tests.unit.profile_texts import IMAGE, load, problems, said

SHORT = """
#:schema ./profile.schema.json
image = "python:3.12-slim"            # or `build`, see below
idle_timeout = "1h"
volumes = [
  "./src:/workspace/src", "./data:/data:ro",
  {source = "pip-cache", target = "/cache", type = "volume"},
]
work_dir = "/workspace"
interrupt_on = true                   # every call is held
"""

LONG = """
engine = "auto"
sessions = ["main"]
warm = 0
auto_remove = true
on_change = "idle"
env = {PYTHONUNBUFFERED = "1"}
secrets = ["PIP_TOKEN"]
setup = ["pip install -e ."]
user = "workspace"
shell = "auto"
[build]
base_image = "python:3.12-slim"
packages = ["pandas", "numpy"]
package_manager = "pip"
setup_commands = []
[limits]
memory = "1g"
cpus = 2.0
pids = 256
timeout = "5m"
max_timeout = "1h"
output = "1MiB"
output_kill = "64MiB"
[security]
network = "none"
read_only = false
cap_add = []
runtime = ""
[interrupt_on]
read_file = "allow"
write_file = "ask"
"mcp_*" = "ask"
[interrupt_on.execute]
default = "ask"
timeout = "2m"
[interrupt_on.edit_file]
default = "allow"
[approvals]
default = "ask"
timeout = "15m"
on_timeout = "deny"
remember = ["session"]
notify = ["bell"]
"""


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "data").mkdir()


def test_the_short_example_means_what_it_says(tmp_path: Path) -> None:
    profile = load(tmp_path, SHORT)
    assert profile.name == "strict"
    assert profile.image_ref == "python:3.12-slim"
    assert profile.idle_timeout == 3600
    assert profile.volumes == (
        Volume("pip-cache", "/cache", type="volume"),
        Volume(str(tmp_path / "data"), "/data", read_only=True),
        Volume(str(tmp_path / "src"), "/workspace/src"),
    )
    (policy,) = profile.interrupt_on
    assert (policy.tool, policy.default, policy.written) == ("*", "ask", "interrupt_on = true")
    assert str(policy.position) == f"{tmp_path}/strict.toml:10:1"


def test_the_long_example_means_what_it_says(tmp_path: Path) -> None:
    profile = load(tmp_path, LONG)
    assert profile.build == Build("python:3.12-slim", ("pandas", "numpy"), "pip", ())
    assert profile.limits == Limits(1 << 30, 2.0, 256, 300.0, 3600.0, 1 << 20, 64 << 20)
    assert profile.security == Security("none", read_only=False, cap_add=(), runtime="")
    assert profile.approvals == Approvals("ask", 900.0, "deny", ("session",), ("bell",))
    assert [(one.tool, one.default, one.timeout) for one in profile.interrupt_on] == [
        ("edit_file", "allow", None),
        ("execute", "ask", 120.0),
        ("mcp_*", "ask", None),
        ("read_file", "allow", None),
        ("write_file", "ask", None),
    ]
    assert profile.interrupt_on[1].written == 'interrupt_on.execute.default = "ask"'
    assert profile.interrupt_on[2].written == 'interrupt_on."mcp_*" = "ask"'


def test_all_that_is_left_out_has_the_documented_default(tmp_path: Path) -> None:
    build = '[build]\nbase_image = "python:3.12-slim"\n'
    defaults = load(tmp_path, build)
    documented = load(tmp_path, LONG.replace('setup = ["pip install -e ."]\n', ""))
    for field in ("engine", "sessions", "warm", "auto_remove", "on_change", "user", "shell"):
        assert getattr(defaults, field) == getattr(documented, field)
    for field in ("limits", "security", "approvals", "work_dir", "idle_timeout"):
        assert getattr(defaults, field) == getattr(documented, field)
    assert defaults.workspace_root == tmp_path / "state" / "workspaces"


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ('engine = "kubernetes"', "engine", "kubernetes"),
        ('sessions = ["a", "b"]', "sessions", ("a", "b")),
        ("sessions = []", "sessions", ()),
        ("warm = 3", "warm", 3),
        ("auto_remove = false", "auto_remove", False),
        ('on_change = "now"', "on_change", "now"),
        ('env = {B = "", A = "x"}', "env", (("A", "x"), ("B", ""))),
        ('secrets = ["B", "A"]', "secrets", ("A", "B")),
        ('setup = ["a\\nb"]', "setup", ("a\nb",)),
        ('user = "1000:1000"', "user", "1000:1000"),
        ('user = "root"', "user", "root"),
        ('shell = "/bin/ash"', "shell", "/bin/ash"),
        ('work_dir = "/srv/app"', "work_dir", "/srv/app"),
        ('name = "other"', "name", "other"),
        ("idle_timeout = 90", "idle_timeout", 90.0),
        ('idle_timeout = "1h30m"', "idle_timeout", 5400.0),
        ("idle_timeout = 0", "idle_timeout", None),
        ('idle_timeout = "0s"', "idle_timeout", None),
        ("interrupt_on = false", "interrupt_on", ()),
        ("interrupt_on = []", "interrupt_on", ()),
        ("interrupt_on = {}", "interrupt_on", ()),
    ],
)
def test_each_key_is_taken_as_it_is_written(
    tmp_path: Path, line: str, field: str, value: Any
) -> None:
    assert getattr(load(tmp_path, IMAGE + line), field) == value


@pytest.mark.parametrize(
    ("lines", "limits"),
    [
        ("memory = 536870912\ncpus = 1", Limits(memory=512 << 20, cpus=1.0)),
        ('max_timeout = "1m"', Limits(timeout=60.0, max_timeout=60.0)),
        ('output_kill = "64k"', Limits(output=64 << 10, output_kill=64 << 10)),
        ("pids = 64\ntimeout = 10", Limits(pids=64, timeout=10.0)),
    ],
)
def test_limits_are_numbers_or_texts_with_units(tmp_path: Path, lines: str, limits: Limits) -> None:
    assert load(tmp_path, f"{IMAGE}[limits]\n{lines}").limits == limits


def test_security_takes_networks_runtimes_and_capabilities_by_name(tmp_path: Path) -> None:
    text = f"""{IMAGE}[security]
network = "my-net"
read_only = true
runtime = "io.containerd.runsc.v1"
cap_add = ["NET_RAW", "CAP_CHOWN"]
"""
    assert load(tmp_path, text).security == Security(
        "my-net", read_only=True, cap_add=("CHOWN", "NET_RAW"), runtime="io.containerd.runsc.v1"
    )


def test_a_list_holds_the_tools_that_it_names(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE + 'interrupt_on = ["write_file",\n  "execute", "deploy*"]')
    assert [(one.tool, one.default) for one in profile.interrupt_on] == [
        ("deploy*", "ask"),
        ("execute", "ask"),
        ("write_file", "ask"),
    ]
    place = profile.interrupt_on[1].position
    assert place
    assert (place.line, place.column) == (3, 3)


def test_a_table_takes_booleans_too(tmp_path: Path) -> None:
    profile = load(tmp_path, IMAGE + "interrupt_on = {execute = true, read_file = false}")
    assert [one.written for one in profile.interrupt_on] == [
        "interrupt_on.execute = true",
        "interrupt_on.read_file = false",
    ]
    assert [one.default for one in profile.interrupt_on] == ["ask", "allow"]


SAME: list[tuple[str, str]] = [
    ('interrupt_on = ["execute", "ls"]', 'interrupt_on = {ls = true, execute = "ask"}'),
    ('interrupt_on = ["execute"]', '# held\n\n[interrupt_on.execute]\ndefault = "ask"'),
    ('interrupt_on = ["execute"]', "[interrupt_on.execute]"),
    ('env = {A = "1", B = "2"}', 'env.B = "2"\nenv.A = "1"'),
    ("idle_timeout = 3600", 'idle_timeout = "60m"'),
    ('volumes = ["./src:/a", "data:/b:ro"]', 'volumes = ["./data:/b:ro", "src/:/a:rw"]'),
    ('volumes = ["src:/a"]', '[[volumes]]\ntarget = "/a"\nsource = "./src"'),
    ('[security]\ncap_add = ["KILL", "CAP_CHOWN"]', 'security.cap_add = ["CHOWN", "KILL"]'),
    ("", 'name = "strict"\n[limits]\nmemory = "1024m"\ncpus = 2'),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_files_that_mean_the_same_have_the_same_revision(
    tmp_path: Path, one: str, other: str
) -> None:
    assert load(tmp_path, IMAGE + one).revision() == load(tmp_path, IMAGE + other).revision()


@pytest.mark.parametrize("line", ["warm = 1", 'env = {A = "1"}', 'interrupt_on = ["ls"]'])
def test_two_files_that_differ_have_different_revisions(tmp_path: Path, line: str) -> None:
    assert load(tmp_path, IMAGE).revision() != load(tmp_path, IMAGE + line).revision()


WRONG: list[tuple[str, str]] = [
    ("foo = 1", "2:1 unknown key `foo`"),
    ('idle_timout = "1h"', "2:1 unknown key `idle_timout` | did you mean `idle_timeout`?"),
    ('[limits]\nmemry = "1g"', "3:1 unknown key `limits.memry` | did you mean `memory`?"),
    ("warm = true", "2:8 `warm` must be an integer, not a boolean"),
    ("warm = 1.0", "2:8 `warm` must be an integer, not a number"),
    ("warm = -1", "2:8 `warm` must be greater than or equal to 0"),
    ("warm = 99999999999999999999999999", "2:8 `warm` must be less than or equal to 64"),
    ("auto_remove = 1", "2:15 `auto_remove` must be true or false, not an integer"),
    ("env = {A = 1}", '2:12 `env.A` must be a string, not an integer | write it in quotes: "1"'),
    (
        'env = {"A B" = "1"}',
        '2:8 `env."A B"` is not the name of an environment variable | use A-Z a-z 0-9 _',
    ),
    ('env = {A = "\\u0000"}', "2:12 `env.A` has a NUL character"),
    ('secrets = ["A", "A"]', "2:17 `A` is in the array twice"),
    ('env = {A = "1"}\nsecrets = ["A"]', "3:12 `A` is in `env` and in `secrets`"),
    ('sessions = ["main", "main"]', "2:21 `main` is in the array twice"),
    ("[limits]\ncpus = nan", "3:8 `limits.cpus` must be a finite number"),
    ("[limits]\ncpus = inf", "3:8 `limits.cpus` must be a finite number"),
    ("[limits]\ncpus = true", "3:8 `limits.cpus` must be a number, not a boolean"),
    ("[limits]\ncpus = 0", "3:8 `limits.cpus` must be greater than 0"),
    ("[limits]\ntimeout = 0", "3:11 `limits.timeout` must be longer than 0"),
    (
        '[limits]\ntimeout = "2h"',
        "3:11 `limits.timeout` is longer than `limits.max_timeout` | which is 1h",
    ),
    (
        '[limits]\noutput = "1g"',
        "3:10 `limits.output` is more than `limits.output_kill` | which is 64M",
    ),
    ('[limits]\nmemory = "1m"', "3:10 `limits.memory` is less than engines take | 6m is the least"),
    ("[limits]\nmemory = -1", "3:10 `limits.memory` is negative"),
    ('[limits]\nmemory = "9999999t"', "3:10 `limits.memory` is too large"),
    ("idle_timeout = 99999999999999999999", "2:16 `idle_timeout` is too large"),
    (
        'work_dir = "workspace"',
        '2:12 `work_dir` must be an absolute path | did you mean "/workspace"?',
    ),
    (
        'work_dir = "/a/../b"',
        '2:12 `work_dir` must be written without `..`, `.` and extra slashes | write "/b"',
    ),
    ('work_dir = "/"', "2:12 `work_dir` must be a folder below /"),
    ('work_dir = "/proc/self"', "2:12 `work_dir` may not be in /proc"),
    ('user = "node"', '2:8 `user` must be "workspace", "root" or numbers such as "1000:1000"'),
    (
        'user = "1000:9999999999"',
        '2:8 `user` must be "workspace", "root" or numbers such as "1000:1000"',
    ),
    ('shell = "bash"', '2:9 `shell` must be "auto" or an absolute path such as "/bin/sh"'),
    ('engine = "dcoker"', "2:10 `engine` must be"),
    (
        '[security]\nnetwork = "host"',
        "3:11 `security.network` may not be this machine's own network",
    ),
    ('[security]\nnetwork = "container:x"', "3:11 `security.network` is not the name of a network"),
    ('[security]\nruntime = "a b"', "3:11 `security.runtime` is not the name of a runtime"),
    (
        '[security]\ncap_add = ["NET_ADMN"]',
        "3:12 `security.cap_add[0]` is not a Linux capability | did you mean `NET_ADMIN`?",
    ),
    (
        '[security]\ncap_add = ["ALL"]',
        "3:12 `security.cap_add[0]` is not a Linux capability | name each one",
    ),
    (
        '[build]\nbase_image = "a"',
        "2:2 there are both `image` and `[build]` | leave one of them out",
    ),
    (
        '[approvals]\non_timeout = "kepe"',
        '3:14 `approvals.on_timeout` must be "deny" or "keep" | did you mean `keep`?',
    ),
    (
        '[approvals]\nnotify = ["bel"]',
        '3:11 `approvals.notify[0]` must be "bell", "desktop" or "command:…" | did you mean',
    ),
    ('name = "../x"', "2:8 `name` is not a valid name | use 1 to 63 of"),
    (
        "interrupt_on = 1",
        "2:16 `interrupt_on` must be true, false, an array of tools, or a table, not an integer",
    ),
    (
        'interrupt_on = ["exeucte"]',
        "2:17 `interrupt_on[0]` is not a tool of deepd's | did you mean `execute`?",
    ),
    (
        "[interrupt_on]\ndeploy = true",
        "3:1 `interrupt_on.deploy` is not a tool of deepd's | an agent's own tool is",
    ),
    (
        '[interrupt_on]\nexecute = "alow"',
        '3:11 `interrupt_on.execute` must be "allow", "ask" or "deny" | did you mean `allow`?',
    ),
    (
        '[interrupt_on.execute]\ndefualt = "ask"',
        "3:1 unknown key `interrupt_on.execute.defualt` | did you mean `default`?",
    ),
    (
        '[interrupt_on.execute]\nallow = ["ls -*"]',
        "3:10 `interrupt_on.execute.allow[0]` has `*` inside of a word | `*` stands alone",
    ),
    (
        '[interrupt_on.execute]\nallow = ["* ls"]',
        "3:10 `interrupt_on.execute.allow[0]` has `*` before its end | `*` stands for all further",
    ),
    (
        '[interrupt_on.execute]\ndeny = ["ls | sh"]',
        "3:9 `interrupt_on.execute.deny[0]` has `|` | a pattern is the words of one command",
    ),
    (
        '[interrupt_on.execute]\ndeny = ["re:("]',
        "3:9 `interrupt_on.execute.deny[0]` is not a regular expression that RE2 takes: missing )",
    ),
    (
        '[interrupt_on.execute]\ndeny = [" "]',
        "3:9 `interrupt_on.execute.deny[0]` is empty",
    ),
    (
        "[interrupt_on.execute]\ndeny = [1]",
        '3:9 `interrupt_on.execute.deny[0]` must be a pattern such as "git diff *", or a table',
    ),
    (
        '[interrupt_on.execute]\ndeny = [{reason = "no"}]',
        "3:9 `interrupt_on.execute.deny[0]` needs either `match` or `path`",
    ),
    (
        '[interrupt_on.execute]\ndeny = [{mtach = "ls"}]',
        "3:10 unknown key `interrupt_on.execute.deny[0].mtach` | did you mean `match`?",
    ),
    (
        '[interrupt_on.execute]\ndeny = [{path = "a"}]',
        "3:9 `interrupt_on.execute.deny[0]`: paths are over deepd's file tools",
    ),
    (
        '[interrupt_on.ls]\ndeny = ["/etc/**"]',
        "3:9 `interrupt_on.ls.deny[0]`: patterns are over `execute` only | write {path =",
    ),
    (
        '[interrupt_on.ls]\ndeny = [{path = "a/../b"}]',
        "3:17 `interrupt_on.ls.deny[0].path` must be written without `..`, `.` and extra slashes",
    ),
    (
        '[[test]]\nexecute = "x"\nexpect = "ask"',
        "4:10 the test expects ask, and allow was decided | by allow: no rule",
    ),
    ('[[test]]\nexpect = "allow"', "2:3 a test names one tool with its command or path"),
    (
        '[[test]]\nexecute = "x"\nls = "."\nexpect = "allow"',
        "2:3 a test names one tool with its command or path",
    ),
    (
        '[[test]]\ntool = "execute"\nexpect = "allow"',
        "3:8 `execute` is deepd's | write execute =",
    ),
    ('[[test]]\nexecute = "x"\nexpect = "maybe"', '4:10 `test[0].expect` must be "allow"'),
    ('[[test]]\nexecute = "x"', "2:3 `test[0]` needs `expect`"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_what_is_wrong_is_said_in_its_place(tmp_path: Path, line: str, message: str) -> None:
    (problem,) = said(tmp_path, IMAGE + line)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    "image",
    [
        "",
        " ",
        "Python",
        "a b",
        "a:",
        ":tag",
        "a@sha256:12",
        "-a",
        "a//b",
        "a/../b",
        "http://a",
        "é",
    ],
)
def test_an_image_is_a_reference(tmp_path: Path, image: str) -> None:
    assert len(problems(tmp_path, f'image = "{image}"')) == 1


@pytest.mark.parametrize(
    "image",
    ["a", "a/b:1", "localhost:5000/a/b_c.d--e:V1.2", "ghcr.io/x/y@sha256:" + "a" * 64],
)
def test_an_image_may_have_a_registry_a_tag_and_a_digest(tmp_path: Path, image: str) -> None:
    assert load(tmp_path, f'image = "{image}"').image == image


def test_neither_image_nor_build_is_an_error(tmp_path: Path) -> None:
    assert said(tmp_path, "warm = 0") == [
        '1:1 there is neither `image` nor `[build]` | begin with image = "python:3.12-slim"'
    ]


def test_a_build_needs_its_base_image(tmp_path: Path) -> None:
    assert said(tmp_path, "[build]\npackages = []") == ["1:2 `build` needs `base_image`"]


def test_a_missing_key_is_not_said_of_one_that_is_wrong(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "[build]\nbase_image = 1")) == 1


def test_all_errors_are_told_at_once_and_in_order(tmp_path: Path) -> None:
    text = """imge = "python"
warm = true
volumes = ["./none:/a", 3, {source = "./src", target = "/b", mode = 1}, "./src:b"]
[limits]
timeout = "2h"
[interrupt_on]
exeucte = true
"""
    places = [line.split(" ")[0] for line in said(tmp_path, text)]
    assert places == ["1:1", "1:1", "2:8", "3:25", "3:62", "5:11", "7:1"]


def test_a_name_that_is_no_name_is_an_error_unless_the_file_says_another(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, IMAGE, "My Profile.toml")
    assert problem.message == "the file's name is not a profile's name"
    assert load(tmp_path, IMAGE + 'name = "mine"', "My Profile.toml").name == "mine"


def said_of(profile: Profile) -> str:
    return "\n".join(warnings(profile, {}))


def test_what_is_allowed_and_should_be_known_is_a_warning(tmp_path: Path) -> None:
    assert said_of(load(tmp_path, IMAGE + "interrupt_on = true")) == ""
    assert "nothing is held" in said_of(load(tmp_path, IMAGE))
    assert "nothing is held" in said_of(load(tmp_path, IMAGE + 'interrupt_on = {ls = "allow"}'))
    assert "nothing is held" in said_of(load(tmp_path, IMAGE + 'interrupt_on = ["mcp_*"]'))
    held = IMAGE + "interrupt_on = true\n"
    assert "run as root" in said_of(load(tmp_path, held + 'user = "root"'))
    assert "secret TOKEN is not set" in said_of(load(tmp_path, held + 'secrets = ["TOKEN"]'))
    assert "network" in said_of(load(tmp_path, held + '[security]\nnetwork = "bridge"'))
    assert "SYS_ADMIN" in said_of(load(tmp_path, held + '[security]\ncap_add = ["SYS_ADMIN"]'))
    loose = said_of(load(tmp_path, IMAGE + 'interrupt_on = {"*" = true, ls = false}'))
    assert loose == 'interrupt_on.ls = false does not count: interrupt_on."*" = true is stronger'


def test_a_work_folder_of_roots_is_a_warning(tmp_path: Path) -> None:
    text = IMAGE + 'interrupt_on = true\nvolumes = ["./src:/workspace"]'
    owner = (tmp_path / "src").stat().st_uid
    assert ("root owns" in said_of(load(tmp_path, text))) is (owner == 0)
