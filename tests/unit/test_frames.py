"""The frame codec: any split, any garbage, bounded memory."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepd.guest.frames import (
    FIN,
    HEADER,
    MAX_PAYLOAD,
    RESYNC,
    SYNC,
    Decoder,
    Frame,
    FrameType,
    encode,
    encode_pieces,
)

frames = st.builds(
    Frame,
    type=st.sampled_from(FrameType),
    flags=st.sampled_from([0, FIN]),
    channel=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=300) | st.sampled_from([bytes(MAX_PAYLOAD), SYNC, RESYNC[:5000]]),
)
garbage = st.binary(max_size=500) | st.sampled_from([bytes(200), SYNC[:-1], SYNC[:-1] * 3])


def raw(frame: Frame) -> bytes:
    return encode(FrameType(frame.type), frame.channel, frame.payload, fin=bool(frame.flags & FIN))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the data at the places given, which may be beyond its end."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def decode(data: bytes, cuts: list[int]) -> list[Frame]:
    decoder = Decoder()
    return [frame for piece in pieces(data, cuts) for frame in decoder.feed(piece)]


@given(st.lists(frames, max_size=8), st.lists(st.integers(0, 2**32), max_size=12))
def test_any_split_of_a_stream_decodes_to_the_same_frames(
    sent: list[Frame], cuts: list[int]
) -> None:
    assert decode(SYNC + b"".join(map(raw, sent)), cuts) == sent


@given(frames, st.integers(0, 200))
@settings(max_examples=30)
def test_a_stream_that_comes_byte_by_byte_decodes_to_the_same_frame(
    frame: Frame, length: int
) -> None:
    small = frame._replace(payload=frame.payload[:length])
    decoder = Decoder()
    got = [found for byte in SYNC + raw(small) for found in decoder.feed(bytes([byte]))]
    assert got == [small]


@given(
    garbage,
    frames,
    st.integers(0, 2**32),
    st.lists(frames, min_size=1, max_size=4),
    st.lists(st.integers(0, 2**32), max_size=8),
)
def test_garbage_and_half_a_frame_before_a_resync_lose_no_frame_after_it(
    noise: bytes, half: Frame, length: int, sent: list[Frame], cuts: list[int]
) -> None:
    cut = raw(half)[: length % len(raw(half))]
    stream = SYNC + cut + RESYNC + b"".join(map(raw, sent))
    assert decode(stream, cuts)[-len(sent) :] == sent
    assert decode(noise + RESYNC + b"".join(map(raw, sent)), cuts)[-len(sent) :] == sent


@given(st.lists(st.binary(max_size=2000), max_size=30), st.booleans())
def test_random_bytes_raise_nothing_and_make_no_frames(
    chunks: list[bytes],
    in_step: bool,  # noqa: FBT001 - hypothesis draws it
) -> None:
    decoder = Decoder()
    if in_step:
        decoder.feed(SYNC)
    assert [frame for chunk in chunks for frame in decoder.feed(chunk)] == []


@given(frames, st.integers(0, 2**32), st.integers(1, 255))
def test_a_flipped_byte_makes_no_frame(frame: Frame, place: int, flip: int) -> None:
    damaged = bytearray(raw(frame))
    damaged[place % len(damaged)] ^= flip
    decoder = Decoder()
    decoder.feed(SYNC)
    assert frame not in decoder.feed(bytes(damaged))


def test_a_header_of_zeros_and_a_length_over_the_limit_are_losses() -> None:
    for header in (bytes(HEADER.size), HEADER.pack(MAX_PAYLOAD + 1, 1, 1, 0, 0, 0)):
        decoder = Decoder()
        assert decoder.feed(SYNC + header) == []
        assert decoder.hunting
        assert decoder.losses == 1


def test_a_sync_that_stands_inside_a_stream_is_no_obstacle() -> None:
    frame = Frame(FrameType.PONG, 0, 0, b"12345678")
    assert decode(SYNC + raw(frame) + SYNC + raw(frame), []) == [frame, frame]


def test_the_decoder_keeps_less_than_a_frame_whatever_it_is_fed() -> None:
    never_whole = HEADER.pack(MAX_PAYLOAD, 1, 68, 0, 0, 1) + bytes(MAX_PAYLOAD - 1)
    decoder = Decoder()
    decoder.feed(SYNC)
    tracemalloc.start()
    for _ in range(300):
        decoder.feed(never_whole)
        decoder.feed(b"\xff" * 65_536)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 512 * 1024


def test_a_long_payload_is_sent_in_pieces_and_only_the_last_has_fin() -> None:
    payload = bytes(range(256)) * 600
    got = decode(SYNC + encode_pieces(FrameType.OPEN, 7, payload), [])
    assert b"".join(frame.payload for frame in got) == payload
    assert [frame.flags for frame in got] == [0, 0, FIN]
    assert [f.flags for f in decode(SYNC + encode_pieces(FrameType.OPEN, 7, b""), [])] == [FIN]


def test_a_payload_that_does_not_fit_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(FrameType.STDIN, 1, bytes(MAX_PAYLOAD + 1))


def test_a_loss_can_be_the_end_so_that_no_payload_passes_for_frames() -> None:
    frame = Frame(FrameType.PONG, 0, 0, b"12345678")
    decoder = Decoder()
    assert decoder.feed(b"lost" + SYNC + raw(frame)) == [frame]
    decoder.expect_no_loss()
    assert decoder.feed(raw(frame) + b"\xff" * 16 + SYNC + raw(frame)) == [frame]
    assert decoder.losses == 1
    assert decoder.feed(SYNC + raw(frame)) == []


def test_a_damaged_frame_is_dropped_whole_with_what_its_payload_pretends() -> None:
    inner = raw(Frame(FrameType.PONG, 0, 0, b"12345678"))
    damaged = bytearray(encode(FrameType.DATA, 1, SYNC + inner))
    damaged[9] ^= 2
    decoder = Decoder()
    decoder.feed(SYNC)
    assert decoder.feed(bytes(damaged)) == []
    assert decoder.hunting
