"""WooCommerce: signed webhooks in. Written for REST API v3 of WooCommerce 9 to 11; see README.md beside this.

A pure connector: it checks signatures over raw bytes and names documents. Nothing here does I/O.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bridge.contract import Described, Envelope, Fields, HttpArrival, Json, Label, Verified
from bridge.errors import Answered, BridgeError, Malformed, NotAuthentic
from bridge.setting_types import Secret
from bridge.signatures import digest, matching_secret, signature_text
from bridge.surrogates import decoded
from connectors.woocommerce.access import Access, Upkeep
from connectors.woocommerce.fields import KINDS

TOPICS: Final[Mapping[str, str]] = {
    "order.created": "order",
    "order.updated": "order",
    "order.restored": "order",
    "order.deleted": "order_deletion",
}

_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")
_TOPIC: Final = re.compile(r"(?P<resource>[a-z][a-z0-9_]{0,63})\.[a-z0-9_-]{1,128}")
_SIGNATURE: Final = "X-WC-Webhook-Signature"
_SOURCE: Final = "X-WC-Webhook-Source"
_KEPT: Final = ("x-wc-webhook-topic", "x-wc-webhook-source", "x-wc-webhook-id")
_LONGEST: Final = 255  # characters


class Shop(BaseModel):
    """One shop whose deliveries are taken. Its name is its address without `https://`, such as `shop.example.com`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    secrets: list[Secret] = Field(min_length=1)
    """Secrets of its webhooks, of which any may have signed. No two shops share one."""
    access: Access | None = None
    """Access to the REST API, for reconciliation and webhooks. Default: the shop is not asked."""


class Woocommerce(BaseModel):
    """A door for the webhooks of one or more WooCommerce shops."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    shops: dict[str, Shop] = Field(min_length=1)
    """Shops by their address without `https://` and without a final slash."""
    address: str | None = Field(default=None, pattern=r"^https?://[^/\s]+/\S*$")
    """Public https address of this source, as WooCommerce is to post to it. Shops with `access` need it, unless
    `upkeep: {subscriptions: leave}`."""
    upkeep: Upkeep = Upkeep()
    """What `run` does by itself for shops with `access`."""
    unpaid: Literal["send", "skip"] = "send"
    """Whether an order counts as placed while it waits for a payment (`pending`, `failed`), or only from then on."""

    @model_validator(mode="after")
    def _shops_are_apart(self) -> "Woocommerce":
        if wrong := [name for name in self.shops if "://" in name or name != name.lower().rstrip("/")]:
            bare = re.sub(r"^[a-z]+://", "", wrong[0].lower()).rstrip("/")
            raise ValueError(f"write the shop as {bare}: its address without https:// and without a final slash")
        keys = [key for name in self.shops for key in set(self._keys[name])]
        if len(keys) != len(set(keys)):
            raise ValueError("two shops have the same secret: give each shop's webhooks one of their own, since only "
                             "the secret says whose an order is")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _is_reachable(self) -> "Woocommerce":
        if self.address is None and self.upkeep.subscriptions != "leave" and any(s.access for s in self.shops.values()):
            raise ValueError(
                "with `access:` in a shop, write `address:` (the public https address that WooCommerce posts to), or "
                "`upkeep: {subscriptions: leave}`"
            )
        return self

    @model_validator(mode="after")
    def _topics_are_known(self) -> "Woocommerce":
        if unknown := [topic for topic in self.upkeep.topics if topic not in TOPICS]:
            raise ValueError(f"upkeep: {unknown[0]} cannot be subscribed to; there are: {', '.join(TOPICS)}")
        return self

    def kinds(self) -> Mapping[str, Fields]:
        return KINDS

    def topics(self) -> Mapping[str, str]:
        return TOPICS

    def tells(self) -> Mapping[str, Json]:
        return {"unpaid": self.unpaid}

    @classmethod
    def described(cls) -> Described:
        """Describe what the rules may read, whichever source brings the orders."""
        return Described(kinds=KINDS, tells={"unpaid": "send"})

    def verify(self, arrival: HttpArrival) -> Verified:
        """Say whose delivery it is: of the shop that it names, if a secret of that shop signed it."""
        claimed = arrival.headers.get(_SIGNATURE)
        if claimed is None and _PING.fullmatch(arrival.body):
            raise Answered("a ping of WooCommerce")
        shop = _address(arrival.headers.get(_SOURCE, ""))
        if shop not in self.shops:
            raise NotAuthentic(f"shop {_shown(shop)} is not configured" if shop else f"no {_SOURCE} header")
        if not claimed:
            raise NotAuthentic(f"no {_SIGNATURE} header in a delivery for shop {shop}: did a proxy remove it?")
        secret = matching_secret(self._keys[shop], arrival.body, claimed)
        if secret is None:
            size = len(arrival.body)
            raise NotAuthentic(f"no secret of shop {shop} matched; body {size} bytes, sha256 {_sha(arrival.body)[:12]}")
        return Verified(tenant=shop, secret=secret)

    def label(self, arrival: HttpArrival, verified: Verified) -> Label:
        headers = {name: text for name in _KEPT if (text := arrival.headers.get(name)) and _is_plain(text)}
        topic = headers.get("x-wc-webhook-topic", "")
        delivery = arrival.headers.get("X-WC-Webhook-Delivery-ID", "")
        made = _sha(b"\0".join((verified.tenant.encode(), topic.encode(), arrival.body)))
        return Label(id=delivery if delivery and _is_plain(delivery) else made, topic=topic, headers=headers)

    def read(self, arrival: HttpArrival, verified: Verified) -> Envelope:
        """Name the document by its body. The topic is not signed: it is believed only if the body has its shape."""
        label = self.label(arrival, verified)
        match = _TOPIC.fullmatch(label.topic)
        if match is None:
            raise Malformed("X-WC-Webhook-Topic is not a topic" if label.topic else "no X-WC-Webhook-Topic header")
        document = _document(arrival.body)
        if match["resource"] == "order":
            kind, lane = _kind(document), str(document.id)
        else:
            kind, lane = match["resource"], f"body:{digest(arrival.body)}"
        version = instant(document.date_modified_gmt)
        return Envelope(
            source=arrival.source,
            id=label.id,
            topic=label.topic,
            kind=kind,
            tenant=verified.tenant,
            lane=lane,
            version=version,
            aliases=_aliases(document),
            occurred_at=version,
            received_at=arrival.received_at,
            headers=label.headers,
            raw=arrival.body,
        )

    def found(self, raw: bytes, *, source: str, tenant: str, now: datetime) -> Envelope:
        """An order that the shop was asked for, named as its webhook would have been. Raises Malformed."""
        document = _document(raw)
        kind, lane, version = _kind(document), str(document.id), instant(document.date_modified_gmt)
        return Envelope(
            source=source,
            id=f"found:{lane}:{_sha(raw) if version is None else version.isoformat()}",
            topic="order.updated",
            kind=kind,
            tenant=tenant,
            lane=lane,
            version=version,
            aliases=_aliases(document),
            occurred_at=version,
            received_at=now,
            raw=raw,
        )

    def sign(self, body: bytes, *, topic: str, tenant: str | None, delivery_id: str) -> Mapping[str, str]:
        shop = tenant or next(iter(self.shops))
        if shop not in self.shops:
            raise BridgeError(f"shop {_shown(shop)} is not configured; there is: {', '.join(self.shops)}")
        return {
            "Content-Type": "application/json",
            "X-WC-Webhook-Topic": topic,
            _SOURCE: f"https://{shop}/",
            "X-WC-Webhook-Delivery-ID": delivery_id,
            _SIGNATURE: signature_text(self._keys[shop][0], body),
        }

    def fitting_secret(self, body: bytes, *, tenant: str | None, signature: str) -> str | None:
        for shop, keys in self._keys.items():
            index = matching_secret(keys, body, signature) if tenant in (None, shop) else None
            if index is not None:
                origin = self.shops[shop].secrets[index].origin
                return f"{shop}: secret {index + 1} of {len(keys)}" + (f" ({origin})" if origin else "")
        return None

    @cached_property
    def _keys(self) -> Mapping[str, Sequence[bytes]]:
        return {name: tuple(key.reveal().encode() for key in shop.secrets) for name, shop in self.shops.items()}


CONNECTOR = Woocommerce


class _Document(msgspec.Struct, frozen=True):
    """The fields that name a document, or tell what it is instead."""

    id: Any = None
    number: Any = None
    status: Any = None
    currency: Any = None
    line_items: Any = None
    date_modified_gmt: Any = None
    customer_id: Any = None
    billing: Any = None
    code: Any = None
    order: Any = None


_decode: Final = msgspec.json.Decoder(_Document).decode


def _document(body: bytes) -> _Document:
    try:
        if not body.isascii():
            body.decode()
        return decoded(_decode, body)
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError:
        raise Malformed(f"no JSON object, {len(body)} bytes") from None


def _kind(document: _Document) -> str:
    """The kind of a document of an order. Raises Malformed, with what to do, if it is something else."""
    if type(document.id) is not int or document.id < 1:
        if document.code is not None:
            raise Malformed(
                "WooCommerce sent an error instead of the order: the user who made the webhook may not read orders any "
                "more; let a shop manager make the webhook anew"
            )
        if document.order is not None:
            raise Malformed("a document of the Legacy API: set the webhook's API version to v3")
        raise Malformed("no order: `id` is no number above 0")
    if document.status is None and document.line_items is None:
        return "order_deletion"
    if not (isinstance(document.status, str) and isinstance(document.currency, str)):
        raise Malformed("no order of API version 2 or 3: set the webhook's API version to v3")
    return "order"


def instant(text: object) -> datetime | None:
    """Read a time without a zone, as the fields that end in `_gmt` have it, as an instant in UTC. All else is None."""
    try:
        read = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read is not None and read.tzinfo is None else None


def _aliases(document: _Document) -> tuple[str, ...]:
    billing = document.billing if isinstance(document.billing, dict) else {}
    customer = document.customer_id
    found = (
        ("#", document.number),
        ("customer:", str(customer) if type(customer) is int and customer > 0 else None),
        ("email:", billing.get("email")),
        ("phone:", billing.get("phone")),
    )
    fit = ((prefix, value.strip()) for prefix, value in found if isinstance(value, str) and value.isprintable())
    return tuple(prefix + (text.lower() if prefix == "email:" else text) for prefix, text in fit if text)


def _address(text: str) -> str:
    """A shop's address without scheme and final slash, as shops are named here."""
    return re.sub(r"^https?://", "", text.strip().lower()).rstrip("/")


def _is_plain(text: str) -> bool:
    """Whether a text is fit to be stored and logged: short, and no control characters or lone surrogates."""
    return len(text) <= _LONGEST and text.isprintable()


def _shown(text: str) -> str:
    """A stranger's text, fit for a log: short, quoted and ASCII."""
    return ascii(text if len(text) <= 64 else text[:64] + "...")  # noqa: PLR2004 - a shop's name is shorter


def _sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
