"""One day of a shop: a thousand orders with edits, refunds, duplicates, losses, webhooks late and out of order, and an
API that fails now and then. In the end what the API knows is exact: to the order, the fact and the cent.
"""

import asyncio
import json
import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from bridge.contract import State
from bridge.journal import Selection
from tests.jobs import day as days

ORDERS = 1000
EVENTS = "/v1/attribution/events"
MOODS = {
    0.10: {"status": 503, "share": 0.1},
    0.20: None,
    0.25: {"reset": "after", "share": 0.08, "path": EVENTS},
    0.35: None,
    0.40: {"status": 429, "share": 0.2},
    0.45: None,
    0.50: {"status": 500},
    0.55: None,
    0.60: {"reset": "before", "share": 0.1},
    0.70: None,
    0.75: {"status": 403, "times": 5},
    0.80: {"delay": 0.05, "share": 0.3},
    0.90: None,
}
"""How far the day is, to what becomes of the API then; None: it is well again."""


async def test_the_account_of_a_day_is_exact(fake, running, settings_of, sandbox, account, events):
    day = days.made(ORDERS, ended=datetime.now(UTC), chance=random.Random(20261120))
    for at, _, document in day.changes:
        fake.put(document, at=at)
    still, hourly = ", subscriptions: leave, reconcile: false", ", subscriptions: leave, first: 48h"
    async with running(settings_of(api=sandbox, upkeep=still)) as bridge:
        await _arrive(bridge, day.deliveries(random.Random(7)))
    async with running(settings_of(api=sandbox, upkeep=hourly)) as bridge:
        await bridge.until(lambda: events("reconciliation.done"), seconds=120)
        await bridge.until(lambda: _idle(bridge), seconds=240)
        assert not await _parked(bridge, State.DEAD)
        await _judge(bridge, day)
        await bridge.until(lambda: _idle(bridge), seconds=60)
        known, told = await _known(bridge), await account(bridge)
    assert day.expected.keys() == known.keys()
    assert [] == [(key, worth) for key, worth in known.items() if worth not in day.worths(key)]
    _agrees(told, day, known)


async def _arrive(bridge, deliveries):
    """Sixteen at a time, the API in its moods."""
    queue = list(enumerate(deliveries))[::-1]
    moods = sorted(MOODS.items())

    async def post():
        while queue:
            number, delivery = queue.pop()
            while moods and number >= moods[0][0] * len(deliveries):
                _, mood = moods.pop(0)
                await bridge.recover()
                if mood is not None:
                    await bridge.fail(**mood)
            body = json.dumps(delivery.document).encode()
            assert (200, "") == await bridge.post(body, topic=delivery.topic, delivery_id=delivery.id)

    await asyncio.gather(*(post() for _ in range(16)))
    await bridge.recover()


async def _judge(bridge, day):
    """A person's part: what may have arrived is looked up at the API, and settled or sent."""
    known = await _known(bridge)
    for parked in await _parked(bridge, State.UNCERTAIN):
        (part,) = msgspec.json.decode(parked.once) or (parked.order,)
        journal = bridge.house.journal
        if (parked.fact, part) in known:
            assert 1 == await journal.settle([parked.ref], State.DELIVERED)
        else:
            assert 1 == await journal.resend([parked.ref])
    assert day.expected.keys() >= known.keys()


async def _parked(bridge, state):
    return [one async for one in bridge.house.journal.parked(Selection(state=state))]


async def _idle(bridge):
    return not (await bridge.house.journal.stats()).waiting


async def _known(bridge):
    """(action, reference) to the amount, of every event that the API has; raises where it has one twice."""
    headers = {"Authorization": "Bearer token-of-the-tests"}
    async with bridge.session.get(f"{bridge.api}{EVENTS}?limit=100000", headers=headers) as answer:
        events = json.loads(await answer.text(), parse_float=Decimal, parse_int=Decimal)
    found = {}
    for event in events:
        key = (event["action"], event["object_parameters"]["reference"])
        assert key not in found, key
        found[key] = Decimal(event["amount"])
    return found


def _agrees(told, day, known):
    """`orders account` says the same, and which orders were told before an edit of them."""
    unsent = {difference.order for difference in told.differences if difference.sort == "not sent"}
    other = {difference.order for difference in told.differences if difference.sort == "amount"}
    assert {difference.sort for difference in told.differences} <= {"not sent", "amount"}
    assert day.nobody == unsent
    assert other == {order for (_, order), worth in known.items() if worth != day.edited.get(order, worth)}
    assert {"test order": len(day.tests)} == dict(told.skipped)
    assert ORDERS == told.orders
    by_action = Counter()
    for (action, _), worth in known.items():
        by_action[action] += worth
    taken = Counter()
    for (_, _, fact), line in told.lines.items():
        taken[fact] += sum(line.taken.values())
    assert by_action == taken
