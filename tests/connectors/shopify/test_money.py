"""Money of orders that Hypothesis makes up: the total to the digit, the items to half a minor unit a piece."""

import copy
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bridge.config import read
from bridge.contract import Envelope, Event
from bridge.mapping.rules import Failure

EXAMPLE = json.loads((Path(__file__).parents[3] / "connectors/shopify/examples/order.json").read_text())
DIGITS = {"EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3}
CONFIG = """
sources:
  shop: {connector: shopify, currency: %s, shops: {example-linen.myshopify.com: {secrets: [env:S]}}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
include: [shopify/default]
rules: {redeemed: true}
"""
RULES = {
    side: read(CONFIG % side, file="bridge.yaml", environ={"S": "s", "T": "t"}).rules for side in ("shop", "buyer")
}


@some.composite
def orders(draw):
    """An order in two currencies, with its lines and discounts in both."""
    shop, buyer = draw(some.sampled_from([*DIGITS])), draw(some.sampled_from([*DIGITS]))

    def money(most):
        amounts = [str(draw(some.decimals(0, most, places=DIGITS[currency]))) for currency in (shop, buyer)]
        if shop == buyer:
            amounts[1] = amounts[0]
        sides = zip(("shop_money", "presentment_money"), amounts, (shop, buyer), strict=True)
        return amounts[0], {side: {"amount": amount, "currency_code": code} for side, amount, code in sides}

    def named(name, most):
        plain, both = money(most)
        return {name: plain, f"{name}_set": both}

    order = copy.deepcopy(EXAMPLE) | named("total_price", 100_000) | named("total_line_items_price", 100_000)
    order |= {f"current_{name}": order[name] for name in ("total_price", "total_price_set")}
    order |= {"currency": shop, "presentment_currency": buyer, "taxes_included": draw(some.booleans())}
    order["line_items"] = [
        {
            "id": number,
            "title": "Sheet",
            "variant_id": draw(some.sampled_from([None, 5, 6])),
            "product_id": draw(some.sampled_from([None, 7])),
            "quantity": draw(some.integers(0, 12)),
            "discount_allocations": [named("amount", 30) for _ in range(draw(some.integers(0, 2)))],
        }
        | named("price", 500)
        for number in range(draw(some.integers(1, 4)))
    ]
    return order


def net(order, side):
    """What the lines cost, by the contract: price times quantity less every discount's share."""
    lines = [line for line in order["line_items"] if line["quantity"] > 0]
    listed = sum((Decimal(line["price_set"][side]["amount"]) * line["quantity"] for line in lines), Decimal(0))
    return listed - sum(
        Decimal(off["amount_set"][side]["amount"]) for line in lines for off in line["discount_allocations"]
    )


def envelope(order):
    at = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
    return Envelope(
        source="shop", id="1", topic="orders/create", kind="order", tenant="example-linen.myshopify.com", lane="1",
        received_at=at, raw=json.dumps(order).encode(),
    )  # fmt: skip


def everything(order, side):
    return RULES[side].apply(envelope(order), "hellotext")


def applied(order, side):
    told = envelope(order)
    events = [step for step in RULES[side].apply(told, "hellotext") if isinstance(step, Event)]
    return events, lambda event: RULES[side].shown(told, "hellotext", event)


@pytest.mark.parametrize(("setting", "side"), [("shop", "shop_money"), ("buyer", "presentment_money")])
@given(orders())
@settings(max_examples=200)
def test_the_total_is_exact_and_the_items_differ_by_at_most_half_a_minor_unit_a_piece(setting, side, order):
    events, shown = applied(order, setting)
    currency = order["total_price_set"][side]["currency_code"]
    assert ["order.placed", "order.confirmed", "coupon.redeemed"] == [event.fact for event in events]
    for event in events:
        assert (order["total_price_set"][side]["amount"], currency) == (
            str(event.give["amount"]),
            event.give["currency"],
        )
    items = events[0].give["object_parameters"]["items"]
    assert {currency} >= {item["price"]["currency"] for item in items}
    assert len(items) == len({item["product"]["reference"] for item in items})
    assert sum(max(line["quantity"], 0) for line in order["line_items"]) == sum(item["quantity"] for item in items)
    difference = sum(item["price"]["amount"] * item["quantity"] for item in items) - net(order, side)
    half = Decimal(1).scaleb(-DIGITS[currency]) / 2
    assert abs(difference) <= half * sum(item["quantity"] for item in items)
    assert difference == shown(events[0])["items less lines"]


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_refund_in_a_third_currency_names_the_currencies_and_what_to_do(is_edited):
    """Of an edited order the total is what it is now and what went back: that cannot be told then either."""
    order = copy.deepcopy(EXAMPLE) | {"financial_status": "partially_refunded"}
    back = {"kind": "refund", "status": "success", "amount": "1.00", "currency": "CAD"}
    order["refunds"] = [{"id": 9, "created_at": order["created_at"], "transactions": [back], "refund_line_items": []}]
    if is_edited:
        order |= {"current_total_price": "50.00", "current_subtotal_price": "40.00"}
        order["line_items"][0]["current_quantity"] = 0
    failures = {step.fact: step.message for step in everything(order, "shop") if isinstance(step, Failure)}
    assert {"refund.received"} | (
        {"order.placed", "order.confirmed", "coupon.redeemed"} if is_edited else set()
    ) == failures.keys()
    for message in failures.values():
        assert "is given CAD, and there is only EUR and GBP here: write a rule of your own" in message
