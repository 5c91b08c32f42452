"""A day's deliveries, in any order, repeated, and dropped until the last document of each order comes: the same facts.

Through Shopify's own reading of a delivery, a journal in a real SQLite file and the default rules: all but the sending.
"""

import asyncio
import copy
import itertools
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some
from multidict import CIMultiDict

from bridge.config import read
from bridge.contract import HOLDS, Event, HttpArrival, State, Verified
from bridge.journal import Done, Progress, Settled, sqlite
from bridge.mapping.rules import Failure

EXAMPLE = json.loads((Path(__file__).parents[3] / "connectors/shopify/examples/order.json").read_text())
SHOP = "example-linen.myshopify.com"
MORNING = datetime(2026, 11, 20, 8, tzinfo=UTC)
NIGHT = datetime(2026, 11, 22, 8, tzinfo=UTC)
FAR = NIGHT + timedelta(days=36_500)
CONFIG = f"""
sources: {{shop: {{connector: shopify, shops: {{{SHOP}: {{secrets: [env:S]}}}}}}}}
destinations: {{hellotext: {{connector: hellotext, token: env:T}}}}
include: [shopify/default]
rules: {{redeemed: true}}
"""
SETTINGS = read(CONFIG, file="bridge.yaml", environ={"S": "s", "T": "t"})
RULES, SOURCE = SETTINGS.rules, SETTINGS.sources["shop"]
CHAPTERS = (
    *(("pay",), ("void",), ("cancel",), ("grow",), ("shrink",), ("note",), ("give up",)),
    *(("ship", "unship"), ("ship", "deliver"), ("pay", "refund", "settle"), ("refund", "note")),
)
"""What happens one after the other."""


class Body(bytes):
    """Not shown when a test fails: it would be pages."""

    __slots__ = ()

    def __repr__(self):
        return f"<{len(self)} bytes>"


@dataclass(frozen=True)
class Delivery:
    """One webhook: a document under one of the topics that bring it."""

    id: str
    topic: str
    raw: bytes


class Life:
    """One order from its sale on: each step changes its document as Shopify would, and nothing else of it."""

    def __init__(self, draw, number):
        self._draw, self._now, self.documents = draw, MORNING + timedelta(minutes=number), []
        self.order = copy.deepcopy(EXAMPLE) | {
            "id": number,
            "name": f"#{number}",
            "test": draw(some.sampled_from([False] * 7 + [True])),
        }
        self.order |= {"financial_status": draw(some.sampled_from(["pending", "authorized", "paid"]))}
        # One pound is worth so many euros that its share of the total never ends in a whole cent.
        both = self.order["total_price_set"] | {"shop_money": {"amount": "99.01", "currency_code": "EUR"}}
        self.order |= {"total_price": "99.01", "current_total_price": "99.01", "total_price_set": both}
        self.order |= {"created_at": self.stamp(), "processed_at": self.stamp()}
        self.is_edited = False
        self._written("orders/create")
        for step in itertools.chain(*draw(some.lists(some.sampled_from(CHAPTERS), min_size=1, max_size=6))):
            self._now += timedelta(seconds=draw(some.integers(1, 5_000)))
            if getattr(self, f"_{step.replace(' ', '_')}")():
                self._written("orders/updated")

    def stamp(self):
        return self._now.isoformat()

    def _written(self, topic):
        self.order["updated_at"] = self.stamp()
        self.documents.append((topic, Body(json.dumps(self.order).encode())))

    @property
    def is_paid(self):
        return self.order["financial_status"] in ("paid", "partially_paid", "partially_refunded")

    def _pay(self):
        if (
            self.order["financial_status"] not in ("pending", "authorized", "partially_paid")
            or self.order["cancelled_at"]
        ):
            return False
        self.order |= {"financial_status": "paid", "total_outstanding": "0.00"}
        return True

    def _void(self):
        if self.order["financial_status"] != "authorized":
            return False
        self.order["financial_status"] = "voided"
        return True

    def _cancel(self):
        if self.order["cancelled_at"]:
            return False
        self.order |= {"cancelled_at": self.stamp(), "cancel_reason": "customer"}
        return True

    def _refund(self):
        if not self.is_paid:
            return False
        kinds = some.fixed_dictionaries(
            {
                "kind": some.sampled_from(["refund", "refund", "void"]),
                "status": some.sampled_from(["success", "success", "pending", "pending", "failure"]),
                "currency": some.sampled_from(["EUR", "GBP"]),
                "amount": some.decimals(0, 9, places=2).map(str),
            }
        )
        parts = self._draw(some.lists(kinds, min_size=1, max_size=3))
        number = len(self.order["refunds"]) + 1
        refund = {"id": number, "created_at": self.stamp(), "processed_at": self.stamp(), "transactions": parts}
        self.order["refunds"] = [*self.order["refunds"], refund]
        self.order["financial_status"] = "partially_refunded"
        return True

    def _settle(self):
        """What is pending ends, well or not."""
        pending = [
            part for refund in self.order["refunds"] for part in refund["transactions"] if part["status"] == "pending"
        ]
        for part in pending:
            part["status"] = self._draw(some.sampled_from(["success", "failure"]))
        return bool(pending)

    def _ship(self):
        parcel = {
            "id": len(self.order["fulfillments"]) + 1,
            "status": "success",
            "service": "manual",
            "shipment_status": None,
        }
        parcel |= {
            "created_at": self.stamp(),
            "updated_at": self.stamp(),
            "line_items": [{"requires_shipping": self._draw(some.booleans())}],
        }
        self.order["fulfillments"].append(parcel)
        return True

    def _give_up(self):
        """A fulfilment service never sent it."""
        self._ship()
        self.order["fulfillments"][-1] |= {"status": "cancelled", "service": "warehouse", "tracking_number": None}
        return True

    def _unship(self):
        return self._changed(lambda parcel: parcel["status"] == "success", {"status": "cancelled"})

    def _deliver(self):
        return self._changed(lambda parcel: parcel["status"] == "success", {"shipment_status": "delivered"})

    def _changed(self, fits, change):
        parcel = next((each for each in self.order["fulfillments"] if fits(each)), None)
        if parcel is not None:
            parcel |= change | {"updated_at": self.stamp()}
        return parcel is not None

    def _grow(self):
        """An edit adds a line: what was paid is partly paid again."""
        if self.order["financial_status"] not in ("pending", "paid"):
            return False
        self.is_edited = True
        added = {
            "id": 99,
            "title": "Towel",
            "variant_id": 99,
            "quantity": 1,
            "price": "20.00",
            "discount_allocations": [],
        }
        self.order["line_items"] = [*self.order["line_items"], added]
        self.order["current_total_price"] = str(Decimal(self.order["current_total_price"]) + 20)
        self.order["total_outstanding"] = str(Decimal(self.order["total_outstanding"]) + 20)
        if self.order["financial_status"] == "paid":
            self.order["financial_status"] = "partially_paid"
        return True

    def _shrink(self):
        """An edit takes a line away, which stays with no pieces left."""
        self.is_edited = True
        self.order["line_items"][0]["current_quantity"] = 0
        return True

    def _note(self):
        self.order["note"] = self.stamp()
        return True


TOPICS = ("orders/create", "orders/paid", "orders/updated", "orders/fulfilled")


@some.composite
def days(draw):
    """The orders of a day, their deliveries as they happened, and what came of them instead."""
    lives = [Life(draw, number) for number in range(1, draw(some.integers(1, 3)) + 1)]
    numbers = itertools.count(1)
    happened = [[Delivery(f"{next(numbers)}", topic, raw) for topic, raw in life.documents] for life in lives]
    kept = [each for deliveries in happened for each in deliveries[:-1] if draw(some.booleans())]
    again = [
        Delivery(draw(some.sampled_from([each.id, f"{each.id}-again"])), draw(some.sampled_from(TOPICS)), each.raw)
        for each in kept
        if draw(some.booleans())
    ]
    last = [deliveries[-1] for deliveries in happened]
    came = [*draw(some.permutations([*kept, *again])), *draw(some.permutations(last))]
    return lives, [each for deliveries in happened for each in deliveries], came, draw(some.integers(1, 5))


def envelope(delivery):
    headers = CIMultiDict({"X-Shopify-Topic": delivery.topic, "X-Shopify-Webhook-Id": delivery.id})
    arrival = HttpArrival(source="shop", headers=headers, body=delivery.raw, received_at=NIGHT)
    return SOURCE.read(arrival, Verified(tenant=SHOP, secret=0))


async def carried(journal, facts):
    """Map what is due as a destination's carrier does, and keep each fact that is not held yet as delivered."""
    for claim in await journal.claim("hellotext", now=FAR, limit=1000, budget=1 << 30):
        settled = []
        for step in RULES.apply(claim.envelope, "hellotext", stale=claim.is_stale):
            assert not isinstance(step, Failure), step
            if isinstance(step, Event) and claim.held.get((step.fact, step.once)) not in HOLDS:
                key = (claim.envelope.lane, step.fact, step.once)
                assert key not in facts, f"{key} is told twice"
                facts[key] = step
                settled.append(Settled(fact=step.fact, once=step.once, rule=step.rule, state=State.DELIVERED))
        await journal.record(claim, Progress(settled=settled, end=Done()), now=NIGHT)


async def told(deliveries, every=1):
    """The facts of these deliveries, mapped after so many of them each time."""
    facts = {}
    with tempfile.TemporaryDirectory() as folder:
        async with sqlite.opened(Path(folder) / "journal.db", destinations=("hellotext",)) as journal:
            for number, delivery in enumerate(deliveries):
                await journal.append(envelope(delivery))
                if number % every == 0:
                    await carried(journal, facts)
            while (await journal.stats()).waiting.get("hellotext"):
                await carried(journal, facts)
    return facts


@given(days())
@settings(max_examples=150)
def test_the_facts_of_a_day_are_the_same_however_its_deliveries_come(day):
    lives, happened, came, every = day
    usual, other = asyncio.run(told(happened)), asyncio.run(told(came, every))
    assert usual.keys() == other.keys()
    edited = {str(life.order["id"]) for life in lives if life.is_edited}
    for key, event in usual.items():
        lane, fact, _ = key
        assert event.give["action"] == other[key].give["action"]
        if fact != "order.delivered":
            assert event.at == other[key].at
        if lane not in edited:
            assert event.give == other[key].give


def test_the_days_that_are_made_up_hold_every_fact():
    """The test above would say little if its orders never came so far."""
    found = set()

    @given(days())
    @settings(max_examples=150, database=None, derandomize=True)
    def look(day):
        for delivery in day[1]:
            steps = RULES.apply(envelope(delivery), "hellotext")
            found.update(step.fact for step in steps if isinstance(step, Event))

    look()
    assert set(RULES.facts("hellotext").values()) == found
