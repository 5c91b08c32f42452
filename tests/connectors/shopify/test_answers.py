"""Files as people get them from Shopify's REST API: each document in them by itself, in its own bytes."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from multidict import CIMultiDict

from bridge.contract import HttpArrival, Payload, Verified
from bridge.errors import Malformed
from bridge.setting_types import Secret
from connectors.shopify import Shopify, identity
from connectors.shopify.answers import unpacked

EXAMPLES = Path(__file__).parents[3] / "connectors/shopify/examples"
TOPICS = msgspec.yaml.decode((EXAMPLES / "topics.yaml").read_bytes())
SHOP = "example.myshopify.com"
ORDER = b'{"id": 6042, "line_items": [], "financial_status": "paid", "total_price": 46.00}'
OTHER = b'{ "id": 6043, "line_items": [], "financial_status": null, "note": "\\ud83d" }'


def read(body, topic="orders/create"):
    arrival = HttpArrival(
        source="shop",
        headers=CIMultiDict({"X-Shopify-Topic": topic, "X-Shopify-Webhook-Id": "1"}),
        body=body,
        received_at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    source = Shopify(shops={SHOP: {"secrets": [Secret("s")]}})
    return source.read(arrival, Verified(tenant=SHOP, secret=0))


def test_an_order_in_its_answer_is_that_order():
    assert [Payload(body=ORDER, topic="orders/create", place="order")] == unpacked(b'{"order": ' + ORDER + b" }")


def test_several_orders_are_several_documents_with_their_places():
    found = unpacked(b'{"orders": [' + ORDER + b" ,\n" + OTHER.replace(b"\\ud83d", b"x") + b"]}")
    assert ["orders[0]", "orders[1]"] == [each.place for each in found]
    assert [ORDER, OTHER.replace(b"\\ud83d", b"x")] == [each.body for each in found]


def test_a_plain_list_is_its_documents_each_known_by_its_shape():
    refund = b'{"id": 9, "order_id": 6042, "refund_line_items": []}'
    found = unpacked(b"[" + ORDER + b"," + refund + b", {}]")
    assert [(ORDER, "orders/create", "[0]"), (refund, "refunds/create", "[1]"), (b"{}", "", "[2]")] == [
        (each.body, each.topic, each.place) for each in found
    ]


def test_an_answer_with_no_order_holds_no_document():
    assert [] == unpacked(b'{"orders": []}')


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"null", b"7", b'"text"', b"[]", b"[1]", b"{}", b'{"order": 7}', b'{"orders": [7]}', b'"\xff"'),
        *(b"[" * 200_000, b'{"order_edit": {"order_id": 6042}}', b'{"customer": {}, "shop_domain": "a"}'),
        *(b'[{"\xff": 1}]', b'[{"id": 1}, {"\xff": 1}]'),  # found by a flood of documents
    ],
)
def test_whatever_is_no_answer_is_one_document_as_it_is(body):
    assert [Payload(body=body)] == unpacked(body)


@pytest.mark.parametrize("name", sorted(name for name in TOPICS if not name.startswith(("customers_", "shop_"))))
def test_a_document_is_known_by_its_shape(name):
    (found,) = unpacked((EXAMPLES / name).read_bytes())
    assert (EXAMPLES / name).read_bytes() == found.body
    expected = "" if name == "orders_edited.json" else identity.TOPICS[TOPICS[name]]
    assert expected == identity.TOPICS.get(found.topic, "")


@pytest.mark.parametrize("name", sorted(name for name in TOPICS if name.startswith(("customers_", "shop_"))))
def test_what_would_erase_somebody_is_never_guessed(name):
    (found,) = unpacked((EXAMPLES / name).read_bytes())
    assert ("", "") == (found.topic, found.place)


def test_a_signed_delivery_of_an_answer_with_one_order_is_that_order():
    for body in (b'{"order": ' + ORDER + b"}", b'{"orders": [' + ORDER + b"]}"):
        envelope = read(body)
        assert ("order", "6042", ORDER) == (envelope.kind, envelope.lane, envelope.raw)


def test_a_delivery_of_several_orders_says_what_to_do():
    with pytest.raises(Malformed) as refusal:
        read(json.dumps({"orders": [{"id": 1}, {"id": 2}]}).encode())
    assert "orders/create: an answer of the API with 2 documents: post each of them by itself" == str(refusal.value)


def test_an_answer_of_another_kind_than_the_topic_brings_stays_unreadable():
    with pytest.raises(Malformed, match="not what orders/create brings"):
        read(b'{"draft_order": {"id": 1}}')
