"""Deadlines end what takes too long, as asyncio.timeout does."""

import asyncio

import pytest

from bridge.deadlines import Deadlines


async def test_what_takes_too_long_is_cancelled_and_raises_timeout_error():
    ended = asyncio.Event()

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(TimeoutError), Deadlines(0.05).one():
        await work()
    assert ended.is_set()
    assert 0 == asyncio.current_task().cancelling()


async def test_each_has_its_own_time_and_who_is_in_time_is_left_alone():
    every = Deadlines(2)

    async def one(seconds):
        with every.one():
            await asyncio.sleep(seconds)
        return "in time"

    async def later():
        await asyncio.sleep(1)
        return await one(1.2)

    first, second, third = await asyncio.gather(one(60), later(), one(0), return_exceptions=True)
    assert isinstance(first, TimeoutError)
    assert ("in time", "in time") == (second, third)


async def test_a_cancellation_by_somebody_else_stays_one():
    every = Deadlines(60)

    async def work():
        with every.one():
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(("outer", "inner"), [(0.05, 60), (60, 0.05), (0.05, 0.05)])
async def test_one_within_another_whichever_ends_first(outer, inner):
    with pytest.raises(TimeoutError), Deadlines(outer).one(), Deadlines(inner).one():
        await asyncio.sleep(60)
    assert 0 == asyncio.current_task().cancelling()


async def test_where_nothing_is_open_nothing_wakes():
    every = Deadlines(0.05)
    for _ in range(3):
        with every.one():
            await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert every._timer is None
    with every.one():
        assert every._timer is not None
