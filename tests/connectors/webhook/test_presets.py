"""Deliveries as platforms sign them. The vectors were computed by another program, or published by the platform."""

from datetime import UTC, datetime, timedelta

import pytest
from multidict import CIMultiDict

from bridge.contract import HttpArrival
from bridge.errors import Answered, NotAuthentic
from bridge.mapping.records import RecordExpressions
from bridge.setting_types import EXPRESSIONS
from connectors.webhook import Webhook
from connectors.webhook.presets import PRESETS

NOON = datetime.fromtimestamp(1795179933, UTC)
STANDARD = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
MESSAGE = "msg_2mXExample0000000000001042"
ORDER = '{"type":"order.created","timestamp":"2026-11-20T13:05:33Z","data":{"id":"o_1042","total":"99.00"}}'
RECHARGE = '{"charge":{"id":1042,"status":"success","total_price":"99.00"}}'
PAGO = (
    '{"action":"payment.updated","api_version":"v1","data":{"id":"123456789"},"date_created":"2026-11-20T13:05:33Z",'
    '"id":"1042","live_mode":true,"type":"payment","user_id":724484980}'
)
REQUEST_ID = {"x-request-id": "2f4b7a7e-0000-4000-8000-000000001042"}
VECTORS = {
    "woocommerce": (
        'wc&Secret(42)"quoted";',
        {"X-WC-Webhook-Signature": "aOfrxwc6xilk34AEhqp0R0dHMzy/CCCZa0a3wyX1pFE="},
        (
            r'{"id":1042,"status":"processing","currency":"EUR","total":"90.00","billing":{"first_name":"Ad\u00e8le",'
            r'"email":"adele.sample@example.com"},"line_items":[{"id":7,"price":12.345678901}],'
            r'"payment_url":"https:\/\/shop.example.com\/checkout\/order-pay\/1042\/"}'
        ),
    ),
    "standard-webhooks": (
        STANDARD,
        {
            "webhook-id": MESSAGE,
            "webhook-timestamp": "1795179933",
            "webhook-signature": "v1,HJ09eSd8EQiSyR8fzSRyQIr3MBWGWGvNtyX3jGAMo10= "
            "v1,G5PLYFvEO993RRFR3aJPtm+pQxv3kX5+F8sxEZa3b+M=",
        },
        ORDER,
    ),
    "svix": (
        STANDARD,
        {
            "svix-id": MESSAGE,
            "svix-timestamp": "1795179933",
            "svix-signature": "v1,G5PLYFvEO993RRFR3aJPtm+pQxv3kX5+F8sxEZa3b+M=",
        },
        ORDER,
    ),
    "bigcommerce": (
        "bc_client_secret_0000000000000000000000000042",
        {
            "webhook-id": MESSAGE,
            "webhook-timestamp": "1795179933",
            "webhook-signature": "v1,AY5z9rNDpDREiToHFv7cGW4xaM5l7MMLL5DoFqMarG8=",
        },
        (
            '{"store_id":"1042","producer":"stores/abc123","scope":"store/order/created","data":{"type":"order","id":250},'
            '"hash":"dd70c0976e06b67aaf671e73f49dcb79230ebf9d","created_at":1795179933}'
        ),
    ),
    "stripe": (
        "whsec_examplestripe0000000000000042",
        {
            "Stripe-Signature": f"t=1795179933,v1={'0' * 64},"
            f"v1=ad6dbe6acc407ae72c9e3c757d0acc1b551296a7b1a3a05bcf21e5e7cf66c19f,v0={'1' * 64}"
        },
        '{"id":"evt_1042","object":"event","type":"payment_intent.succeeded","created":1795179933}',
    ),
    "github": (
        "It's a Secret to Everybody",
        {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        "Hello, World!",
    ),
    "square": (
        "squareSignatureKey00042",
        {"x-square-hmacsha256-signature": "U8HlctBCoVrat/byK2gvyYY+eCrZ71soC04O741yob4="},
        (
            '{"merchant_id":"MLEXAMPLE0042","type":"order.created","event_id":"6a8f5f28-0000-4000-8000-000000001042",'
            '"created_at":"2026-11-20T13:05:33Z","data":{"type":"order_created","id":"ord1042"}}'
        ),
    ),
    "shopware": (
        "shopSecretFromRegistration0042",
        {"shopware-shop-signature": "80efda4fe9295a71cdb466453fb107f80fbffff9984eb37850252a5d963ecfbb"},
        (
            r'{"data":{"payload":[{"entity":"order","operation":"insert","primaryKey":"0123456789abcdef0123456789abcdef",'
            r'"payload":[]}],"event":"order.written"},"source":{"url":"https:\/\/shop.example.com","appVersion":"1.0.0",'
            r'"shopId":"dgrH7nLU6tlEExample","eventId":"7b04ebe416db4ebc93de4d791325e1d9"},"timestamp":1795179933}'
        ),
    ),
    "recharge": (
        "rechargeClientSecret0042",
        {
            "X-Recharge-Webhook-Signature": "t=1795179933,"
            "v1=4fcbeaaecae4548dd03da0ad9988a0a3a957276ea32ded65eac6b5d0417f1782"
        },
        RECHARGE,
    ),
    "mollie": (
        "mollieSigningSecret0042",
        {"X-Mollie-Signature": "sha256=6428b4aefe42482950506159fafd718e42e42a12c1300da921e80087c8cabef0"},
        (
            '{"resource":"event","id":"event_1042","type":"payment-link.paid","entityId":"pl_1042",'
            '"createdAt":"2026-11-20T13:05:33.0Z"}'
        ),
    ),
    "tiendanube": (
        "tiendanubeAppClientSecret0042",
        {"X-Linkedstore-HMAC-SHA256": "a80229332322b5131469e1efd6e964bc382d88306366fa441bf1cadc9243dbbf"},
        '{"store_id":1042,"event":"order/paid","id":98765432}',
    ),
    "mercadopago": (
        "mercadopagoWebhookSecret0042",
        {
            "x-signature": "ts=1795179933000,v1=4fb8e2bddfe60a285dc2f3c0504bdc33ec351530f9abf1b6f713840d9934443e",
            **REQUEST_ID,
        },
        PAGO,
    ),
    "salla": (
        "sallaWebhookSecret0042",
        {"X-Salla-Signature": "71875da07c0c899b422949e24f167f81fbf67f0eece0e86b238359a0f05f3efb"},
        (
            '{"event":"order.created","merchant":1042,"created_at":"Fri Nov 20 2026 16:05:33 GMT+0300",'
            '"data":{"id":2116149737}}'
        ),
    ),
    "ecwid": (
        "ecwidClientSecret0042",
        {"X-Ecwid-Webhook-Signature": "I43aCINvkgLdW7e4kPz+8Fhx0pR4dNYVZXB6VuR1Zw0="},
        (
            '{"eventId":"80aece08-40e8-4145-8764-6c2f0d38678","eventCreated":1795179933,"storeId":1042,'
            '"entityId":103878161,"eventType":"order.created","data":{"orderId":"XJ12H"}}'
        ),
    ),
    "squarespace": (
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        {"Squarespace-Signature": "b8eade5fc7ad2c5d1aeb9cf88082af964fb8f2559fe799c4345cc693f6923e8a"},
        (
            '{"id":"8bb9b2e0-0000-4000-8000-000000001042","websiteId":"5e0000000000000000000042",'
            '"subscriptionId":"3b1c0000-0000-4000-8000-000000001042","topic":"order.create",'
            '"createdOn":"2026-11-20T13:05:33.000Z","data":{"orderId":"5f0000000000000000001042"}}'
        ),
    ),
    "slack": (
        "8f742231b10e8888abcd99yyyzzz85a5",
        {
            "X-Slack-Request-Timestamp": "1531420618",
            "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
        (
            "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
            "foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F"
            "hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015."
            "47445629121.803a0bc887a14d10d2c447fce8b6703c"
        ),
    ),
    "yampi": (
        "yampiSecret0042",
        {"X-Yampi-Hmac-SHA256": "ALaHJSwZMfRDuE94GUhoCyE3REzXOl1rgYgJlyq2qo4="},
        (
            '{"event":"order.paid","time":"2026-11-20 10:05:33","merchant":{"id":1042,"alias":"example-loja"},'
            '"resource":{"id":1042,"status":{"data":{"alias":"paid"}}}}'
        ),
    ),
}
QUERIES = {"mercadopago": "data.id=ORD01ABC&type=order"}
OWN = {"square": {"signature": {"url": "https://bridge.example.com/hooks/square"}}}
CAME = {"slack": datetime.fromtimestamp(1531420618, UTC)}


def made(settings, *secrets):
    environ = {f"S{number}": secret for number, secret in enumerate(secrets)}
    given = {"shops": {"shop": {"secrets": [f"env:{name}" for name in environ]}}, "lane": "= doc.id", **settings}
    return Webhook.model_validate(given, context={"environ": environ, EXPRESSIONS: RecordExpressions()})


def preset(name, *secrets):
    return made({"preset": name, **OWN.get(name, {})}, *secrets)


def came(name, headers, body, *, later=timedelta(0)):
    return HttpArrival(
        source="hook",
        headers=CIMultiDict(headers),
        body=body.encode(),
        received_at=CAME.get(name, NOON) + later,
        query=QUERIES.get(name, ""),
    )


@pytest.mark.parametrize("name", VECTORS)
def test_a_delivery_of_the_platform_is_authentic(name):
    secret, headers, body = VECTORS[name]
    assert 0 == preset(name, secret).verify(came(name, headers, body)).secret


@pytest.mark.parametrize("name", VECTORS)
def test_the_second_secret_fits_too_while_one_is_exchanged(name):
    secret, headers, body = VECTORS[name]
    wrong = secret.replace("4", "5").replace("0", "1").replace("A", "B").replace("a", "b")
    assert 1 == preset(name, wrong, secret).verify(came(name, headers, body)).secret


@pytest.mark.parametrize("name", sorted({*VECTORS} - {"mercadopago", "ecwid"}))
def test_a_changed_body_is_not_authentic(name):
    secret, headers, body = VECTORS[name]
    with pytest.raises(NotAuthentic):
        preset(name, secret).verify(came(name, headers, body + " "))


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("sign", ["", "x", "sha256=", "v1=", "\udcff"])
def test_no_signature_is_not_authentic(name, sign):
    secret, headers, body = VECTORS[name]
    source = preset(name, secret)
    with pytest.raises(NotAuthentic):
        source.verify(came(name, {**headers, source.signature.header: sign}, body))
    with pytest.raises(NotAuthentic):
        source.verify(came(name, {}, body))


@pytest.mark.parametrize(("name", "seconds"), [("standard-webhooks", 300), ("stripe", 300), ("recharge", 172_800)])
def test_a_delivery_that_was_signed_too_long_ago_or_ahead_is_not_authentic(name, seconds):
    secret, headers, body = VECTORS[name]
    source = preset(name, secret)
    for way in (1, -1):
        assert 0 == source.verify(came(name, headers, body, later=way * timedelta(seconds=seconds))).secret
        with pytest.raises(NotAuthentic, match="signed"):
            source.verify(came(name, headers, body, later=way * timedelta(seconds=seconds + 1)))


def test_every_preset_but_one_has_a_vector():
    """Shopline's is written in hexadecimal or in base64: its test is the next."""
    assert {"shopline"} == {*PRESETS} - {*VECTORS}


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_shoplines_signature_is_taken_in_both_forms(encoding):
    signer = made({"signature": {"header": "X-Shopline-Hmac-Sha256", "encoding": encoding}}, "secret-0042")
    signed = signer.sign(b"{}", topic="", tenant=None, delivery_id="")
    assert 0 == preset("shopline", "secret-0042").verify(came("shopline", signed, "{}")).secret


@pytest.mark.parametrize("name", sorted({*PRESETS} - {"mercadopago", "ecwid"}))
def test_what_is_signed_as_the_platform_does_is_authentic(name):
    source = preset(name, VECTORS.get(name, ("secret-0042",))[0])
    signed = source.sign_at(b'{"a": 1}', topic="t", tenant=None, delivery_id="d", at=NOON)
    arrival = HttpArrival(source="hook", headers=CIMultiDict(signed), body=b'{"a": 1}', received_at=NOON)
    assert 0 == source.verify(arrival).secret


def test_a_ping_of_woocommerce_is_answered_without_a_signature():
    source = preset("woocommerce", "secret")
    with pytest.raises(Answered) as answered:
        source.verify(came("woocommerce", {}, "webhook_id=15"))
    assert 200 == answered.value.status
    with pytest.raises(NotAuthentic):
        source.verify(came("woocommerce", {}, "webhook_id=15&more=1"))
    with pytest.raises(NotAuthentic):
        source.verify(came("woocommerce", {"X-WC-Webhook-Signature": "x"}, "webhook_id=15"))


def test_a_challenge_of_slack_is_echoed_and_only_to_slack():
    source = preset("slack", "8f742231b10e8888abcd99yyyzzz85a5")
    body = b'{"type": "url_verification", "challenge": "abc 123"}'
    signed = source.sign_at(body, topic="", tenant=None, delivery_id="", at=NOON)
    arrival = HttpArrival(source="hook", headers=CIMultiDict(signed), body=body, received_at=NOON)
    with pytest.raises(Answered) as answered:
        source.read(arrival, source.verify(arrival))
    assert "abc 123" == answered.value.reply.text
    with pytest.raises(NotAuthentic):
        source.verify(came("", {}, body.decode()))
