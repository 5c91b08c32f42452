"""Replicas over one database, and the account of what became of their orders."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from bridge.journal.postgres import reading
from tests.walks.processes import ShopProcess


def replicas(count, folder, url, environ, port, place, *, lease):
    """So many processes; `port` gives a free one."""
    journal = f"{{kind: postgres, url: env:DATABASE, schema: {place.schema}, lease: {lease}s, poll: 1s, timeout: 3s}}"
    environ = {**environ, "DATABASE": place.dsn}
    return [ShopProcess(folder, url, environ, (port(), port()), journal=journal) for _ in range(count)]


async def states_of(place, acknowledged, *, seconds=60):
    """Order to {fact: state}, when nothing waits any more."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    async with reading(place) as journal:
        while (stats := await journal.stats()).waiting:
            assert datetime.now(UTC) < until, stats
            await asyncio.sleep(0.2)
        states = {}
        for number in acknowledged:
            (lane,) = await journal.find(number)
            states[number] = {fact["fact"]: fact["state"] for fact in (await journal.story(lane)).facts}
        return states


def accounted(states, events):
    """What is wrong: every order has both facts, delivered or in doubt; only what is repeatable may have come twice."""
    by_key = Counter((e["body"]["object_parameters"]["reference"], e["body"]["action"]) for e in events)
    repeated = {key for key, count in by_key.items() if count > 1}
    unrepeatable = {
        (e["body"]["object_parameters"]["reference"], e["body"]["action"]) for e in events if "profile" not in e["body"]
    }
    problems = [("sent twice", key) for key in repeated & unrepeatable]
    for number, facts in states.items():
        if set(facts) != {"order.placed", "order.confirmed"}:
            problems.append(("facts", number, facts))
        for action, state in facts.items():
            if state not in ("delivered", "uncertain") or (state == "delivered" and not by_key[number, action]):
                problems.append(("state", number, action, state))
    return problems
