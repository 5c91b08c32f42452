"""Shopify: signed webhooks in. Written against API version 2026-10; see README.md beside this.

A pure connector: it checks signatures over raw bytes and names documents. Nothing here does I/O.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.contract import Described, Envelope, Fields, HttpArrival, Json, Label, Payload, Reason, Verified
from bridge.errand import Instruction
from bridge.errors import BridgeError, Malformed, NotAuthentic
from bridge.setting_types import Secret
from bridge.signatures import matching_secret, signature_text
from connectors.shopify import answers, fields, identity
from connectors.shopify.access import Access, Upkeep
from connectors.shopify.instructions import TASKS, instruction, of_shop

API_VERSION = "2026-10"
"""The version that the field descriptions and the examples were written for."""

_PERMANENT = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
_KEPT = tuple(
    f"x-shopify-{name}" for name in ("topic", "shop-domain", "api-version", "event-id", "triggered-at", "name")
)
_LONGEST_HEADER = 255  # characters


class Shop(BaseModel):
    """One shop whose deliveries are taken. Its name is the permanent domain, such as `name.myshopify.com`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    secrets: list[Secret] = Field(min_length=1)
    """Secrets of which any may have signed: the app's client secret, the shop's notification secret, and the old one
    while you exchange it."""
    access: Access | None = None
    """Access to the Admin API, for reconciliation and subscriptions. Default: the shop is not asked."""
    test_orders: Literal["skip", "send"] = "skip"
    """Whether an order with `test: true` is stored and skipped, or sent like any other."""
    formerly: list[str] = []
    """Permanent domains that the shop had before, the newest first. Its orders are kept under the last of them."""

    @field_validator("formerly")
    @classmethod
    def _are_permanent(cls, names: list[str]) -> list[str]:
        for name in names:
            _check_permanent(name)
        return names


@dataclass(frozen=True)
class Known:
    """A configured shop and all its names.

    name  its permanent domain now
    keys  those that may have signed
    """

    name: str
    shop: Shop
    keys: tuple[bytes, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names of the shop, the oldest first."""
        return (*self.shop.formerly[::-1], self.name)

    @property
    def tenant(self) -> str:
        """The name under which its orders are kept: the oldest."""
        return self.names[0]

    def also(self, tenant: str) -> tuple[str, ...]:
        return tuple(name for name in self.names if name != tenant) if self.shop.formerly else ()


class Shopify(BaseModel):
    """A door for the webhooks of one or more shops."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    shops: dict[str, Shop] = Field(min_length=1)
    """Shops by their permanent domain."""
    address: str | None = Field(default=None, pattern=r"^https?://[^/\s]+/\S*$")
    """Public https address of this source, as Shopify is to post to it. Shops with `access` need it, unless
    `upkeep: {subscriptions: leave}`."""
    upkeep: Upkeep = Upkeep()
    """What `run` does by itself for shops with `access`."""
    currency: Literal["shop", "buyer"] = "shop"
    """Currency of the amounts that rules give: the shop's own, or the one that the buyer saw and paid."""

    @field_validator("shops")
    @classmethod
    def _permanent_domains(cls, shops: dict[str, Shop]) -> dict[str, Shop]:
        for name in shops:
            _check_permanent(name)
        names = Counter(name for current, shop in shops.items() for name in (current, *shop.formerly))
        for name, count in names.items():
            if count > 1:
                cure = "a domain is one shop's: write it once, as the shop's name or under `formerly:` of the shop"
                raise PydanticCustomError("shop", "{name} is named {count} times: " + cure,
                                          {"name": name, "count": count})  # fmt: skip
        return shops

    @model_validator(mode="after")
    def _is_reachable(self) -> "Shopify":
        if self.address is None and self.upkeep.subscriptions != "leave" and any(s.access for s in self.shops.values()):
            raise PydanticCustomError(
                "address",
                "with `access:` in a shop, write `address:` (the public https address that Shopify posts to), or "
                "`upkeep: {subscriptions: leave}`",
            )
        return self

    def kinds(self) -> Mapping[str, Fields]:
        return fields.KINDS

    def topics(self) -> Mapping[str, str]:
        return identity.TOPICS

    def tells(self) -> Mapping[str, Json]:
        return {"currency": self.currency, "test_orders": "send"}

    @classmethod
    def described(cls) -> Described:
        """Describe what rules may read. Test orders of this door are settled here, by shop. The rules skip test
        orders that come by another way."""
        return Described(kinds=fields.KINDS, tells={"currency": "shop", "test_orders": "skip"})

    def check_headers(self, headers: Mapping[str, str]) -> None:
        shop = headers.get("X-Shopify-Shop-Domain", "")
        if shop not in self._known:
            raise NotAuthentic(f"shop {_shown(shop)} is not configured" if shop else "no X-Shopify-Shop-Domain header")
        if "X-Shopify-Hmac-Sha256" not in headers:
            raise NotAuthentic(f"no X-Shopify-Hmac-Sha256 header in a delivery for shop {shop}: did a proxy remove it?")

    def verify(self, arrival: HttpArrival) -> Verified:
        """Say whose delivery it is, by any secret of the shop that the (unsigned) header names."""
        shop = arrival.headers.get("X-Shopify-Shop-Domain", "")
        known = self._known.get(shop)
        if known is None:
            raise NotAuthentic(f"shop {_shown(shop)} is not configured" if shop else "no X-Shopify-Shop-Domain header")
        claimed = arrival.headers.get("X-Shopify-Hmac-Sha256")
        if claimed is None:
            raise NotAuthentic(f"no X-Shopify-Hmac-Sha256 header in a delivery for shop {shop}: did a proxy remove it?")
        secret = matching_secret(known.keys, arrival.body, claimed)
        if secret is None:
            raise NotAuthentic(f"no secret of shop {shop} matched; {_fingerprint(arrival.body)}")
        return Verified(tenant=known.tenant, secret=secret)

    def signing_keys(self) -> Mapping[str, Sequence[bytes]]:
        return {known.tenant: known.keys for known in self._known.values()}

    def families(self) -> Sequence[Sequence[str]]:
        return [self.known_as(name) for name in self.shops]

    def known_as(self, name: str) -> Sequence[str]:
        known = self._known.get(name)
        return () if known is None else known.names

    def label(self, arrival: HttpArrival, verified: Verified) -> Label:
        headers = {name: text for name in _KEPT if (text := arrival.headers.get(name)) and _is_plain(text)}
        topic = headers.get("x-shopify-topic", "")
        delivery = arrival.headers.get("X-Shopify-Webhook-Id", "")
        if not (delivery and _is_plain(delivery)):
            delivery = _made_up_id(verified.tenant, topic, arrival.body)
        return Label(id=delivery, topic=topic, headers=headers)

    def read(self, arrival: HttpArrival, verified: Verified) -> Envelope:
        """Name the document by its body. The headers are not signed: only the topic among them decides anything."""
        label = self.label(arrival, verified)
        headers, topic, tenant = label.headers, label.topic, verified.tenant
        known = self._known.get(tenant)
        also = known.also(tenant) if known is not None else ()
        body = arrival.body
        try:
            name = identity.named(topic, body, tenant=tenant, also=also)
        except Malformed as problem:
            body = answers.alone(body, topic, problem)
            name = identity.named(topic, body, tenant=tenant, also=also)
        triggered = headers.get("x-shopify-triggered-at")
        return Envelope(
            source=arrival.source,
            id=label.id,
            topic=topic,
            kind=name.kind,
            tenant=tenant,
            lane=name.lane,
            version=name.version,
            aliases=name.aliases,
            occurred_at=(identity.instant(triggered) if triggered else None) or name.version,
            received_at=arrival.received_at,
            headers=headers,
            raw=body,
            reason=self._known_end(name, topic, tenant),
            also=also,
        )

    def found(self, raw: bytes, *, source: str, tenant: str, now: datetime) -> Envelope:
        """An order that the shop was asked for, named as its webhook would have been. Raises Malformed."""
        topic, known = "orders/updated", self._known[tenant]
        tenant, also = known.tenant, known.also(known.tenant)
        name = identity.named(topic, raw, tenant=tenant, also=also)
        version = name.version.isoformat() if name.version is not None else hashlib.sha256(raw).hexdigest()
        return Envelope(
            source=source,
            id=f"found:{name.lane}:{version}",
            topic=topic,
            kind=name.kind,
            tenant=tenant,
            lane=name.lane,
            version=name.version,
            aliases=name.aliases,
            occurred_at=name.version,
            received_at=now,
            raw=raw,
            reason=self._known_end(name, topic, tenant),
            also=also,
        )

    def instruction(self, document: Envelope) -> Instruction | None:
        return instruction(document)

    def sign(self, body: bytes, *, topic: str, tenant: str | None, delivery_id: str) -> Mapping[str, str]:
        shop = tenant or next(iter(self.shops))
        known = self._known.get(shop)
        if known is None:
            raise BridgeError(f"shop {_shown(shop)} is not configured; there is: {', '.join(self.shops)}")
        return {
            "Content-Type": "application/json",
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": shop,
            "X-Shopify-API-Version": API_VERSION,
            "X-Shopify-Webhook-Id": delivery_id,
            "X-Shopify-Hmac-Sha256": signature_text(known.keys[0], body),
        }

    def unpacked(self, body: bytes) -> Sequence[Payload]:
        return answers.unpacked(body)

    def addressed(self, body: bytes, *, tenant: str | None) -> bytes:
        """Address a document to a shop. Requests for compliance name their shop; any other document is left as it
        is."""
        return of_shop(body, tenant or next(iter(self.shops)))

    def fitting_secret(self, body: bytes, *, tenant: str | None, signature: str) -> str | None:
        for shop, known in self._known.items():
            index = matching_secret(known.keys, body, signature) if tenant in (None, shop) else None
            if index is not None:
                origin = known.shop.secrets[index].origin
                return f"{shop}: secret {index + 1} of {len(known.keys)}" + (f" ({origin})" if origin else "")
        return None

    def _known_end(self, name: identity.Name, topic: str, tenant: str) -> Reason | None:
        known = self._known.get(tenant)
        if topic in TASKS:
            return Reason.NOT_CARRIED_OUT_YET
        if name.is_test and known is not None and known.shop.test_orders == "skip":
            return Reason.TEST_ORDER
        return None

    def known(self, name: str) -> Known | None:
        """The shop that has or had this name."""
        return self._known.get(name)

    @cached_property
    def _known(self) -> Mapping[str, Known]:
        found: dict[str, Known] = {}
        for name, shop in self.shops.items():
            keys = tuple(key.reveal().encode() for key in shop.secrets)
            known = Known(name, shop, keys)
            found |= dict.fromkeys(known.names, known)
        return found


CONNECTOR = Shopify


def _check_permanent(name: str) -> None:
    if not _PERMANENT.fullmatch(name):
        raise PydanticCustomError("shop", "{complaint}", {"complaint": _complaint(name)})


def _complaint(name: str) -> str:
    """Describe what is wrong with a shop's name, and what to write instead."""
    bare = re.sub(r"^[a-z]+://", "", name.strip().lower()).partition("/")[0]
    if _PERMANENT.fullmatch(bare):
        return f"write the shop as {bare}"
    if re.fullmatch(r"[a-z0-9][a-z0-9-]*", bare):
        return f"write the shop as {bare}.myshopify.com, if that is its permanent domain"
    return (
        f"{_shown(name)} is not the shop's permanent domain: webhooks name the shop as NAME.myshopify.com "
        "(Shopify admin: Settings, Domains), whatever domain buyers see"
    )


def _is_plain(text: str) -> bool:
    """Whether a text is fit to be stored and logged: short, and no control characters or undecodable bytes (lone
    surrogates)."""
    return len(text) <= _LONGEST_HEADER and text.isprintable()


def _shown(text: str) -> str:
    """A stranger's text, fit for a log: short, quoted and ASCII."""
    return ascii(text if len(text) <= 64 else text[:64] + "...")  # noqa: PLR2004 - a shop's name is shorter


def _fingerprint(body: bytes) -> str:
    return f"body {len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:12]}"


def _made_up_id(shop: str, topic: str, body: bytes) -> str:
    """The id of a delivery that lacks Shopify's. The same delivery has the same id."""
    return hashlib.sha256(b"\0".join((shop.encode(), topic.encode(), body))).hexdigest()
