"""Any bytes on the guest's stdin: no sanitizer complains, and it still answers a HELLO."""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from deepd.guest.binary import HERE
from tests.figures import Figure
from tests.guest.driver import (
    ACK,
    FIN,
    FOLLOW,
    HELLO,
    KILL,
    LANE,
    LEASE,
    OPEN,
    PING,
    RELEASE,
    RESIZE,
    SIGNAL,
    STDIN,
    SYNC,
    encode,
    fields,
    one_field,
)
from tests.guest.native.conftest import Host, StartGuest

TESTS = Path(__file__).parent.parent
FUZZ_SECONDS = 10
SEEDS = range(12)
FRAMES = 150


def call_id(chance: random.Random) -> bytes:
    """Return one of a few ids, so that they meet."""
    return bytes([chance.randrange(6)]) * 16


def request(chance: random.Random) -> bytes:
    """Return fields of a call: sensible ones, and a few that are not."""
    values: list[tuple[str, int | str | bytes]] = [("id", call_id(chance))]
    if chance.random() < 0.5:
        values += [("arg", chance.choice(["true", "cat", "yes", "no-such", ""]))]
        values += [("flags", chance.randrange(16)), ("timeout", chance.randrange(1, 200))]
        values += [("rows", chance.randrange(65536)), ("output_kill", chance.randrange(1 << 20))]
        values += [("cwd", chance.choice(["", "/", "x" * 5000])), ("grace", chance.randrange(20))]
    else:
        kind = chance.randrange(30, 47)
        path = chance.choice(["a", "b/c", ".", "", "/proc/self/status", "x" * 5000, "a"])
        values += [("kind", kind), ("path", path if kind != 37 else "a"), ("path2", "b")]
        values += [
            ("size", chance.choice([0, 3, 1 << 63])),
            ("offset", chance.choice([0, 1 << 63])),
        ]
        values += [("options", chance.randrange(8)), ("mode", chance.choice([0o755, 0xFFFFFFFF]))]
        values += [("timeout", 300), ("glob", chance.choice(["*", "[", "[!a-"]))]
    chance.shuffle(values)
    return fields(values[: chance.randrange(1, len(values) + 1)])


def frame(chance: random.Random) -> bytes:
    """Return one frame that may make sense."""
    channel = chance.randrange(8)
    number = chance.choice([0, 1, 100, 300_000, 1 << 32, (1 << 64) - 1])
    payloads = {
        HELLO: one_field(1, bytes(8)) + one_field(2, struct.pack("<I", 1)),
        PING: b"12345678",
        STDIN: chance.randbytes(chance.choice([0, 5, 60_000])),
        ACK: struct.pack("<Q", number),
        KILL: struct.pack("<I", chance.randrange(100)),
        RESIZE: chance.randbytes(4),
        FOLLOW: call_id(chance) + struct.pack("<Q", number),
        RELEASE: call_id(chance),
        LEASE: struct.pack("<I", 0),
        SIGNAL: struct.pack("<I", chance.randrange(70)),
        LANE: one_field(1, chance.choice([b"nobody", b"../x", b"", b"x" * 99]))
        + one_field(2, chance.randbytes(chance.choice([32, 31, 0]))),
    }
    kind = chance.choice([OPEN, OPEN, OPEN, *payloads, 99])
    payload = request(chance) if kind == OPEN else payloads.get(kind, b"")
    if chance.random() < 0.1:
        payload = payload[: chance.randrange(len(payload) + 1)] + chance.randbytes(3)
    if len(payload) > 65_520:
        payload = payload[:65_520]
    return encode(kind, payload, channel, FIN if chance.random() < 0.8 else 0)


def stream(chance: random.Random) -> bytes:
    """Return frames, some of them damaged."""
    out = bytearray(SYNC + encode(HELLO, one_field(1, bytes(8)) + one_field(2, b"\1\0\0\0")))
    for _ in range(FRAMES):
        one = bytearray(frame(chance))
        damage = chance.random()
        if damage < 0.03:
            one[chance.randrange(len(one))] ^= 1 << chance.randrange(8)
            one += bytes(70_000) + SYNC
        elif damage < 0.06:
            del one[chance.randrange(len(one)) :]
            one += bytes(70_000) + SYNC
        out += one
    return bytes(out)


@pytest.mark.parametrize("program", ["sanitized"], indirect=True)
@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_and_senseless_frames_do_no_harm(start_guest: StartGuest, seed: int) -> None:
    guest = start_guest()
    guest.write(stream(random.Random(seed)))
    guest.hello()
    guest.ping()
    call = guest.run("echo still here")
    assert bytes(call.stdout) == b"still here\n"


@pytest.mark.parametrize("program", ["sanitized"], indirect=True)
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_damaged_frames_on_a_lane_end_it_and_nothing_else(
    start_guest: StartGuest, host: Host, seed: int
) -> None:
    guest = start_guest("--lane", str(host.folder))
    guest.hello()
    with host.met(guest) as connection:
        guest.move(connection)
        chance = random.Random(seed)
        guest.write(b"".join(frame(chance) for _ in range(FRAMES)) + b"\xff" * 32)
        guest.until(lambda: guest.ended)
        guest.move_back()
    guest.hello()
    assert bytes(guest.run("echo still here").stdout) == b"still here\n"


@pytest.mark.parametrize("program", ["sanitized"], indirect=True)
def test_pure_noise_does_no_harm(start_guest: StartGuest) -> None:
    guest = start_guest()
    chance = random.Random(99)
    for _ in range(20):
        guest.write(SYNC + chance.randbytes(20_000))
        guest.write(encode(chance.randrange(256), chance.randbytes(chance.randrange(400))))
    guest.hello()
    assert guest.run("true").code == 0


def fuzz(tmp_path: Path, seconds: int) -> str:
    """Run libFuzzer for so long from the corpus and a few frames more; return its figures."""
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed: no libFuzzer")
    made = tmp_path / "fuzz"
    source = TESTS / "fuzz_frames.c"
    units = [
        str(source),
        *(str(HERE / name) for name in ("wire.c", "passing.c", "request.c", "ids.c")),
    ]
    sanitize = "-fsanitize=fuzzer,address,undefined"
    flags = ["-g", "-O1", sanitize, "-fno-sanitize-recover=undefined"]
    subprocess.run(["clang", *flags, "-o", str(made), *units], check=True, timeout=120)
    corpus = tmp_path / "corpus"
    shutil.copytree(TESTS / "corpus", corpus)
    chance = random.Random(1)
    for number in range(40):
        (corpus / f"open{number}").write_bytes(b"\x06" + request(chance))
        (corpus / f"frame{number}").write_bytes(b"\x40" + frame(chance)[:4000])
    command = [str(made), f"-max_total_time={seconds}", "-max_len=8192", "-print_final_stats=1"]
    done = subprocess.run(
        [*command, str(corpus)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=seconds + 110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (tried,) = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)[-1]
    return f"{int(tried):,} inputs to the guest's reader and parser, {covered} edges covered"


def test_a_fuzzer_finds_nothing_in_reader_and_parser(tmp_path: Path, figure: Figure) -> None:
    figure(fuzz(tmp_path, FUZZ_SECONDS))


@pytest.mark.slow
def test_a_fuzzer_finds_nothing_for_long(tmp_path: Path, figure: Figure) -> None:
    figure(fuzz(tmp_path, int(os.environ.get("DEEPD_TEST_FUZZ", "1800"))))
