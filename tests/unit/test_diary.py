"""The daemon's own log: one line a record, also as JSON, and no secret in any of it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deepd.daemon.diary import Diary, Format

SECRET = "hunter2-and-more"
Log = Callable[[Format], tuple[logging.Logger, io.StringIO, Diary]]


@pytest.fixture
def log() -> Iterator[Log]:
    """Make a logger with a diary of its own."""
    logger = logging.getLogger("deepd.test")
    logger.propagate = False
    logger.setLevel(logging.INFO)

    def make(how: Format) -> tuple[logging.Logger, io.StringIO, Diary]:
        stream = io.StringIO()
        diary = Diary(how, stream)
        logger.addHandler(diary)
        return logger, stream, diary

    yield make
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_record_is_one_json_object_with_its_facts(log: Log) -> None:
    logger, stream, _ = log("json")
    logger.warning("the engine at %s is\ndown", "unix:///x")
    (line,) = lines(stream)
    assert (line["level"], line["logger"]) == ("warning", "deepd.test")
    assert line["message"] == "the engine at unix:///x is\ndown"
    assert line["at"].endswith("+00:00")


@pytest.mark.parametrize("how", ["text", "json"])
def test_secrets_are_masked_by_value_wherever_they_come_from(log: Log, how: Format) -> None:
    logger, stream, diary = log(how)
    diary.secrets = lambda: (SECRET,)
    try:
        int(SECRET)
    except ValueError:
        logger.exception("cannot log in with %s", SECRET)
    text = stream.getvalue()
    assert SECRET not in text
    assert "*" * len(SECRET) in text
    assert "Traceback" in text


def test_a_secret_that_comes_with_a_reload_is_masked_from_then_on(log: Log) -> None:
    logger, stream, diary = log("json")
    secrets: list[str] = []
    diary.secrets = lambda: secrets
    logger.warning("a %s", SECRET)
    secrets.append(SECRET)
    logger.warning("b %s", SECRET)
    assert [SECRET in line["message"] for line in lines(stream)] == [True, False]


def test_what_cannot_be_written_never_ends_the_daemon(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, stream, _ = log("json")
    logger.warning("one word of %s %s", *["two"])
    logger.warning("fine")
    assert [line["message"] for line in lines(stream)] == ["fine"]


def test_text_has_the_traceback_below_its_line(log: Log) -> None:
    logger, stream, _ = log("text")
    logger.info("ready")
    assert stream.getvalue().rstrip().endswith("INFO    deepd.test: ready")
