"""A sum that runs, through the whole bridge: what was told before is the journal's word."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

RULES = """
rules:
  placed: false
  confirmed: false
  refunded: false
  given_back:
    for: order
    let:
      now: = order.current_total_discounts
      before: = default(max(n for n in told if n < now), 0)
    when: = now > 0 and not any(n > now for n in told)
    at: {assumed: = order.updated_at}
    once: = now
    give:
      action: refund.received
      person?: {email?: = email(order.email)}
      object_parameters: {reference: "= text(order.id) + '-' + text(now)", source: shopify}
      amount: = now - before
      currency: = order.currency
"""


@pytest.fixture
def states(order):
    """Documents of one order, each a minute later, with these sums."""
    began = datetime.now(UTC) - timedelta(minutes=10)
    number, body = order(updated_at="UPDATED", current_total_discounts="SUM")

    def make(minute, total):
        at = (began + timedelta(minutes=minute)).isoformat()
        return body.replace(b"UPDATED", at.encode()).replace(b"SUM", total.encode())

    return number, make


async def _amounts(bridge):
    return [Decimal(str(line["body"]["amount"])) for line in await bridge.received() if line["status"] == 200]


async def test_each_difference_is_told_once_whatever_comes_again_or_late(running, settings_for, sandbox, states):
    number, make = states
    settings = settings_for(sandbox, more=RULES)
    async with running(settings) as bridge:
        for body in (make(1, "30.00"), make(2, "45.00"), make(2, "45.00"), make(3, "45.00")):
            assert (200, "") == await bridge.post(body, topic="orders/updated")
            await bridge.settled(number)
    async with running(settings) as bridge:
        for body in (make(1, "30.00"), make(4, "100.00")):
            assert (200, "") == await bridge.post(body, topic="orders/updated")
            await bridge.settled(number)
        assert [Decimal(30), Decimal(15), Decimal(55)] == await _amounts(bridge)


async def test_what_was_refused_is_in_the_next_difference(running, settings_for, sandbox, states):
    number, make = states
    async with running(settings_for(sandbox, more=RULES)) as bridge:
        await bridge.fail(status=422, path="/v1/attribution/events")
        assert (200, "") == await bridge.post(make(1, "30.00"), topic="orders/updated")
        await bridge.settled(number)
        await bridge.recover()
        assert (200, "") == await bridge.post(make(2, "45.00"), topic="orders/updated")
        await bridge.settled(number)
        assert [Decimal(45)] == await _amounts(bridge)
