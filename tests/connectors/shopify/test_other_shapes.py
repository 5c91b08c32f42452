"""Orders as exporters of other languages write them: what is optional never keeps the order from going out."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from multidict import CIMultiDict

from bridge.config import read
from bridge.contract import Event, HttpArrival, Verified
from bridge.mapping.rules import Failure

EXAMPLE = json.loads((Path(__file__).parents[3] / "connectors/shopify/examples/order.json").read_text())
SHOP = "example-linen.myshopify.com"
CONFIG = f"""
sources: {{shop: {{connector: shopify, shops: {{{SHOP}: {{secrets: [env:S]}}}}}}}}
destinations: {{hellotext: {{connector: hellotext, token: env:T}}}}
include: [shopify/default]
rules: {{redeemed: true}}
"""
SETTINGS = read(CONFIG, file="bridge.yaml", environ={"S": "s", "T": "t"})


def steps(order):
    """What the rules say of an order that came in at the door."""
    headers = {"X-Shopify-Topic": "orders/updated", "X-Shopify-Webhook-Id": "1"}
    arrival = HttpArrival(
        source="shop",
        headers=CIMultiDict(headers),
        body=json.dumps(order).encode(),
        received_at=datetime(2026, 11, 22, 8, tzinfo=UTC),
    )
    return SETTINGS.rules.apply(SETTINGS.sources["shop"].read(arrival, Verified(tenant=SHOP, secret=0)), "hellotext")


def with_(place, value):
    order = copy.deepcopy(EXAMPLE)
    *path, last = place
    holder = order
    for key in path:
        holder = holder[key]
    holder[last] = value
    return order


def facts(order):
    return {step.fact for step in steps(order) if isinstance(step, Event)}


def placed(order):
    return next(step.give for step in steps(order) if isinstance(step, Event) and step.fact == "order.placed")


LISTS = (
    *(("note_attributes",), ("discount_codes",), ("shipping_lines",), ("fulfillments",), ("refunds",)),
    *(("line_items", 0, "properties"), ("line_items", 0, "discount_allocations"), ("line_items", 0, "tax_lines")),
)
MAPPINGS = (("customer",), ("shipping_address",), ("billing_address",), ("customer", "default_address"))
TEXTS = (
    *(("email",), ("contact_email",), ("phone",), ("name",), ("landing_site",), ("customer", "first_name")),
    *(("customer", "email"), ("billing_address", "phone"), ("shipping_address", "country_code")),
    *(("billing_address", "name"), ("line_items", 0, "sku"), ("cancelled_at",)),
)
IDS = (("line_items", 0, "variant_id"), ("line_items", 0, "product_id"), ("customer", "id"))


@pytest.mark.parametrize("place", [*LISTS, *MAPPINGS, *TEXTS, *IDS], ids=str)
@pytest.mark.parametrize("nothing", [{}, [], "", False], ids=json.dumps)
def test_nothing_is_nothing_however_it_is_written(place, nothing):
    told, as_null = steps(with_(place, nothing)), steps(with_(place, [] if place in LISTS else None))
    assert [] == [step for step in told if isinstance(step, Failure)]
    assert as_null == told


@pytest.mark.parametrize(
    ("place", "odd"),
    [
        (("note_attributes",), "gift"),
        (("line_items", 0, "properties"), "engraved"),
        (("line_items", 0, "properties"), 7),
        (("email",), ["ada@example.com"]),
        (("phone",), {"number": "+442079460018"}),
        (("name",), {"of": "it"}),
        (("landing_site",), ["/"]),
        (("customer",), "Ada Sample"),
        (("customer",), [7042]),
        (("customer", "first_name"), ["Ada"]),
        (("customer", "default_address"), "1 Linen Street"),
        (("billing_address",), "1 Linen Street"),
        (("shipping_address",), ["1 Linen Street"]),
        (("shipping_address", "country_code"), True),
        (("line_items", 0, "sku"), ["a"]),
    ],
)
def test_what_is_optional_and_of_another_shape_is_left_out_and_the_order_goes_out(place, odd):
    assert {"order.placed", "order.confirmed"} <= facts(with_(place, odd))
    assert [] == [step for step in steps(with_(place, odd)) if isinstance(step, Failure)]


@pytest.mark.parametrize(
    ("place", "odd", "sentence"),
    [
        (("total_price",), {}, "order.total_price is a mapping, not a number"),
        (("total_price",), [], "order.total_price is a list, not a number"),
        (("line_items", 0, "price"), ["1"], "line.price is a list, not a number"),
        (("line_items", 0, "discount_allocations"), "none", "line.discount_allocations is text, not a list"),
        (("line_items", 0, "quantity"), {"of": 2}, "line.quantity is a mapping, not a number"),
        (("line_items", 0, "quantity"), {}, "line.quantity is null"),
        (("line_items", 0, "quantity"), None, "line.quantity is null"),
        (("line_items", 0, "price"), None, "line.price is null"),
        (("currency",), {}, "order.currency is null"),
    ],
)
def test_money_that_cannot_be_read_fails_and_says_so(place, odd, sentence):
    order = with_(place, odd)
    if place == ("currency",):
        order["presentment_currency"] = order["total_price_set"] = None
    failures = {step.fact: step.message for step in steps(order) if isinstance(step, Failure)}
    assert sentence in failures["order.placed"]
    assert "order.placed" not in facts(order)


@pytest.mark.parametrize(
    ("place", "pairs"),
    [
        (("note_attributes",), {"hello_session": "abc"}),
        (("note_attributes",), {"name": "hello_session", "value": "abc"}),
        (("line_items", 0, "properties"), {"_hello_session": "abc"}),
    ],
)
def test_pairs_may_be_a_mapping(place, pairs):
    order = with_(("note_attributes",), [])
    order["landing_site"] = None
    order["line_items"][0]["properties"] = []
    assert "session" not in placed(order)
    holder = order if len(place) == 1 else order["line_items"][0]
    holder[place[-1]] = pairs
    assert "abc" == placed(order)["session"]


def test_a_line_with_odd_properties_does_not_hide_the_session_of_another():
    order = with_(("note_attributes",), "gift")
    order["landing_site"] = None
    order["line_items"] = [
        copy.deepcopy(EXAMPLE["line_items"][0]) | {"id": number, "properties": properties}
        for number, properties in enumerate(["odd", [{"name": "_hello_session", "value": "abc"}]])
    ]
    assert "abc" == placed(order)["session"]


def test_an_order_over_the_counter_with_an_address_of_nothing_is_handed_over_at_once():
    order = with_(("shipping_lines",), []) | {"source_name": "pos"}
    for nothing in (None, [], {}, ""):
        assert "collect" == placed(order | {"shipping_address": nothing})["object_parameters"]["delivery"]


def test_a_long_order_with_odd_parts_goes_out_too():
    """Looking for reasons one by one would take too long of it."""
    order = with_(("email",), ["ada@example.com"])
    order["line_items"] = [copy.deepcopy(EXAMPLE["line_items"][0]) | {"id": n, "sku": {"a": n}} for n in range(500)]
    assert {"order.placed", "order.confirmed"} <= facts(order)
