"""Errors to problem bodies and back, and values to JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepd.errors import BY_CODE, CallTimeoutError, DeepdError, FileError, ProfileError
from deepd.model.call import Call, CallState, Chunk
from deepd.model.ids import ProfileName, SessionName, new_call_id
from deepd.model.profile import Position
from deepd.wire.encode import encode, output_line, raw_output_line
from deepd.wire.octets import pack, unpack
from deepd.wire.problems import TABLE, from_problem, status_of, to_problem


def test_every_code_has_a_status_and_a_title() -> None:
    assert set(TABLE) == set(BY_CODE)
    assert all(400 <= status < 600 and title for status, title in TABLE.values())


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_an_error_survives_the_wire(code: str) -> None:
    error = BY_CODE[code]("what happened", next_step="what to do")
    body = json.loads(encode(to_problem(error, call="c1")))
    again = from_problem(body)
    assert type(again) is type(error)
    assert (again.detail, again.next_step) == ("what happened", "what to do")
    assert (body["status"], body["call"]) == (status_of(error), "c1")


def test_what_an_error_carries_survives_too() -> None:
    file = from_problem(to_problem(FileError("x", errno_name="EISDIR")))
    assert isinstance(file, FileError)
    assert file.errno_name == "EISDIR"
    timeout = from_problem(to_problem(CallTimeoutError("x", output=b"\xff\x00")))
    assert isinstance(timeout, CallTimeoutError)
    assert timeout.output == b"\xff\x00"


@pytest.mark.parametrize(
    ("name", "status"), [("ENOENT", 404), ("EACCES", 403), ("EISDIR", 409), ("ELOOP", 422)]
)
def test_a_file_errors_status_goes_by_its_errno(name: str, status: int) -> None:
    assert status_of(FileError("x", errno_name=name)) == status


def test_a_profiles_problems_are_flat_places() -> None:
    @dataclass(frozen=True)
    class Problem:
        position: Position
        message: str
        hint: str = "did you mean x?"

    problems = (Problem(Position("a.toml", 4, 1), "unknown key"),)
    body = to_problem(ProfileError("1 problem", problems=problems))
    (place,) = body["errors"]
    assert (place["file"], place["line"], place["column"]) == ("a.toml", 4, 1)
    assert (place["message"], place["hint"]) == ("unknown key", "did you mean x?")


def test_a_body_that_makes_no_sense_is_still_an_error() -> None:
    for body in ({}, {"type": 3}, {"type": "timed-out", "output": "x"}, {"type": "file"}):
        assert isinstance(from_problem(body), DeepdError)


def test_a_huge_detail_is_cut() -> None:
    assert len(to_problem(DeepdError("x" * 1_000_000))["detail"]) < 100_000


@pytest.mark.parametrize("data", [b"", b"text\n", "ü€😀".encode(), b"\xff", bytes(range(256))])
def test_bytes_survive_json(data: bytes) -> None:
    packed = json.loads(encode(pack(data)))
    assert unpack(packed) == data
    assert ("text" in packed) == (data != b"\xff" and data != bytes(range(256)))


@pytest.mark.parametrize("packed", [{}, {"text": 1}, {"base64": "%"}, {"base64": None}])
def test_what_holds_no_bytes_is_refused(packed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="base64"):
        unpack(packed)


def test_dataclasses_are_encoded_by_their_fields() -> None:
    call = Call(
        id=new_call_id(),
        session=SessionName("main"),
        profile=ProfileName("p"),
        tool="execute",
        args={"command": "ls", "where": Path("/x")},
        state=CallState.HELD,
    )
    value = json.loads(encode({"calls": [call]}))["calls"][0]
    assert (value["state"], value["args"]["where"], value["exit_code"]) == ("held", "/x", None)
    line = json.loads(output_line(Chunk(5, 2, b"\xfe")))
    assert line == {"kind": "output", "offset": 5, "stream": 2, "base64": "/g=="}
    line, data = raw_output_line(Chunk(5, 2, b"\xfe\n")).split(b"\n", 1)
    assert json.loads(line) == {"kind": "output", "offset": 5, "stream": 2, "size": 2}
    assert data == b"\xfe\n"


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"", "text"),
        (b"a\0b", "text"),
        (bytes(100), "text"),
        (bytes(5000), "base64"),
        (b"x" * 100_000 + bytes(1000), "text"),
        (b"x" * 10_000 + bytes(1000), "base64"),
        ("\u4f60\u597d" * 10_000, "text"),
    ],
)
def test_bytes_are_text_where_people_could_read_it(data: bytes | str, form: str) -> None:
    raw = data.encode() if isinstance(data, str) else data
    packed = pack(raw)
    assert list(packed) == [form]
    assert unpack(packed) == raw


def test_what_is_not_json_is_not_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(float("nan"))
    with pytest.raises(TypeError):
        encode(object())
