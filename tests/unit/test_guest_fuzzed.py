"""Any frames with right checksums from a guest: its own stream may end, and no more happens."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepd.errors import CallLostError, DeepdError
from deepd.guest.connection import Guest
from deepd.guest.fields import field, u32, u64
from deepd.guest.frames import FrameType, encode
from deepd.guest.requests import Execute
from deepd.model.ids import new_call_id
from tests.figures import Figure
from tests.unit.peer import Peer, settle

EXAMPLES, MANY = 100, 20_000
NUMBERS = st.sampled_from([0, 1, 5, 4096, (1 << 18) + 1, (1 << 32) - 1, (1 << 63), (1 << 64) - 1])
BYTES = st.binary(max_size=40)


def _fields() -> st.SearchStrategy[bytes]:
    value = BYTES | st.integers(0, 9).map(u32) | NUMBERS.map(u64)
    one = st.builds(field, st.integers(0, 12), value)
    return st.lists(one, max_size=8).map(b"".join)


def _data() -> st.SearchStrategy[bytes]:
    """Output: mostly some that is in order, as long as it is the first."""
    offsets = st.just(0) | st.just(0) | NUMBERS
    return st.builds(
        lambda offset, stream, data: u64(offset) + bytes([stream]) + data,
        offsets,
        st.sampled_from([1, 2, 1, 2, 0, 3]),
        BYTES,
    )


def _exit() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda how, code, size: field(1, u32(how)) + field(2, u32(code)) + field(7, u64(size)),
        st.integers(1, 7),
        st.integers(0, 255),
        st.just(0) | st.integers(0, 40),
    )


FITTING: dict[int, st.SearchStrategy[bytes]] = {
    FrameType.WELCOME: _fields(),
    FrameType.PONG: BYTES,
    FrameType.OPENED: st.integers(0, 5).map(u32) | BYTES,
    FrameType.DATA: _data(),
    FrameType.CREDIT: NUMBERS.map(u64),
    FrameType.EXIT: _exit() | _fields(),
    FrameType.STATE: st.builds(
        lambda s, a, b: u32(s) + u64(a) + u64(b), st.integers(0, 5), NUMBERS, NUMBERS
    ),
}


LIKELY = [*FITTING, *[FrameType.DATA, FrameType.EXIT, FrameType.CREDIT] * 5, 0, FrameType.OPEN, 99]


@st.composite
def frames(draw: Any) -> tuple[int, int, bytes, bool]:
    """A frame that makes sense, or one whose payload was cut, grown or changed, or any at all."""
    kind = draw(st.sampled_from(LIKELY))
    payload = bytearray(draw(FITTING.get(kind, BYTES)))
    match draw(st.integers(0, 11)):
        case 0:
            del payload[draw(st.integers(0, len(payload))) :]
        case 1:
            payload += draw(BYTES)
        case 2 if payload:
            payload[draw(st.integers(0, len(payload) - 1))] ^= 1 << draw(st.integers(0, 7))
        case _:
            pass
    # 1 and 2 stand for the channels of the two calls; 0 is the guest's own.
    channel = draw(st.sampled_from([*[1] * 9, *[2] * 4, 0, 99, (1 << 32) - 1]))
    return kind, channel, bytes(payload), draw(st.booleans())


def accept(peer: Peer, frame: Any) -> None:
    if frame.type == FrameType.OPEN and frame.flags:
        peer.opened(frame.channel)


async def suffer(sent: list[tuple[int, int, bytes, bool]]) -> str:
    """Hear these frames while two calls are open; tell what became of the stream."""
    bugs: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context))
    liar, honest = Peer(accept), Peer(accept)
    guest, other = await Guest.connect(liar.stream), await Guest.connect(honest.stream)
    call = await guest.open(new_call_id(), Execute(("true",)))
    second = await guest.open(new_call_id(), Execute(("true",)))
    unharmed = await other.open(new_call_id(), Execute(("true",)))
    for kind, channel, payload, fin in sent:
        at = {1: call.channel, 2: second.channel}.get(channel, channel)
        liar.stream.feed(encode(kind, at, payload, fin=fin))  # type: ignore[arg-type]
    await settle(lambda: guest.closed or liar.stream._incoming.empty())
    honest.exit(unharmed.channel)
    assert (await unharmed.wait()).code == 0
    was = "closed" if guest.closed else "open"
    if guest.closed:
        assert isinstance(guest.error, DeepdError), guest.error
    await guest.aclose()
    await other.aclose()
    try:
        await asyncio.wait_for(call.wait(), 10)
    except CallLostError:
        was += ", call lost"
    else:
        was += ", call ended"
    assert not bugs, bugs
    return was


def try_many(examples: int) -> Counter[str]:
    """Let so many guests lie."""
    seen: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(frames(), min_size=1, max_size=5))
    def one(sent: list[tuple[int, int, bytes, bool]]) -> None:
        seen[asyncio.run(suffer(sent))] += 1

    one()
    return seen


def test_whatever_a_guest_says_only_its_own_stream_ends(figure: Figure) -> None:
    seen = try_many(EXAMPLES)
    assert seen["closed, call lost"] > 0
    figure(f"{seen.total()} lying guests: {dict(seen)}")


@pytest.mark.slow
def test_whatever_very_many_guests_say_only_their_own_streams_end(figure: Figure) -> None:
    seen = try_many(int(os.environ.get("DEEPD_TEST_FUZZED", MANY)))
    figure(f"{seen.total()} lying guests: {dict(seen)}")
