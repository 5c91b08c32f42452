"""Settings of platforms by name: how they sign, and where the names of their deliveries stand.

tests/connectors/webhook/test_presets.py holds a delivery of each, with its signature.
"""

from collections.abc import Mapping
from typing import Final

from bridge.contract import Json

_STANDARD: Final = {
    "separator": " ",
    "prefix": "v1,",
    "key": "base64",
    "key_prefix": "whsec_",
}


def _standard(beginning: str, **changed: str) -> Mapping[str, Json]:
    signature = {
        **_STANDARD,
        "header": f"{beginning}-signature",
        "signed": f"{{header:{beginning}-id}}.{{ts}}.{{body}}",
        "timestamp": {"header": f"{beginning}-timestamp"},
        **changed,
    }
    return {"signature": signature, "id": f'= headers["{beginning}-id"]', "topic": "= doc.type"}


def _timed(header: str, *, signed: str = "{ts}.{body}", **timed: str) -> Json:
    timestamp = {"separator": ",", "prefix": "t=", **timed}
    return {
        "header": header,
        "separator": ",",
        "prefix": "v1=",
        "encoding": "hex",
        "signed": signed,
        "timestamp": timestamp,
    }


PRESETS: Final[Mapping[str, Mapping[str, Json]]] = {
    "standard-webhooks": _standard("webhook"),
    "svix": _standard("svix"),
    "bigcommerce": {
        **_standard("webhook", key="text", key_prefix=""),
        "topic": "= doc.scope",
        "lane": "= doc.data.id",
    },
    "woocommerce": {
        "signature": {"header": "X-WC-Webhook-Signature"},
        "topic": '= headers["x-wc-webhook-topic"]',
        "lane": "= doc.id",
        "version": '= local_time(doc.date_modified_gmt, "UTC")',
        "ping": "webhook_id=[0-9]{1,20}",
    },
    "stripe": {"signature": _timed("Stripe-Signature"), "id": "= doc.id", "topic": "= doc.type"},
    "github": {
        "signature": {"header": "X-Hub-Signature-256", "prefix": "sha256=", "encoding": "hex"},
        "id": '= headers["x-github-delivery"]',
        "topic": '= headers["x-github-event"]',
        "ignore": ["ping"],
    },
    "square": {
        "signature": {"header": "x-square-hmacsha256-signature", "signed": "{url}{body}"},
        "id": "= doc.event_id",
        "topic": "= doc.type",
    },
    "shopware": {
        "signature": {"header": "shopware-shop-signature", "encoding": "hex"},
        "id": "= doc.source.eventId",
        "topic": "= doc.data.event",
        "lane": "= doc.data.payload[0].primaryKey",
    },
    "recharge": {
        "signature": _timed("X-Recharge-Webhook-Signature", tolerance="172800s"),
        "topic": '= headers["x-recharge-topic"]',
    },
    "mollie": {
        "signature": {"header": "X-Mollie-Signature", "prefix": "sha256=", "encoding": "hex"},
        "id": "= doc.id",
        "topic": "= doc.type",
        "lane": "= doc.entityId",
    },
    "shopline": {
        "signature": {"header": "X-Shopline-Hmac-Sha256", "encoding": "any"},
        "id": '= headers["x-shopline-webhook-id"]',
        "topic": '= headers["x-shopline-topic"]',
    },
    "tiendanube": {
        "signature": {"header": "X-Linkedstore-HMAC-SHA256", "encoding": "hex"},
        "topic": "= doc.event",
        "lane": "= doc.id",
    },
    "mercadopago": {
        "signature": {
            **_timed(
                "x-signature",
                prefix="ts=",
                unit="ms",
                tolerance="0s",
                signed="[id:{query:data.id|lower};][request-id:{header:x-request-id};]ts:{ts};",
            ),
        },
        "id": "= doc.id",
        "topic": "= doc.type",
        "lane": '= query["data.id"]',
    },
    "salla": {
        "signature": {"header": "X-Salla-Signature", "encoding": "hex"},
        "topic": "= doc.event",
        "lane": "= doc.data.id",
    },
    "ecwid": {
        "signature": {"header": "X-Ecwid-Webhook-Signature", "signed": "{json:/eventCreated}.{json:/eventId}"},
        "id": "= doc.eventId",
        "topic": "= doc.eventType",
        "lane": "= doc.data.orderId",
    },
    "squarespace": {
        "signature": {"header": "Squarespace-Signature", "encoding": "hex", "key": "hex"},
        "id": "= doc.id",
        "topic": "= doc.topic",
        "lane": "= doc.data.orderId",
    },
    "slack": {
        "signature": {
            "header": "X-Slack-Signature",
            "prefix": "v0=",
            "encoding": "hex",
            "signed": "v0:{ts}:{body}",
            "timestamp": {"header": "X-Slack-Request-Timestamp"},
        },
        "id": "= doc.event_id",
        "topic": "= doc.type",
        "challenge": '= doc.challenge if doc.type == "url_verification" else None',
    },
    "yampi": {
        "signature": {"header": "X-Yampi-Hmac-SHA256"},
        "topic": "= doc.event",
        "lane": "= doc.resource.id",
    },
}
"""The settings of a source by the name of a preset. What the source says itself stands instead of them."""


def merged(preset: Mapping[str, Json], given: Mapping[str, Json]) -> Mapping[str, Json]:
    """The settings of a source: its own, and those of the preset that it does not say. Mappings are joined."""
    result = {**preset, **given}
    for name, value in preset.items():
        own = given.get(name)
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            result[name] = merged(value, own)
    return result
