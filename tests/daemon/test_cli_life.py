"""Starting and ending the daemon by the command line, as far as no engine is needed for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon.cli_user import User, fake_daemon, new_user


@pytest.fixture
def user() -> Iterator[User]:
    """A user without a daemon."""
    with new_user() as somebody:
        yield somebody


def test_a_broken_profile_keeps_the_daemon_from_starting_and_shows_every_problem(
    user: User,
) -> None:
    (user.home / "bad.toml").write_text('imge = "x"\nwarm = -1\n')
    for verb in ("start", "run"):
        done = user.run(verb, "-c", "bad.toml")
        assert done.returncode == 78
        assert b"bad.toml:1:1" in done.stderr
        assert b"bad.toml:2:8" in done.stderr
    assert user.run("status").returncode == 3


def test_no_profile_at_all_says_how_to_make_one(user: User) -> None:
    done = user.run("start")
    assert done.returncode == 78
    assert b"deepd init" in done.stderr


def test_a_second_start_names_the_first_daemon(user: User) -> None:
    with fake_daemon(user, main=""):
        done = user.run("start", "-c", "main.toml")
        assert done.returncode == 8
        assert b"runs already: pid " in done.stderr
        other = User(user.home, user.env | {"DEEPD_RUNTIME_DIR": f"{user.home}/run2"})
        done = other.run("start", "-c", "main.toml")
        assert done.returncode == 8
        assert b"uses the state folder" in done.stderr


def test_stop_returns_when_the_daemon_has_gone(user: User) -> None:
    with fake_daemon(user, main=""):
        assert user.text("stop") == "stopped\n"
        assert user.run("status").returncode == 3
        assert user.run("stop").returncode == 3


def test_a_socket_path_that_no_kernel_takes_is_said_before_anything_starts(user: User) -> None:
    (user.home / "p.toml").write_text('image = "x"\n')
    user.env["DEEPD_RUNTIME_DIR"] = f"{user.home}/{'x' * 110}"
    done = user.run("start", "-c", "p.toml")
    assert done.returncode == 78
    assert b"107" in done.stderr
