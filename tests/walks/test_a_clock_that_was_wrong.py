"""What was written while a clock was wrong: it waits no longer than what a right clock gave."""

import sqlite3
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import pytest

from bridge import clock
from tests.clocks import Shifted


@pytest.fixture
def set_ahead():
    with ExitStack() as stack:
        yield stack


def _a_year_ahead(tmp_path):
    far = int((datetime.now(UTC) + timedelta(days=365)).timestamp() * 1_000_000)
    with closing(sqlite3.connect(tmp_path / "journal.db", timeout=20)) as connection, connection:
        return connection.execute("UPDATE turn SET due = ?", (far,)).rowcount


async def test_a_lane_that_waits_for_next_year_goes_on_at_the_next_start(running, order, tmp_path, log):
    number, body = order()
    async with running() as bridge:
        await bridge.fail(status=503)
        assert (200, "") == await bridge.post(body)
        await bridge.until(lambda: bridge.received("/v1/profiles"))
    assert 1 == _a_year_ahead(tmp_path)
    async with running() as bridge:
        await bridge.recover()
        await bridge.settled(number)
    assert 1 == sum(line.get("count", 0) for line in log() if line["event"] == "lanes.hastened")


async def test_a_lane_that_waits_for_next_year_goes_on_however_shortly_the_clock_was_wrong(running, order, tmp_path):
    number, body = order()
    async with running() as bridge:
        await bridge.fail(status=503)
        assert (200, "") == await bridge.post(body)
        await bridge.until(lambda: bridge.received("/v1/profiles"))
        assert 1 == _a_year_ahead(tmp_path)
        await bridge.recover()
        with clock.installed(Shifted(timedelta(days=365))):
            clock.now()
        other, another = order()
        assert (200, "") == await bridge.post(another)
        await bridge.settled(other)
        await bridge.settled(number)


@pytest.mark.parametrize(("first", "then"), [(0, 365), (-365, 0)], ids=["set ahead", "back, and set right"])
async def test_nothing_is_given_up_for_the_time_by_which_the_clock_was_set(running, order, set_ahead, first, then):
    number, body = order()
    async with running() as bridge:
        await bridge.fail(status=503)
        with clock.installed(Shifted(timedelta(days=first))):
            assert (200, "") == await bridge.post(body)
            await bridge.until(lambda: bridge.received("/v1/profiles"))
        set_ahead.enter_context(clock.installed(Shifted(timedelta(days=then))))
        tried = len(await bridge.received("/v1/profiles"))

        async def was_tried_again():
            is_over = not (await bridge.story(number)).waiting
            return is_over or len(await bridge.received("/v1/profiles")) > tried + 1

        await bridge.until(was_tried_again)
        await bridge.recover()
        await bridge.settled(number)
        assert {"order.placed": "delivered", "order.confirmed": "delivered"} == await bridge.states(number)
