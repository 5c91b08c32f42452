"""The journal behind a real pgbouncer in transaction mode, with `listen: false`."""

import asyncio
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from bridge.contract import State
from bridge.errors import JournalBusy, LaneLost
from bridge.journal import Done, Erasure, Progress
from bridge.journal.postgres import opened
from tests.packages import NotToBeHad
from tests.pooler import Pooler
from tests.postgres import new_place, open_folder


@pytest.fixture
def pooler(make_postgres):
    folder = open_folder("bridge-pgbouncer-")
    try:
        made = Pooler(folder, make_postgres().dsn)
    except NotToBeHad as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))
    made.start()
    yield made
    made.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place(pooler):
    return new_place(pooler.dsn, listen=False, poll=timedelta(seconds=0.2), lease=timedelta(seconds=10))


async def _carried(journal, desk, sent, *, until):
    """Claims and records until everything was sent; what is refused for a while is tried again."""
    while len(sent) < until:
        with suppress(JournalBusy):
            for claim in await journal.claim("api", now=datetime.now(UTC), limit=5, budget=1 << 30):
                if not claim.held:
                    sent.append(claim.envelope.lane)
                await _again(
                    lambda claim=claim: journal.record(
                        claim, Progress(settled=(desk.fact(),), end=Done()), now=desk.now
                    )
                )
        await asyncio.sleep(0.01)


async def _again(call):
    """Where nobody knows whether it was stored: then it is asked again, and the lane may be another's by now."""
    while True:
        try:
            return await call()
        except JournalBusy:
            await asyncio.sleep(0.05)
        except LaneLost:
            return None


async def test_two_replicas_share_a_journal_behind_a_pooler_that_is_killed_meanwhile(pooler, place, desk):
    sent = []
    orders = [str(number) for number in range(120)]
    async with opened(place, destinations=("api",)) as one, opened(place, destinations=("api",)) as other:
        carrying = [asyncio.create_task(_carried(each, desk, sent, until=len(orders))) for each in (one, other)]
        for number, order in enumerate(orders):
            document = desk.document(order, aliases=(f"email:{order}@example.com",))
            await _again(lambda document=document: one.append(document))
            if number == 60:
                pooler.kill()
                pooler.start()
        await asyncio.wait_for(asyncio.gather(*carrying), 60)
        assert sorted(orders) == sorted(set(sent))
        assert {("api", "delivered"): len(orders)} == dict((await one.stats()).facts)
        person = Erasure(tenant="shop.example", aliases=("email:7@example.com",))
        await one.block(person)
        assert 1 == (await other.erase(person)).orders
        erased = await other.append(desk.document("new", aliases=person.aliases))
        assert "erased" == (await one.story(erased.lane)).skips[0]["reason"]
        assert {"placed": State.DELIVERED.value} == await desk.states(one, (await one.find("7"))[0])
