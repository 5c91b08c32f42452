"""Upkeep in trouble: what fails beside the hot path neither ends the service nor keeps other work from being done."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from bridge.errors import JournalBusy
from bridge.journal.sqlite import SqliteJournal

SHOP = "example.myshopify.com"


def _recent():
    return datetime.now(UTC).replace(microsecond=0).isoformat()


async def test_a_journal_that_cannot_be_asked_for_a_while_does_not_end_the_service(
    fake, an_order, running, settings_of, sandbox, events, monkeypatch
):
    real, failures = SqliteJournal.recall, []

    async def recall(self, name):
        if len(failures) < 2:
            failures.append(name)
            raise JournalBusy("no connection to the database")
        return await real(self, name)

    monkeypatch.setattr(SqliteJournal, "recall", recall)
    order = fake.put(an_order(1, created_at=_recent(), processed_at=_recent()))
    async with running(settings_of(api=sandbox, upkeep=", subscriptions: leave, reconcile_every: 1s")) as bridge:
        await bridge.until(lambda: bridge.house.journal.find(str(order["id"])), seconds=20)
        assert failures
        assert "no connection" in (await events("errand.failed"))[0]["detail"]
