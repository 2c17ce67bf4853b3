"""When a look is due."""

from __future__ import annotations

import asyncio

from deepd.reconcile.alarm import SOON, Alarm
from tests.unit.test_reconciler import Clock


async def is_due(alarm: Alarm, within: float = 0.0) -> bool:
    try:
        async with asyncio.timeout(within):
            await alarm.wait()
    except TimeoutError:
        return False
    return True


async def test_now_is_now_and_once() -> None:
    alarm = Alarm(Clock())
    alarm.now()
    assert await is_due(alarm)
    alarm.reset()
    assert not await is_due(alarm)


async def test_soon_is_not_now_and_comes_without_a_clock() -> None:
    alarm = Alarm(Clock())
    began = asyncio.get_running_loop().time()
    alarm.soon()
    alarm.soon()
    assert not await is_due(alarm)
    assert await is_due(alarm, within=10)
    assert asyncio.get_running_loop().time() - began >= SOON


async def test_who_asks_again_does_not_put_it_off() -> None:
    alarm = Alarm(Clock())
    loop = asyncio.get_running_loop()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        alarm.soon()
        if asked < 1000:
            loop.call_later(SOON / 10, ask)

    ask()
    assert await is_due(alarm, within=10)
    assert asked < 1000


async def test_a_look_serves_all_who_asked_before_it() -> None:
    alarm = Alarm(Clock())
    alarm.soon()
    alarm.by(0.0)
    alarm.reset()
    assert not await is_due(alarm, within=SOON * 3)


async def test_the_earlier_of_two_times_counts() -> None:
    clock = Clock()
    alarm = Alarm(clock)
    alarm.by(clock.now + 1000)
    alarm.by(clock.now - 1)
    assert await is_due(alarm)
