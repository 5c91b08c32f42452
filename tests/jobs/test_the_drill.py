"""The drill: a shop loses half of a day's webhooks and its subscription. The next check restores the subscription,
reconciliation heals the day, and the account agrees with the shop to the order and the cent, with nothing sent twice.
"""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bridge import registry

SHOP = "example.myshopify.com"
ORDERS = 60
_RATE = Decimal("0.8")


def _day(an_order, chance):
    """(order, state after state) of a day that ended just now: paid, refunded, shipped, cancelled, a test one."""
    examples = registry.folder("shopify") / "examples"
    refund, parcel = (json.loads((examples / f"{name}.json").read_text()) for name in ("refund", "fulfillment"))
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
    for number in range(1, ORDERS + 1):
        at = began + timedelta(minutes=number * 15)
        iso = at.isoformat()
        cents = chance.randrange(100, 50_000)
        total = Decimal(cents) / 100
        money = {
            "shop_money": {"amount": f"{total:.2f}", "currency_code": "EUR"},
            "presentment_money": {"amount": f"{total * _RATE:.2f}", "currency_code": "GBP"},
        }
        order = an_order(
            number, created_at=iso, processed_at=iso, financial_status="pending", total_price=f"{total:.2f}",
            current_total_price=f"{total:.2f}",
            total_price_set=money, test=number % 20 == 0, email=f"buyer-{number}@example.com", contact_email=None,
            customer=None,
        )  # fmt: skip
        states = [order]
        if chance.random() < 0.9:
            states.append(states[-1] | {"financial_status": "paid"})
        if chance.random() < 0.5:
            sent = parcel | {"id": 4000 + number, "order_id": order["id"], "created_at": iso, "updated_at": iso}
            states.append(states[-1] | {"fulfillments": [sent], "fulfillment_status": "fulfilled"})
        if chance.random() < 0.3:
            paid = refund["transactions"][0] | {"amount": f"{total * _RATE / 2:.2f}", "processed_at": iso}
            back = refund | {"id": 9000 + number, "order_id": order["id"], "created_at": iso, "transactions": [paid]}
            after = {"financial_status": "partially_refunded", "current_total_price": f"{total - total / 2:.2f}"}
            states.append(states[-1] | {"refunds": [back]} | after)
        if chance.random() < 0.1:
            states.append(states[-1] | {"cancelled_at": iso, "cancel_reason": "customer"})
        for step, state in enumerate(states):
            yield at + timedelta(minutes=step), "orders/create" if step == 0 else "orders/updated", state


async def test_a_shop_that_lost_half_a_day_and_its_subscription_is_whole_again(
    fake, an_order, running, settings_of, sandbox, account, events, free_port
):
    port = free_port()
    address = f"http://127.0.0.1:{port}/webhooks/shop"

    def settings(upkeep):
        return settings_of(api=sandbox, address=address, port=port, upkeep=f", overlap: 2d, first: 2d{upkeep}")

    async with running(settings(", reconcile: false, check_every: 1h")) as bridge:
        await bridge.until(lambda: events("subscription.mended"), seconds=15)
        await _half_delivered(fake, bridge, _day(an_order, random.Random(20261120)))
        before = await account(bridge)
    assert not before.is_even()
    assert {"missing"} == {difference.sort for difference in before.differences}
    lost = len(await events("subscription.mended"))

    async with running(settings(", check_every: 1s, reconcile_every: 1s")) as bridge:
        await bridge.until(lambda: _more(events, "subscription.mended", than=lost), seconds=30)
        await bridge.until(lambda: events("reconciliation.done"), seconds=30)
        await bridge.until(lambda: _idle(bridge), seconds=60)
        after, received = await account(bridge), await bridge.received()
    assert {"ORDERS_CREATE", "ORDERS_UPDATED", "APP_UNINSTALLED"} == {
        made["topic"] for made in fake.subscriptions.values() if made["uri"] == address
    }
    assert (await events("reconciliation.done"))[0]["healed"] > ORDERS // 4
    assert [] == after.differences
    assert (ORDERS, {"test order": ORDERS // 20}) == (after.orders, dict(after.skipped))
    assert all(line.agrees() for line in after.lines.values())
    assert {"hellotext": (ORDERS - ORDERS // 20,) * 2} == after.listed
    _nothing_twice_and_every_cent(received, after)


async def _half_delivered(fake, bridge, day):
    """Of each change the webhook comes or is lost; in the middle of the day Shopify deletes the subscriptions."""
    chance = random.Random(7)
    changes = sorted(day, key=lambda change: change[0])
    for number, (at, topic, state) in enumerate(changes):
        document = fake.put(state, at=at)
        if number == len(changes) // 2:
            fake.subscriptions.clear()
        if fake.subscriptions and chance.random() < 0.5:
            assert {200} == set(await fake.deliver(bridge.session, topic, document))
    await bridge.until(lambda: _idle(bridge), seconds=30)


def _nothing_twice_and_every_cent(received, account):
    """At the API: one request a fact, and its amounts those of the account."""
    accepted = [line["body"] for line in received if line["status"] in (200, 201, None)]
    keys = Counter(
        (body["action"], body["object_parameters"]["reference"]) for body in accepted if "object_parameters" in body
    )
    assert {1} == set(keys.values())
    sums = Counter()
    for body in accepted:
        sums[body["action"]] += Decimal(str(body.get("amount", 0)))
    told = Counter()
    for (_, _, fact), line in account.lines.items():
        told[fact] += sum(line.taken.values())
    assert told == sums
    assert sum(line.accepted for line in account.lines.values()) == len(accepted)


async def _idle(bridge):
    return not (await bridge.house.journal.stats()).waiting


async def _more(events, name, *, than):
    return len(await events(name)) > than
