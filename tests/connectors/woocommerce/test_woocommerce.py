"""WooCommerce at the door: pings, signatures, and bodies that are no order."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from multidict import CIMultiDict
from pydantic import ValidationError

from bridge.contract import HttpArrival
from bridge.errors import Answered, Malformed, NotAuthentic
from connectors.woocommerce import Woocommerce, instant

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[3] / "connectors/woocommerce/examples"
SHOP = "shop.example.com"


def made(shops=None, *, secret="wc-test-secret-0042"):
    return Woocommerce.model_validate(
        {"shops": shops or {SHOP: {"secrets": ["env:S"]}}}, context={"environ": {"S": secret, "T": "another"}}
    )


def came(body, headers):
    return HttpArrival(source="shop", headers=CIMultiDict(headers), body=body, received_at=NOON)


def taken(document, *, topic="order.updated"):
    source, body = made(), json.dumps(document).encode()
    arrival = came(body, source.sign(body, topic=topic, tenant=None, delivery_id="d"))
    return source.read(arrival, source.verify(arrival))


@pytest.mark.parametrize(
    ("name", "shop", "signature"),
    [
        ("order", SHOP, "J33GrvWszh1RISrdpAa1JAPLXMVxu6tXLZtwGtpf2bM="),
        ("refunded-guest", "us.example.com", "KH103puPzQzhyZ7MdW0lXJ0B4qepQen3s7HiaFugTZ4="),
    ],
)
def test_an_order_as_php_writes_it_has_the_signature_of_the_contract(name, shop, signature):
    document = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    body = json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()
    headers = {"X-WC-Webhook-Source": f"https://{shop.upper()}/", "X-WC-Webhook-Signature": signature}
    source = made({shop: {"secrets": ["env:S"]}})
    assert shop == source.verify(came(body, headers)).tenant
    assert f"{shop}: secret 1 of 1 (env:S)" == source.fitting_secret(body, tenant=None, signature=signature)
    with pytest.raises(NotAuthentic, match="no secret of shop"):
        source.verify(came(body.replace(b"\\/", b"/"), headers))


def test_a_ping_is_answered_and_anything_else_unsigned_is_refused():
    with pytest.raises(Answered) as answered:
        made().verify(came(b"webhook_id=15", {}))
    assert 200 == answered.value.status
    for body, headers in (
        (b"webhook_id=15&x=1", {}),
        (b"webhook_id=", {}),
        (b"webhook_id=15", {"X-WC-Webhook-Signature": ""}),
        (b"webhook_id=15", {"X-WC-Webhook-Signature": "x", "X-WC-Webhook-Source": f"https://{SHOP}/"}),
        (b"{}", {"X-WC-Webhook-Source": f"https://{SHOP}/"}),
    ):
        with pytest.raises(NotAuthentic):
            made().verify(came(body, headers))


def test_a_copy_of_the_shop_at_another_address_is_refused():
    source = made()
    headers = {**source.sign(b"{}", topic="order.updated", tenant=None, delivery_id="d")}
    with pytest.raises(NotAuthentic, match="staging"):
        source.verify(came(b"{}", {**headers, "X-WC-Webhook-Source": "https://staging.example.com/"}))


def test_an_order_is_named_by_its_id_and_by_who_bought():
    billing = {"email": "Ada@Example.com", "phone": "+49 30 1"}
    order = {
        "id": 7,
        "number": "EX-7",
        "status": "processing",
        "currency": "EUR",
        "customer_id": 31,
        "billing": billing,
    }
    found = taken({**order, "date_modified_gmt": "2026-11-20T13:05:41"})
    assert ("order", "7", 13) == (found.kind, found.lane, found.version.hour)
    assert ("#EX-7", "customer:31", "email:ada@example.com", "phone:+49 30 1") == found.aliases
    assert ("#EX-7",) == taken({**order, "customer_id": 0, "billing": []}).aliases


@pytest.mark.parametrize("topic", ["order.deleted", "order.updated"])
def test_an_id_alone_is_a_deletion_whatever_topic_it_claims(topic):
    assert ("order_deletion", "1042") == ((found := taken({"id": 1042}, topic=topic)).kind, found.lane)


def test_documents_of_other_topics_have_lanes_of_their_own():
    found = taken({"id": 1042, "email": "x"}, topic="customer.updated")
    assert ("customer", True) == (found.kind, found.lane.startswith("body:"))
    assert "action" == taken({"action": "x", "arg": 1042}, topic="action.woocommerce_payment_complete").kind


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"code": "woocommerce_rest_cannot_view", "message": "?", "data": {"status": 401}}, "make the webhook anew"),
        ({"order": {"id": 7}}, "API version to v3"),
        ({"id": 7, "status": "processing", "line_items": []}, "API version to v3"),
        ({"id": "7", "status": "processing"}, "no number"),
        ({"id": 0}, "no number"),
        ([], "no JSON object"),
    ],
)
def test_a_body_that_is_no_order_says_what_to_do(document, said):
    with pytest.raises(Malformed, match=said):
        taken(document)


def test_a_time_with_a_zone_or_none_is_no_version():
    assert datetime(2026, 11, 20, 13, 5, 41, tzinfo=UTC) == instant("2026-11-20T13:05:41")
    assert [None] * 4 == [instant(text) for text in ("2026-11-20T13:05:41Z", "", None, "0000-00-00")]


@pytest.mark.parametrize(
    ("shops", "said"),
    [
        ({"https://Shop.example.com/": {"secrets": ["env:S"]}}, "write the shop as shop.example.com"),
        ({SHOP: {"secrets": ["env:S"]}, "b.example": {"secrets": ["env:T", "env:S"]}}, "the same secret"),
        ({SHOP: {"secrets": []}}, "at least 1 item"),
    ],
)
def test_shops_that_could_be_mistaken_are_refused(shops, said):
    with pytest.raises(ValidationError, match=said):
        made(shops)
