"""Orders of as many lines as Shopify takes, and sums that disagree: what the default rules make of them."""

import copy
import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bridge.contract import Envelope, Event
from tests.connectors.shopify.test_any_order import EXAMPLE, RULES, SHOP

LINES = 500


def _mapped(**changes):
    document = copy.deepcopy(EXAMPLE) | {"fulfillments": [], "refunds": []} | changes
    told = Envelope(
        source="shop", id="1", topic="orders/updated", kind="order", tenant=SHOP, lane="1", headers={},
        received_at=datetime(2026, 11, 20, 14, tzinfo=UTC), raw=json.dumps(document).encode(),
    )  # fmt: skip
    return RULES.apply(told, "hellotext")


def _placed(**changes):
    (event,) = (each for each in _mapped(**changes) if isinstance(each, Event) and each.fact == "order.placed")
    return event.give


def _lines(now):
    line = EXAMPLE["line_items"][0] | {"variant_id": None, "quantity": 2, "price": "1.00", "discount_allocations": []}
    price = {"shop_money": {"amount": "1.00", "currency_code": "EUR"}, "presentment_money": {"amount": "0.80"}}
    return [
        line | {"id": n, "product_id": n, "current_quantity": now(n), "price_set": price} for n in range(1, LINES + 1)
    ]


def test_an_order_of_many_lines_of_which_all_came_back_is_told():
    back = [{"id": n, "line_item_id": n, "quantity": 2} for n in range(1, LINES + 1)]
    moved = {"kind": "refund", "status": "success", "amount": "800.00", "currency": "GBP"}
    refund = {"id": 1, "created_at": "2026-11-20T14:30:00Z", "transactions": [moved], "refund_line_items": back}
    give = _placed(line_items=_lines(lambda _: 0), refunds=[refund], total_price="1000.00", current_total_price="0.00")
    assert Decimal("1000.00") == give["amount"]
    assert LINES == len(give["object_parameters"]["items"])


def test_an_order_of_many_lines_of_which_an_edit_took_the_half_is_told():
    give = _placed(line_items=_lines(lambda n: n % 2), total_price="1000.00", current_total_price="250.00")
    assert Decimal("250.00") == give["amount"]
    assert {1} == {item["quantity"] for item in give["object_parameters"]["items"]}
    assert LINES // 2 == len(give["object_parameters"]["items"])


def test_an_order_of_many_lines_of_which_some_were_taken_and_some_came_back_is_told():
    back = [{"id": n, "line_item_id": n, "quantity": 2} for n in range(2, LINES + 1, 2)]
    moved = {"kind": "refund", "status": "success", "amount": "400.00", "currency": "GBP"}
    refund = {"id": 1, "created_at": "2026-11-20T14:30:00Z", "transactions": [moved], "refund_line_items": back}
    sums = {"total_price": "1000.00", "subtotal_price": "1000.00", "current_total_price": "250.00"}
    sums |= {"taxes_included": True, "total_shipping_price_set": {"shop_money": {"amount": "0.00"}}}
    give = _placed(line_items=_lines(lambda n: n % 2), refunds=[refund], **sums)
    assert Decimal("750.00") == give["amount"]
    assert {1: LINES // 2, 2: LINES // 2} == Counter(item["quantity"] for item in give["object_parameters"]["items"])


@pytest.mark.parametrize("total", ["131.00", "10.10"])
def test_a_total_that_alone_differs_from_what_is_due_now_is_no_edit(total):
    assert Decimal(total) == _placed(total_price=total)["amount"]


@pytest.mark.parametrize(
    "other", [{"current_subtotal_price": "10.00"}, {"current_total_tax": "1.00"}, {"current_subtotal_price": None}]
)
def test_what_is_due_now_is_the_amount_where_another_sum_differs_too(other):
    assert Decimal("60.00") == _placed(current_total_price="60.00", **other)["amount"]
