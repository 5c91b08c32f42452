"""The default rules on the contract's order: what the API is told of it, and what is left out when it is not known."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from bridge.contract import Envelope, Event, Reason, Secret
from bridge.mapping.loader import load
from bridge.mapping.rules import Passed, Rules, Written, compile_rules
from connectors.hellotext import Hellotext
from connectors.shopify import Shopify

FOLDER = Path(__file__).parents[3] / "connectors" / "shopify"
SHOP = Shopify(shops={"example-linen.myshopify.com": {"secrets": [Secret("hush")]}})
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAID = json.loads((FOLDER / "examples" / "order.json").read_text(encoding="utf-8"), parse_float=str)
SESSION = "5f0c7f3c-0000-4000-8000-000000001042"


@pytest.fixture(scope="module")
def rules() -> Rules:
    place = FOLDER / "rules" / "default.yaml"
    document = load(place.read_text(encoding="utf-8"), str(place))
    written = [
        Written(
            name=name, body=body, file=str(place), where=lambda path, name=name: document.where(["rules", name, *path])
        )
        for name, body in document.value["rules"].items()
    ]
    shape = Hellotext(token=Secret("t")).shape()
    return compile_rules(written, kinds=SHOP.kinds(), topics=SHOP.topics(), destinations={"hellotext": shape})


def said(rules, **changes):
    """The events by the names of their rules, and why the others gave none."""
    raw = json.dumps({**PAID, **changes}).encode()
    envelope = Envelope(
        source="shop", id="1", topic="orders/updated", kind="order", tenant="t", lane="6042", received_at=NOON, raw=raw
    )
    steps = rules.apply(envelope, "hellotext")
    return {step.rule: step for step in steps}


def given(rules, **changes):
    step = said(rules, **changes)["placed"]
    assert isinstance(step, Event), step
    return step.give


def test_a_paid_order_was_placed_and_confirmed_and_not_cancelled(rules):
    steps = said(rules)
    assert isinstance(steps["placed"], Event)
    assert isinstance(steps["confirmed"], Event)
    assert Passed("cancelled", Reason.NOT_TRUE) == steps["cancelled"]


def test_the_whole_of_what_is_told(rules):
    piece = {"source": "shopify"}
    assert {
        "action": "order.placed",
        "person": {"email": "ada.sample@example.com", "first_name": "Ada", "last_name": "Sample"},
        "session": SESSION,
        "object_parameters": {
            "reference": "6042000000001",
            "source": "shopify",
            "name": "#1042",
            "delivery": "deliver",
            "items": [
                {
                    "product": {
                        **piece,
                        "reference": "45042000000001",
                        "name": "Linen shirt - M / Sand",
                        "sku": "LIN-SH-M-SA",
                    },
                    "quantity": 2,
                    "price": {"amount": Decimal("36.00"), "currency": "EUR"},
                },
                {
                    "product": {**piece, "reference": "45042000000002", "name": "Gift wrap", "sku": "WRAP"},
                    "quantity": 1,
                    "price": {"amount": Decimal("4.50"), "currency": "EUR"},
                },
            ],
        },
        "amount": Decimal("99.00"),
        "currency": "EUR",
    } == given(rules)


@pytest.mark.parametrize(
    ("status", "is_confirmed"),
    [
        ("pending", False),
        ("authorized", False),
        ("partially_paid", False),
        ("paid", True),
        ("partially_refunded", True),
        ("refunded", True),
        ("voided", False),
        (None, False),
    ],
)
def test_paid_is_a_lasting_condition(rules, status, is_confirmed):
    assert is_confirmed is isinstance(said(rules, financial_status=status)["confirmed"], Event)


def test_a_cancelled_order_says_when(rules):
    at = said(rules, cancelled_at="2026-11-21T09:00:00+01:00")["cancelled"].at
    assert datetime(2026, 11, 21, 8, tzinfo=UTC) == at


def test_an_order_was_placed_when_it_was_made_and_an_imported_one_when_it_was_sold(rules):
    assert datetime(2026, 11, 20, 13, 5, 33, tzinfo=UTC) == said(rules)["placed"].at
    imported = said(rules, processed_at="2026-11-10T14:05:31+01:00")["placed"]
    assert datetime(2026, 11, 10, 13, 5, 31, tzinfo=UTC) == imported.at


@pytest.mark.parametrize(
    "places",
    [
        {"note_attributes": [{"name": "_hello_session", "value": SESSION}]},
        {"note_attributes": [{"name": "__hello_session", "value": SESSION}]},
        {"note_attributes": [{"name": "hello_session", "value": "undefined"}]},
        {"note_attributes": [], "line_items": [], "landing_site": f"/?utm_source=x&hello_session={SESSION}"},
        {"note_attributes": None},
    ],
)
def test_the_session_is_looked_for_in_its_places(rules, places):
    assert SESSION == given(rules, **places).get("session")


def test_without_a_session_and_contact_data_neither_is_told(rules):
    absent = dict.fromkeys(("email", "contact_email", "phone", "customer", "billing_address", "shipping_address"))
    give = given(rules, note_attributes=[], line_items=[], **absent)
    assert set() == {"person", "session"} & give.keys()


def test_a_guest_at_the_till_has_empty_text_for_an_email(rules):
    give = given(
        rules, email="", contact_email="", customer=None, phone="", billing_address=None, shipping_address=None
    )
    assert "person" not in give


def test_a_phone_number_is_told_as_e164_by_the_addresss_country(rules):
    address = {"phone": "020 7946 0000", "country_code": "GB"}
    give = given(rules, phone=None, customer=None, shipping_address=address)
    assert "+442079460000" == give["person"]["phone"]


def test_discounts_that_do_not_divide_are_rounded_to_the_minor_unit(rules):
    line = {**PAID["line_items"][0], "quantity": 3, "price": "10.00", "discount_allocations": [{"amount": "1.00"}]}
    (item,) = given(rules, line_items=[line])["object_parameters"]["items"]
    assert Decimal("9.67") == item["price"]["amount"]


def test_a_line_without_product_discounts_or_sku_is_told(rules):
    line = {"id": 15, "title": "Custom work", "quantity": 1, "price": "10.00", "sku": ""}
    (item,) = given(rules, line_items=[line])["object_parameters"]["items"]
    assert {"reference": "15", "source": "shopify", "name": "Custom work"} == item["product"]
    assert Decimal("10.00") == item["price"]["amount"]
