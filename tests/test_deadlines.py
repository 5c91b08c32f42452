"""Deadlines end what takes too long, as asyncio.timeout does."""

import asyncio
import time

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


async def test_what_comes_in_the_same_turn_as_its_deadline_is_one_or_the_other():
    """Never both: a cancellation that comes when the block was left would hit what is done after it."""

    async def work(answer):
        with every.one():
            await answer
        await asyncio.sleep(0.01)
        return "in time"

    every = Deadlines(0.05)
    for _ in range(5):
        answer = asyncio.get_running_loop().create_future()
        working = asyncio.create_task(work(answer))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.01, answer.set_result, None)
        time.sleep(0.1)  # noqa: ASYNC251  a busy loop: the answer and the deadline are due together
        (ended,) = await asyncio.gather(working, return_exceptions=True)
        assert ended == "in time" or isinstance(ended, TimeoutError)


async def test_whoever_fails_when_he_is_told_holds_up_nobody():
    class Bad:
        until = 0.0

        def expire(self):
            told.append("bad")
            raise ZeroDivisionError

    class Good(Bad):
        def expire(self):
            told.append("good")

    told, problems = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))
    every = Deadlines(0.05)
    closed = Good()
    for due in (Bad(), closed, Good()):
        every.open(due)
    every.close(closed)
    await asyncio.sleep(0.04)
    every.open(Good())
    async with asyncio.timeout(10):
        while len(told) < 3:
            await asyncio.sleep(0.01)
    assert ["bad", "good", "good"] == told
    assert [ZeroDivisionError] == [type(problem) for problem in problems]
