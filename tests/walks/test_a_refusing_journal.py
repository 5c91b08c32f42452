"""A journal that refuses what must be known of an order is in nobody's way for ever, and ends nothing."""

import sqlite3
from contextlib import closing

import pytest

REFUSING = "CREATE TRIGGER refusing BEFORE INSERT ON fact WHEN {when} BEGIN SELECT raise(ABORT, 'refused'); END"


@pytest.fixture
def file(tmp_path):
    def run(statement):
        with closing(sqlite3.connect(tmp_path / "journal.db", timeout=20)) as connection, connection:
            connection.execute(statement)

    return run


async def test_what_it_refuses_for_its_words_is_kept_without_them(running, order, file, log):
    number, body = order(financial_status="pending")
    async with running() as bridge:
        file(REFUSING.format(when="new.amount <> ''"))
        assert (200, "") == await bridge.post(body)
        await bridge.settled(number)
        assert {"order.placed": "delivered"} == await bridge.states(number)
    assert {"journal.refused"} <= {line["event"] for line in log()}


async def test_what_it_refuses_without_words_too_is_tried_until_it_takes_it(running, order, file, log):
    number, body = order(financial_status="pending")
    async with running() as bridge:
        file(REFUSING.format(when="true"))
        assert (200, "") == await bridge.post(body)
        await bridge.until(lambda: _says(log, "journal.busy"))
        file("DROP TRIGGER refusing")
        await bridge.settled(number)
        assert {"order.placed": "delivered"} == await bridge.states(number)
        assert ["order.placed"] == await bridge.actions()


async def _says(log, event):
    return any(line["event"] == event for line in log())
