"""How much of a document is read. That rules say the same as of the whole of it is kept by test_properties.py."""

import json

import pytest

from bridge.contract import Event
from bridge.mapping.projection import decoder
from tests.mapping.rules_of import DOCUMENT, envelope, rules

HEAD = "placed: {for: order, at: = order.created_at, give: {action: order.placed, data: "


def _read(give, document, *, head=HEAD):
    """What is read of it for this, apart from `created_at`."""
    group = rules(f"{head}{give}}}}}")._groups["order", "api"]
    found = decoder(group.rules)(json.dumps(document).encode())
    return {name: value for name, value in found.items() if name != "created_at"}


LINES = [{"id": 1, "name": "a", "quantity": 2, "properties": []}, {"id": 2, "name": "b", "quantity": 0}]

WHOLE = {"id": 1, "extra": {"deep": [1], "more": 2}, "customer": {"email": "x", "id": 7}, "line_items": LINES}


@pytest.mark.parametrize(
    ("give", "read"),
    [
        ("= order.id", {"id": 1}),
        ("= order.customer.email", {"customer": {"email": "x"}}),
        ("= order.customer", {"customer": {"email": "x", "id": 7}}),
        ("'= order.line_items[0].name'", {"line_items": [{"name": "a"}, {"name": "b"}]}),
        ("'= order.line_items[1:][0].id'", {"line_items": [{"id": 1}, {"id": 2}]}),
        ("= sum(x.quantity for x in order.line_items)", {"line_items": [{"quantity": 2}, {"quantity": 0}]}),
        ("= count(order.line_items)", {"line_items": LINES}),
        ("= has(order.customer) and order.customer.id > 0", {"customer": {"id": 7}}),
        ("'= default(order.billing_address, order.customer.default_address).phone'", {"customer": {}}),
        ("{each: = list(x for x in order.line_items if x.id > 1), as: y, give: {n: = y.name}}",
         {"line_items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}),
        ("{each: '= flat([order.line_items, order.line_items[1:]])', as: y, give: {n: = y.name}}",
         {"line_items": LINES}),
        ("{each: = flat(x.properties for x in order.line_items if x.quantity > 0), as: y, give: {n: = y.name}}",
         {"line_items": [{"quantity": 2, "properties": []}, {"quantity": 0}]}),
        ("= any(p.value == p.name for p in list(p for x in order.line_items for p in x.properties))",
         {"line_items": [{"properties": []}, {}]}),
        ("= doc.extra.deep", {"extra": {"deep": [1]}}),
        ("= doc", WHOLE),
    ],
)  # fmt: skip
def test_what_rules_do_not_look_at_is_skipped(give, read):
    assert read == _read(give, WHOLE)


@pytest.mark.parametrize("customer", ["text", 7, [{"email": "x"}], None, True])
def test_a_document_that_is_built_otherwise_is_read_whole_or_as_it_is(customer):
    document = {"customer": customer, "unread": 1}
    whole = {"customer": customer} if customer is None else document
    assert whole == _read("= order.customer.email", document)


def test_elements_of_one_name_in_two_rules_are_read_in_both_lists():
    found = rules(
        HEAD + "{each: = order.line_items, as: x, give: {n: = x.name}}}}\n"
        "refunded: {for: order, each: = order.refunds, as: x, at: = x.created_at, once: = x.id, "
        "give: {action: refund.received}}"
    )
    document = DOCUMENT | {"refunds": [{"id": 5, "created_at": DOCUMENT["created_at"], "note": "unread"}]}
    steps = found.apply(envelope(json.dumps(document).encode()), "api")
    assert [True, True] == [isinstance(step, Event) for step in steps]
    read = decoder(found._groups["order", "api"].rules)(json.dumps(document).encode())
    assert [{"id": 5, "created_at": DOCUMENT["created_at"]}] == read["refunds"]


def test_text_that_is_skipped_must_be_text_all_the_same():
    (step,) = rules(HEAD + "= order.id}}").apply(envelope(b'{"id": 1, "unread": "\xff"}'), "api")
    assert "not JSON" in step.message
