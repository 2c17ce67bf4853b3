"""HTTP without I/O: whatever pieces a reply comes in, it is the same reply."""

from __future__ import annotations

import pytest

from deepd.client.http import (
    LineParser,
    Reply,
    ReplyParser,
    Request,
    check,
    quote,
    render_head,
    render_pieces,
    segment,
    target,
)
from deepd.errors import DaemonDownError, DeepdError

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n1;x=y\r\nl\r\n1\r\no\r\n0\r\nTrailer: t\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH
UNTIL_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED, CONTINUED])
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_reply_is_the_same_in_any_pieces(raw: bytes, step: int) -> None:
    parser = ReplyParser()
    body = b"".join(parser.feed(raw[at : at + step]) for at in range(0, len(raw), step))
    assert body == b"hello"
    assert parser.done
    assert parser.keep_alive
    assert parser.reply is not None
    assert parser.reply.status == 200


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED])
def test_a_body_that_comes_by_itself_is_not_copied(raw: bytes) -> None:
    parser = ReplyParser()
    at = 0
    pieces = []
    while not parser.done:
        is_body = parser.certain > 0
        size = parser.certain
        if not is_body:
            size = raw.index(parser.ending, at) + len(parser.ending) - at
        data = raw[at : at + size]
        piece = parser.feed(data)
        assert not is_body or piece is data
        pieces.append(piece)
        at += size
    assert (b"".join(pieces), at) == (b"hello", len(raw))


def test_a_reply_without_length_ends_with_the_connection() -> None:
    parser = ReplyParser()
    assert parser.feed(UNTIL_END) == b"hello"
    assert not parser.done
    parser.feed(b"")
    assert parser.done
    assert not parser.keep_alive


@pytest.mark.parametrize("cut", [1, 20, len(LENGTH) - 1])
def test_a_reply_that_stops_in_the_middle_is_no_reply(cut: int) -> None:
    parser = ReplyParser()
    parser.feed(LENGTH[:cut])
    with pytest.raises(DaemonDownError, match="middle"):
        parser.feed(b"")


def test_a_chunked_reply_that_stops_is_not_taken_for_whole() -> None:
    parser = ReplyParser()
    parser.feed(CHUNKED[:-2])
    with pytest.raises(DaemonDownError):
        parser.feed(b"")


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(DaemonDownError, match="does not speak HTTP"):
        ReplyParser().feed(raw)


def test_lines_are_given_out_when_they_are_whole() -> None:
    parser = LineParser()
    assert parser.feed(b'{"a":') == []
    assert parser.feed(b'1}\n\n{"a":2}\n{') == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("step", [1, 3, 50, 1000])
def test_bytes_that_follow_their_line_are_its_data(step: int) -> None:
    raw = (
        b'{"kind":"call"}\n{"kind":"output","size":4}\n\n{}\n'
        b'{"kind":"output","text":"t"}\n{"kind":"output","size":0}\n'
        b'{"kind":"output","size":2}\n\xff\x00{"kind":"end","size":3}\n'
    )
    parser = LineParser()
    lines = []
    for at in range(0, len(raw), step):
        lines += parser.feed(raw[at : at + step])
    assert [line["kind"] for line in lines] == ["call", *["output"] * 4, "end"]
    assert [line.get("data") for line in lines] == [None, b"\n{}\n", None, b"", b"\xff\x00", None]


def test_paths_and_queries_keep_every_byte() -> None:
    assert segment("a/b") == "a%2Fb"
    assert quote("a b+ü%") == "a%20b%2B%C3%BC%25"
    assert quote(b"\xff".decode("utf-8", "surrogateescape")) == "%FF"
    assert target("/x", {"a": None, "b": False, "c": True, "d": 0, "e": ""}) == "/x?c=1&d=0&e="


def test_a_header_cannot_carry_another_one() -> None:
    for value in ("a\r\nX: y", "ü", "\0"):
        with pytest.raises(ValueError, match="printable ASCII"):
            render_head(Request("GET", "/", {"X": value}))


def test_pieces_are_chunked_only_when_their_size_is_unknown() -> None:
    known = Request("PUT", "/", {}, (b"ab", b"", b"c"), 3)
    assert b"Content-Length: 3" in render_head(known)
    assert b"".join(render_pieces(known)) == b"abc"
    unknown = Request("PUT", "/", {}, (b"ab", b"", b"c"))
    assert b"Transfer-Encoding: chunked" in render_head(unknown)
    assert b"".join(render_pieces(unknown)) == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


def test_only_what_can_do_nothing_twice_is_repeatable() -> None:
    assert Request("GET", "/").is_repeatable
    assert Request("POST", "/", {"Idempotency-Key": "k"}, b"x").is_repeatable
    assert not Request("POST", "/", {}, b"x").is_repeatable
    assert not Request("DELETE", "/").is_repeatable
    assert not Request("PUT", "/", {"Idempotency-Key": "k"}, iter([b"x"])).is_repeatable


def test_an_error_without_a_problem_body_is_still_raised() -> None:
    for body in (b"", b"<html>", b"[]"):
        with pytest.raises(DeepdError, match="502"):
            check(Reply(502, {}, body))
