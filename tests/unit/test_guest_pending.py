"""Output that waits for its reader: joined, in order, and never much larger than its bytes."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from deepd.guest.call import WINDOW
from deepd.guest.pending import Pending

pushes = st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=20))


@given(st.lists(pushes | st.none(), max_size=60), st.integers(0, 1000))
def test_all_bytes_come_out_once_in_order(
    steps: list[tuple[int, bytes] | None], offset: int
) -> None:
    pending = Pending(offset)
    pushed: list[tuple[int, int]] = []
    popped: list[tuple[int, int]] = []
    at = offset
    for step in [*steps, *[None] * 61]:
        if step is not None:
            pending.push(*step)
            pushed += [(step[0], byte) for byte in step[1]]
        elif (chunk := pending.pop()) is not None:
            assert chunk.offset == at
            at += len(chunk.data)
            popped += [(chunk.stream, byte) for byte in chunk.data]
    assert popped == pushed


def test_a_window_of_single_bytes_from_two_streams_takes_little_memory() -> None:
    tracemalloc.start()
    pending = Pending(0)
    for n in range(WINDOW):
        pending.push(1 + n % 2, b"x")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4 << 20


def test_a_reader_that_is_always_one_behind_makes_it_no_larger() -> None:
    tracemalloc.start()
    pending = Pending(0)
    pending.push(1, b"x")
    for n in range(100_000):
        pending.push(2 - n % 2, b"y")
        pending.pop()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1 << 20
