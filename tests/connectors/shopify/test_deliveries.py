"""What Shopify's deliveries are taken for, and which are refused."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from multidict import CIMultiDict
from pydantic import ValidationError

from bridge.contract import HttpArrival, Reason, Verified
from bridge.errors import BridgeError, Malformed, NotAuthentic
from bridge.setting_types import Secret
from bridge.signatures import digest, signature_text
from connectors.shopify import Shopify

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINEN, WOOL = "example-linen.myshopify.com", "example-wool.myshopify.com"
EXAMPLES = Path(__file__).parents[3] / "connectors" / "shopify" / "examples"
ORDER = (EXAMPLES / "order.json").read_bytes()


def shopify(test_orders="skip") -> Shopify:
    return Shopify(
        shops={
            LINEN: {"secrets": [Secret("app secret"), Secret("notification secret")], "test_orders": test_orders},
            WOOL: {"secrets": [Secret("wool secret")]},
        }
    )


def arrival(body: bytes, **headers: str) -> HttpArrival:
    named = {f"X-Shopify-{name.replace('_', '-')}": text for name, text in headers.items()}
    return HttpArrival(source="shop", headers=CIMultiDict(named), body=body, received_at=NOON)


def read(topic: str, body: bytes, source=None, **headers: str):
    verified = Verified(tenant=LINEN, secret=0)
    headers = {"Topic": topic, "Shop_Domain": LINEN, "Webhook_Id": "b54557e4", **headers}
    return (source or shopify()).read(arrival(body, **headers), verified)


def order(**fields) -> bytes:
    return json.dumps({"id": 6042, **fields}).encode()


# -- signatures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("secret", "text"), [(0, b"app secret"), (1, b"notification secret")])
def test_any_secret_of_the_shop_may_sign_and_which_one_is_told(secret, text):
    came = arrival(ORDER, Shop_Domain=LINEN, Hmac_Sha256=signature_text(text, ORDER))
    assert Verified(tenant=LINEN, secret=secret) == shopify().verify(came)


def test_a_secret_of_another_shop_does_not_fit():
    came = arrival(ORDER, Shop_Domain=LINEN, Hmac_Sha256=signature_text(b"wool secret", ORDER))
    with pytest.raises(NotAuthentic):
        shopify().verify(came)


def test_a_wrong_signature_is_told_with_the_bodys_size_and_digest():
    came = arrival(b'{"id": 1}', Shop_Domain=LINEN, Hmac_Sha256="bm8=")
    with pytest.raises(NotAuthentic) as refusal:
        shopify().verify(came)
    assert f"no secret of shop {LINEN} matched; body 9 bytes, sha256 354aaef7a5f6" == str(refusal.value)


@pytest.mark.parametrize("signature", ["", "not base64!", "caf\udce9", "\udcff" * 44, "A" * 100_000])
def test_odd_signatures_are_refused(signature):
    with pytest.raises(NotAuthentic):
        shopify().verify(arrival(ORDER, Shop_Domain=LINEN, Hmac_Sha256=signature))


def test_a_missing_signature_is_told():
    with pytest.raises(NotAuthentic, match=r"no X-Shopify-Hmac-Sha256 header"):
        shopify().verify(arrival(ORDER, Shop_Domain=LINEN))


def test_a_shop_that_is_not_configured_is_told():
    with pytest.raises(NotAuthentic, match=r"shop 'other\.myshopify\.com' is not configured"):
        shopify().verify(arrival(ORDER, Shop_Domain="other.myshopify.com", Hmac_Sha256="bm8="))


def test_a_forged_shop_is_cut_and_quoted():
    with pytest.raises(NotAuthentic) as refusal:
        shopify().verify(arrival(ORDER, Shop_Domain="\x1b[31m\udcff" + "a" * 10_000, Hmac_Sha256="bm8="))
    assert 120 > len(str(refusal.value))
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()


def test_says_which_secret_fits_a_signature():
    made = signature_text(b"notification secret", ORDER)
    assert f"{LINEN}: secret 2 of 2" == shopify().fitting_secret(ORDER, tenant=None, signature=made)
    assert shopify().fitting_secret(ORDER, tenant=WOOL, signature=made) is None


def test_signs_for_the_first_shop_unless_told():
    source = shopify()
    for tenant, shop in ((None, LINEN), (WOOL, WOOL)):
        signed = source.sign(ORDER, topic="orders/paid", tenant=tenant, delivery_id="1")
        came = HttpArrival(source="shop", headers=CIMultiDict(signed), body=ORDER, received_at=NOON)
        assert Verified(tenant=shop, secret=0) == source.verify(came)


def test_does_not_sign_for_a_shop_that_it_does_not_know():
    with pytest.raises(BridgeError, match=r"there is: example-linen\.myshopify\.com, example-wool"):
        shopify().sign(ORDER, topic="orders/paid", tenant="x.myshopify.com", delivery_id="1")


# -- names -------------------------------------------------------------------------------------------------------------


def test_an_order_is_named_by_its_body():
    envelope = read("orders/create", ORDER, Triggered_At="2026-11-20T13:05:36.877041743Z")
    assert ("shop", "b54557e4", "orders/create", "order", LINEN, "6042000000001") == (
        envelope.source,
        envelope.id,
        envelope.topic,
        envelope.kind,
        envelope.tenant,
        envelope.lane,
    )
    assert datetime(2026, 11, 20, 13, 5, 36, tzinfo=UTC) == envelope.version
    assert datetime(2026, 11, 20, 13, 5, 36, 877041, tzinfo=UTC) == envelope.occurred_at
    assert (
        "#1042",
        "checkout:0f0e0d0c0b0a09080706050403020100",
        "customer:7042000000001",
        "email:ada.sample@example.com",
        "phone:+441632960001",
    ) == envelope.aliases
    assert envelope.reason is None


@pytest.mark.parametrize(
    ("topic", "body", "kind", "lane"),
    [
        ("orders/updated", '{"id": 7}', "order", "7"),
        ("orders/delete", '{"id": 7}', "order_deletion", "7"),
        ("orders/edited", '{"order_edit": {"id": 1, "order_id": 7}}', "order_edit", "7"),
        ("orders/risk_assessment_changed", '{"order_id": 7}', "order_risk", "7"),
        ("refunds/create", '{"id": 1, "order_id": 7}', "refund", "7"),
        ("order_transactions/create", '{"id": 1, "order_id": 7}', "transaction", "7"),
        ("fulfillments/update", '{"id": 1, "order_id": 7}', "fulfillment", "7"),
        ("fulfillment_events/create", '{"id": 1, "order_id": 7}', "fulfillment_event", "7"),
        ("checkouts/update", '{"id": 1, "token": "t0"}', "checkout", "checkout:t0"),
        ("checkouts/delete", '{"id": 1}', "checkout_deletion", "checkout_deletion:1"),
        ("carts/create", '{"id": "t0", "token": "t0"}', "cart", "cart:t0"),
        ("draft_orders/update", '{"id": 1}', "draft_order", "draft_order:1"),
        ("customers/update", '{"id": 1}', "customer", "customer:1"),
        ("customers/merge", "{}", "customer_merge", "body:" + digest(b"{}")),
        ("shop/update", '{"id": 1}', "shop", "shop:1"),
        (
            "bulk_operations/finish",
            '{"admin_graphql_api_id": "gid://x/1"}',
            "bulk_operation",
            "bulk_operation:gid://x/1",
        ),
        ("returns/request", '{"id": 1}', "returns", "body:" + digest(b'{"id": 1}')),
        ("themes/publish", "{}", "themes", "body:" + digest(b"{}")),
    ],
)
def test_each_topic_has_its_kind_and_lane(topic, body, kind, lane):
    envelope = read(topic, body.encode())
    assert (kind, lane) == (envelope.kind, envelope.lane)


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("orders/create", "[]"),
        ("orders/create", '"text"'),
        ("orders/create", ""),
        ("orders/create", "{"),
        ("orders/create", "{}"),
        ("orders/create", '{"id": "6042"}'),
        ("orders/create", '{"id": true}'),
        ("orders/create", '{"id": 0}'),
        ("orders/create", '{"id": null}'),
        ("orders/edited", '{"id": 7}'),
        ("orders/edited", '{"order_edit": {"id": 7}}'),
        ("refunds/create", '{"id": 7}'),
        ("fulfillments/create", '{"id": 7}'),
        ("carts/create", '{"token": ""}'),
        ("carts/create", '{"token": "a\\u0000b"}'),
        ("customers/redact", '{"customer": {}}'),
        ("themes/publish", "[]"),
        ("", '{"id": 7}'),
        ("orders", '{"id": 7}'),
        ("Orders/Create", '{"id": 7}'),
    ],
)
def test_a_body_that_its_topic_does_not_bring_is_malformed(topic, body):
    with pytest.raises(Malformed):
        read(topic, body.encode())


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"id": 7, "x": ' + b"[" * 200_000, b'{"id": 7, "x": "\xff"}'])
def test_what_cannot_be_read_is_malformed_also_in_what_is_skipped(body):
    with pytest.raises(Malformed):
        read("orders/create", body)


def test_a_malformed_body_is_not_quoted():
    with pytest.raises(Malformed) as refusal:
        read("orders/create", b'{"id": "ada@example.com"}')
    assert "not what orders/create brings: Expected `int`, got `str` - at `$.id`" == str(refusal.value)


def test_unsigned_text_that_cannot_be_stored_names_nothing():
    envelope = read(
        "orders/create", ORDER, Webhook_Id="\udcff", Event_Id="e" * 300, Name="caf\udce9", API_Version="2026-10"
    )
    assert 64 == len(envelope.id)
    assert {"x-shopify-topic", "x-shopify-shop-domain", "x-shopify-api-version"} == set(envelope.headers)


def test_the_signature_is_not_kept():
    assert "x-shopify-hmac-sha256" not in read("orders/create", ORDER, Hmac_Sha256="bm8=").headers


def test_without_a_delivery_id_the_same_delivery_has_the_same_one():
    first, again = read("orders/create", ORDER, Webhook_Id=""), read("orders/create", ORDER, Webhook_Id="")
    assert first.id == again.id
    assert first.id != read("orders/paid", ORDER, Webhook_Id="").id
    assert first.id != read("orders/create", ORDER + b" ", Webhook_Id="").id


@pytest.mark.parametrize("updated_at", [None, "", "yesterday", "2026-11-20", "2026-11-20T14:05:36", 7, []])
def test_without_a_time_of_change_an_order_is_unversioned(updated_at):
    envelope = read("orders/create", order(updated_at=updated_at), Triggered_At="2026-11-20T13:05:36Z")
    assert envelope.version is None
    assert datetime(2026, 11, 20, 13, 5, 36, tzinfo=UTC) == envelope.occurred_at


def test_without_the_trigger_time_it_happened_when_the_order_changed():
    envelope = read("orders/create", ORDER, Triggered_At="soon")
    assert envelope.version == envelope.occurred_at


def test_absent_or_odd_contact_data_refuses_no_order():
    assert () == read("orders/create", order(email=None, phone=7.5, name=[], customer=None)).aliases
    assert () == read("orders/create", order(email="", phone=" ", checkout_token={})).aliases


@pytest.mark.parametrize("odd", [[], "x", 7, 7.5, True, [{"phone": "+441632960001"}]])
def test_what_is_no_address_where_one_is_expected_refuses_no_order(odd):
    body = order(email="a@example.com", phone=None, shipping_address=odd, billing_address=odd)
    assert ("email:a@example.com",) == read("orders/create", body).aliases


@pytest.mark.parametrize(
    ("typed", "country", "found"),
    [
        ("020 7946 0999", "GB", {"phone:020 7946 0999", "phone:+442079460999"}),
        ("020 7946 0999", "gb", {"phone:020 7946 0999", "phone:+442079460999"}),
        ("+44 20 7946 0999", "US", {"phone:+44 20 7946 0999"}),
        ("0044 20 7946 0999", "GB", {"phone:0044 20 7946 0999"}),
        ("12", "GB", {"phone:12"}),
        ("020 7946 0999", None, {"phone:020 7946 0999"}),
        ("020 7946 0999", 44, {"phone:020 7946 0999"}),
        ("ask my neighbour " * 9, "GB", {"phone:" + ("ask my neighbour " * 9).strip()}),
    ],
)
@pytest.mark.parametrize("place", ["shipping_address", "billing_address"])
def test_a_phone_that_stands_in_an_address_names_the_order(place, typed, country, found):
    given = {"shipping_address": None, "billing_address": None, place: {"phone": typed, "country_code": country}}
    assert found == set(read("orders/create", order(email=None, phone=None, customer=None, **given)).aliases)


def test_a_phone_in_an_address_is_somebody_elses_where_the_order_has_its_own():
    given = {"shipping_address": {"country_code": "GB", "phone": "020 7946 0999"}}
    assert ("phone:+442079460001",) == read("orders/create", order(phone="+442079460001", **given)).aliases


def test_every_number_by_which_the_default_rules_may_send_finds_the_order():
    buyers = {
        "billing_address": {"country_code": "GB", "phone": "020 7946 0111"},
        "customer": {"default_address": {"country_code": "GB", "phone": "020 7946 0222"}},
    }
    aliases = read("orders/create", order(phone="call me", **buyers)).aliases
    assert {"phone:+442079460111", "phone:+442079460222"} <= set(aliases)
    parcel = {"billing_address": None, "shipping_address": {"country_code": "GB", "phone": "020 7946 0333"}}
    assert "phone:+442079460333" in read("orders/create", order(phone="call me", **parcel)).aliases


def test_a_number_without_a_country_is_one_of_each_country_that_the_addresses_name():
    given = {"shipping_address": {"country_code": "FR"}, "billing_address": {"country_code": "CH", "phone": None}}
    aliases = read("orders/create", order(email=None, phone="02 99 00 00 00", customer=None, **given)).aliases
    assert {"phone:02 99 00 00 00", "phone:+33299000000"} == set(aliases)


@pytest.mark.parametrize(
    ("topic", "place"), [("draft_orders/create", "shipping_address"), ("fulfillments/create", "destination")]
)
def test_a_phone_in_the_address_of_another_document_names_it(topic, place):
    body = {"id": 5, "order_id": 6, place: {"phone": "020 7946 0999", "country_code": "GB"}}
    assert {"phone:020 7946 0999", "phone:+442079460999"} == set(read(topic, json.dumps(body).encode()).aliases)


def test_every_way_to_a_person_is_an_alias_once():
    body = order(email="Ada@Example.com", contact_email="ada@example.com", customer={"id": 7, "email": "a@example.com"})
    assert ("customer:7", "email:ada@example.com", "email:a@example.com") == read("orders/create", body).aliases


@pytest.mark.parametrize("topic", ["draft_orders/create", "fulfillments/create", "checkouts/create", "brand_new/thing"])
def test_whatever_names_a_person_is_found_by_it(topic):
    body = json.dumps(
        {"id": 5, "order_id": 6, "token": "t", "email": "ADA@example.com", "customer": {"id": 7, "phone": "+4416"}}
    ).encode()
    assert {"customer:7", "email:ada@example.com", "phone:+4416"} <= set(read(topic, body).aliases)


@pytest.mark.parametrize(
    ("topic", "more"),
    [
        ("shop/redact", {"customer": {"id": 7}, "orders_requested": [1], "data_request": {"id": 9}}),
        ("customers/redact", {"customer": {"id": 7}, "orders_requested": [1], "data_request": {"id": 9}}),
        ("shop/redact", {"customer": {"id": 7}, "orders_to_redact": []}),
        ("customers/redact", {}),
        ("customers/redact", {"customer": {"id": 7}}),
        ("shop/redact", {"customer": None, "orders_requested": None, "data_request": None}),
        ("shop/redact", {"customer": None}),
        ("customers/data_request", {"customer": {"id": 7}, "orders_to_redact": []}),
    ],
)
def test_a_request_is_not_taken_for_another_by_an_unsigned_header(topic, more):
    body = json.dumps({"shop_id": 1, "shop_domain": LINEN, **more}).encode()
    with pytest.raises(Malformed, match="the body is one of"):
        read(topic, body)


def test_a_document_without_an_order_is_named_by_what_was_signed():
    """Another id in a header makes no other document of it."""
    first = read("customers/merge", b'{"a": 1}')
    assert first.lane == read("customers/merge", b'{"a": 1}', Webhook_Id="other").lane
    assert first.lane != read("customers/merge", b'{"a": 2}').lane


def test_an_order_is_not_taken_for_the_news_that_the_app_is_gone():
    with pytest.raises(Malformed, match="not of the shop"):
        read("app/uninstalled", ORDER)
    assert Reason.NOT_CARRIED_OUT_YET is read("app/uninstalled", b'{"id": 6, "plan_name": "basic"}').reason


# -- ends that are known already ---------------------------------------------------------------------------------------


def test_a_test_order_is_skipped_unless_told():
    assert Reason.TEST_ORDER is read("orders/create", order(test=True)).reason
    assert read("orders/create", order(test=True), shopify("send")).reason is None
    assert read("orders/create", order(test=False)).reason is None


@pytest.mark.parametrize("name", ["customers_data_request", "customers_redact", "shop_redact"])
def test_compliance_requests_wait_for_somebody(name):
    topic = name.replace("_", "/", 1)
    envelope = read(topic, (EXAMPLES / f"{name}.json").read_bytes())
    assert (Reason.NOT_CARRIED_OUT_YET, "compliance") == (envelope.reason, envelope.kind)
    assert f"body:{digest(envelope.raw)}" == envelope.lane


def test_a_compliance_request_of_another_shop_is_malformed():
    with pytest.raises(Malformed, match=r"shop_domain in the body"):
        read("shop/redact", b'{"shop_domain": "example-wool.myshopify.com"}')


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("https://example-linen.myshopify.com/", r"write the shop as example-linen\.myshopify\.com"),
        ("Example-Linen.myshopify.com", r"write the shop as example-linen\.myshopify\.com"),
        ("example-linen", r"write the shop as example-linen\.myshopify\.com"),
        ("shop.example.com", r"is not the shop's permanent domain"),
        ("", r"is not the shop's permanent domain"),
    ],
)
def test_a_shop_that_is_written_otherwise_is_told_how(written, advice):
    with pytest.raises(ValidationError, match=advice):
        Shopify(shops={written: {"secrets": [Secret("x")]}})


@pytest.mark.parametrize(
    "given",
    [{}, {"shops": {}}, {"shops": {LINEN: {"secrets": []}}}, {"shops": {LINEN: {"secrets": ["itself"]}}}, {"shop": {}}],
)
def test_without_a_secret_it_does_not_start(given):
    with pytest.raises(ValidationError):
        Shopify.model_validate(given)
