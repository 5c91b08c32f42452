"""Webhooks of any platform: how they are signed and named is said in the configuration. See README.md beside this.

A pure connector: it checks signatures over raw bytes and names documents. Nothing here does I/O.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge import clock
from bridge.contract import QUERY, Envelope, Fetching, Fields, HttpArrival, Json, Label, Verified
from bridge.credentials import Credentials
from bridge.errors import Answered, BridgeError, Malformed, NotAuthentic, Reply
from bridge.setting_types import DeliveryExpression, DeliveryTime, MadeUp, Secret
from bridge.signed_text import parameters, raw
from connectors.webhook.fetching import Alias, Fetch, Fetched
from connectors.webhook.presets import PRESETS, merged
from connectors.webhook.signature import Signature

OTHER: Final = "other"
"""The kind of documents whose topic is not in `topics`."""
THIN: Final = "reference"
"""The kind of webhooks that only name a document."""

_LONGEST: Final = 255  # characters
_LONGEST_CHALLENGE: Final = 1024  # characters
_LONGEST_PING: Final = 1024  # bytes
_SHORTEST_TOKEN: Final = 16
"""The least characters of a token: 128 bits, if each has eight."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Shop(_Section):
    """One shop whose deliveries are taken."""

    secrets: list[Secret] = Field(default=[], max_length=4)
    """Secrets of which any may have signed: keys of the signature, tokens, or passwords. List the old one beside the
    new one while you exchange it."""
    authentication: Credentials | None = None
    """How requests of `fetch` to this shop say whose they are. Default: as `fetch` says."""
    called: list[str] = []
    """Names that the expression `shop` gives for it, such as its number. Default: its name here."""


class Token(_Section):
    """A secret that stands in a header as it is."""

    header: str = Field(default="Authorization", pattern=r"^[A-Za-z0-9-]+$")
    """Header that holds it."""
    prefix: str = "Bearer "
    """Text before it. Another header than `Authorization` needs `prefix: ""` if there is none."""


class Basic(_Section):
    """A user's name and password, as HTTP Basic sends them. The passwords stand in `secrets`."""

    user: str = Field(min_length=1)
    """User name."""


class Answer(_Section):
    """The answer to a delivery that is stored."""

    status: int = Field(default=200, ge=200, le=299)
    """Status that the platform takes for success."""
    text: str = Field(default="", max_length=1000, pattern=r"^[\x20-\x7e]*$")
    """Body."""
    type: str = Field(default="application/json", pattern=r"^[\x21-\x7e ]+$")
    """Media type of the body."""


class Topic(_Section):
    """What the documents of a topic are called. What is left out is as the source says."""

    kind: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    """Kind of the documents."""
    lane: DeliveryExpression | None = None
    """Expression for the order's id."""
    version: DeliveryTime | None = None
    """Expression for the time of the last change."""
    time: DeliveryTime | None = None
    """Expression for the time at which it happened."""
    aliases: dict[Alias, DeliveryExpression] | None = None
    """Expressions for the names under which the order is found and erased."""


@dataclass(frozen=True, slots=True)
class _Naming:
    """How the documents of a topic are named, with the decoder of what the expressions read."""

    kind: str
    lane: DeliveryExpression
    version: DeliveryTime | None
    time: DeliveryTime | None
    aliases: Mapping[Alias, DeliveryExpression]

    def expressions(self) -> Sequence[DeliveryExpression]:
        found = (self.lane, self.version, self.time, *self.aliases.values())
        return [each for each in found if each is not None]


class Webhook(BaseModel):
    """A door for the webhooks of a platform that has no connector of its own. Expressions read `doc`, `headers`,
    `query` and `vars`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    preset: str | None = None
    """Name of a platform or scheme whose settings are taken where none are said here, such as `standard-webhooks`."""
    shops: dict[str, Shop] = Field(min_length=1)
    """Shops by name, with their secrets."""
    shop: DeliveryExpression | None = None
    """Expression for the shop that a delivery names. With several shops it is required. A delivery for another shop is
    refused. Default: the only shop."""
    signature: Signature | None = None
    """Deliveries are signed by HMAC."""
    token: Token | None = None
    """Deliveries bring a token: `Authorization: Bearer ...`, or any header."""
    basic: Basic | None = None
    """Deliveries bring a user's name and password."""
    is_open: bool = Field(default=False, alias="open")
    """Deliveries are taken from everybody who reaches the door. It must listen at this machine only."""
    id: DeliveryExpression | None = None
    """Expression for the id of the delivery. Default: a digest of shop, topic and body."""
    topic: DeliveryExpression | None = None
    """Expression for the topic. Default: the kind."""
    kind: str = Field(default="order", pattern=r"^[a-z][a-z0-9_]*$")
    """Kind of the documents, which rules name in `for`."""
    lane: DeliveryExpression
    """Expression for the order's id. The same id and shop from another source is the same order."""
    version: DeliveryTime | None = None
    """Expression for the time of the document's last change. Default: none, and no document is stale."""
    time: DeliveryTime | None = None
    """Expression for the time at which it happened. Default: the version."""
    aliases: dict[Alias, DeliveryExpression] = {}
    """Expressions for the names under which the order is found and erased."""
    by_topic: dict[str, Topic] = Field(default={}, alias="topics")
    """Topics by name. If there are any, documents of other topics are stored with the kind `other`, which no rule
    reads. Default: all topics are alike."""
    fetched: Fetch | None = Field(default=None, alias="fetch")
    """Webhooks bring only the id of a document, which is fetched. Default: they bring the document."""
    ignore: list[str] = []
    """Topics that are answered and not stored. `*` stands for any text: `product/*`."""
    ping: str | None = None
    """Regular expression for the whole body of a ping: a request that nobody signed, which is answered and not
    stored."""
    challenge: DeliveryExpression | None = None
    """Expression for the text that an authentic request wants back. If it gives one, the request is not stored."""
    answer: Answer = Answer()
    """Answer to a delivery that is stored, or not stored on purpose."""
    shapes: dict[str, dict[str, Any]] = Field(default={}, alias="kinds")
    """Shapes of documents by kind, against which rules are checked. A kind that is not described here may have any
    field, unless another source or the included rules of a connector describe it."""
    said: dict[str, str | int | bool] = Field(default={}, alias="tells")
    """Settings that rules read as `source.NAME`, such as `currency`."""

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:  # noqa: ANN401  whatever stands in the file
        name = given.get("preset") if isinstance(given, dict) else None
        if name is None:
            return given
        preset = PRESETS.get(name) if isinstance(name, str) else None
        if preset is None:
            told = {"complaint": f"there is no preset {name}; there are: {', '.join(sorted(PRESETS))}"}
            raise PydanticCustomError("preset", "{complaint}", told)
        own = {"signature"} if {"token", "basic", "open"} & given.keys() else set()
        return merged({key: value for key, value in preset.items() if key not in own}, given)

    @field_validator("ping")
    @classmethod
    def _compiles(cls, ping: str | None) -> str | None:
        try:
            re.compile(ping or "")
        except re.error as problem:
            raise PydanticCustomError("ping", "is no regular expression: {problem}",
                                      {"problem": str(problem)}) from None  # fmt: skip
        return ping

    @model_validator(mode="after")
    def _is_authenticated(self, info: ValidationInfo) -> "Webhook":
        ways = [self.signature, self.token, self.basic, self.is_open or None]
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "say how deliveries are authenticated, in one way: `preset:`, `signature:`, `token:` or `basic:`"
            )
        for name, shop in self.shops.items():
            if bool(shop.secrets) == self.is_open:
                raise ValueError(
                    f"shop {name}: with `open: true` nothing is checked, so take `secrets` away"
                    if self.is_open
                    else f"shop {name}: `secrets:` is missing"
                )
        if not isinstance((info.context or {}).get("environ"), MadeUp):
            self._check_secrets()
        return self

    @model_validator(mode="after")
    def _shops_are_told_apart(self) -> "Webhook":
        if len(self.shops) > 1 and self.shop is None:
            raise ValueError("there are several shops: say with `shop:` how a delivery names its own, such as "
                             "`shop: = doc.store_id`")  # fmt: skip
        names = [name for shop, of in self.shops.items() for name in (of.called or [shop])]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{twice[0]} is two shops' name: a delivery would be of both")
        return self

    def _check_secrets(self) -> None:
        for shop, of in self.shops.items():
            for number, secret in enumerate(of.secrets, 1):
                try:
                    self._key(secret)
                except ValueError:
                    form = self.signature.key if self.signature is not None else "text"
                    raise ValueError(f"shop {shop}: secret {number} is no {form}, as `signature: {{key: {form}}}` wants"
                                     ) from None  # fmt: skip
                if self.token is not None and len(secret.reveal()) < _SHORTEST_TOKEN:
                    raise ValueError(f"shop {shop}: secret {number} is a token of fewer than {_SHORTEST_TOKEN} "
                                     "characters, and could be guessed")  # fmt: skip

    # -- what the core asks

    def kinds(self) -> Mapping[str, Fields]:
        other: Mapping[str, Fields] = {OTHER: {}} if self.by_topic else {}
        return {**{each.kind: {} for each in self._namings.values()}, **other, **self.shapes}

    def topics(self) -> Mapping[str, str]:
        if not self.by_topic:
            return {self.kind: self.kind}
        return {name: self._namings[name].kind for name in self.by_topic}

    def tells(self) -> Mapping[str, Json]:
        return self.said

    def reply(self) -> Reply:
        return Reply(self.answer.status, self.answer.text, self.answer.type)

    def signing_keys(self) -> Mapping[str, Sequence[bytes]]:
        """The keys by shop, where a header or the query says whose a delivery is. What is in the body was signed, if
        the body was."""
        is_signed = self.signature is not None and self.signature.signs_body
        is_claimed = self.shop is not None and not (is_signed and self._is_by_document)
        return {name: keys for name, keys in self._keys.items() if is_claimed and len(self.shops) > 1}

    def check_headers(self, headers: Mapping[str, str]) -> None:
        if self.signature is not None and self.ping is None:
            self.signature.check_header(headers)

    def verify(self, arrival: HttpArrival) -> Verified:
        """Say whose delivery it is: of the shop that it names, if one of the shop's secrets authenticates it."""
        self._answer_ping(arrival)
        if not self._is_by_document:
            return self._verified(arrival, self._named_shop(arrival, None))
        owner = next((name for name in self.shops if self._secret(name, arrival) is not None), None)
        if owner is None:
            raise NotAuthentic(f"no secret matched; {_fingerprint(arrival.body)}")
        try:
            claimed = self._named_shop(arrival, self._decoded(arrival.body))
        except Malformed:
            return self._verified(arrival, owner)
        return self._verified(arrival, claimed)

    def _answer_ping(self, arrival: HttpArrival) -> None:
        if self._ping is None or len(arrival.body) > _LONGEST_PING:
            return
        is_signed = self.signature is not None and self.signature.header in arrival.headers
        if not is_signed and self._ping.fullmatch(arrival.body):
            raise Answered("a ping", self.reply())

    def _verified(self, arrival: HttpArrival, shop: str) -> Verified:
        secret = self._secret(shop, arrival)
        if secret is None:
            raise NotAuthentic(f"no secret of shop {shop} matched; {_fingerprint(arrival.body)}")
        return Verified(tenant=shop, secret=secret)

    def _named_shop(self, arrival: HttpArrival, document: Json) -> str:
        if self.shop is None:
            return next(iter(self.shops))
        try:
            claimed = self.shop(self._scope(arrival, document))
        except Malformed:
            claimed = None
        shop = self._shops.get(claimed or "")
        if shop is None:
            raise NotAuthentic(f"shop {_shown(claimed)} is not configured" if claimed else "it names no shop")
        return shop

    def _secret(self, shop: str, arrival: HttpArrival) -> int | None:
        """The index of the shop's secret that authenticates a delivery."""
        keys = self._keys[shop]
        if self.signature is not None:
            self.signature.check_header(arrival.headers)
            return self.signature.matching(keys, arrival)
        if self.is_open:
            return 0
        claimed = self._claimed(arrival.headers)
        found: int | None = None
        for index, key in enumerate(keys):
            if hmac.compare_digest(key, claimed) and found is None:
                found = index
        return found

    def _claimed(self, headers: Mapping[str, str]) -> bytes:
        """The token, or `user:password`, as a header brings it. Empty: there is none."""
        header, prefix = (
            (self.token.header, self.token.prefix) if self.token is not None else ("Authorization", "Basic ")
        )
        text = headers.get(header) or ""
        if text[: len(prefix)].lower() != prefix.lower():
            return b""
        found = raw(text[len(prefix) :])
        if self.token is not None:
            return found
        try:
            return base64.b64decode(found, validate=True)
        except binascii.Error:
            return b""

    def label(self, arrival: HttpArrival, verified: Verified) -> Label:
        scope = self._scope(arrival, None)
        topic = _found(self.topic, scope)
        made = _made_up_id(verified.tenant, topic, arrival.body)
        return Label(id=_found(self.id, scope) or made, topic=topic, headers=self._stored(scope))

    def read(self, arrival: HttpArrival, verified: Verified) -> Envelope:
        """Name the document by the expressions. Headers and the query are claims, unless the signature holds them."""
        body, tenant = arrival.body, verified.tenant
        document = self._decoded(body)
        if type(document) is not dict:
            raise Malformed("not a JSON object")
        scope = self._scope(arrival, document)
        self._answer_challenge(scope)
        topic = (_fit("topic", self.topic(scope)) or "") if self.topic is not None else self.kind
        if self._ignored is not None and self._ignored.fullmatch(topic):
            raise Answered(f"topic {_shown(topic)} is ignored", self.reply())
        naming = self._namings.get(topic) or self._namings[""]
        version = naming.version(scope) if naming.version is not None else None
        return Envelope(
            source=arrival.source,
            id=(_fit("id", self.id(scope)) if self.id is not None else None) or _made_up_id(tenant, topic, body),
            topic=topic,
            kind=naming.kind if self.fetched is None or naming.kind == OTHER else THIN,
            tenant=tenant,
            lane=self._lane(naming, scope),
            version=version,
            aliases=_aliases(naming.aliases, scope),
            occurred_at=naming.time(scope) if naming.time is not None else version,
            received_at=arrival.received_at,
            headers=self._stored(scope),
            raw=body,
        )

    def _answer_challenge(self, scope: Mapping[str, Json]) -> None:
        text = self.challenge(scope) if self.challenge is not None else None
        if text is None:
            return
        if len(text) > _LONGEST_CHALLENGE or not (text.isascii() and text.isprintable()):
            raise Malformed(f"the challenge is longer than {_LONGEST_CHALLENGE} characters, or no printable ASCII")
        raise Answered("a challenge", Reply(self.answer.status, text))

    def _lane(self, naming: _Naming, scope: Mapping[str, Json]) -> str:
        lane = _fit("order's id", naming.lane(scope))
        if not lane:
            raise Malformed(f"{naming.lane.source} is empty: nothing names the order")
        return lane

    # -- thin webhooks

    @property
    def fetches(self) -> bool:
        """Whether webhooks bring only the id of a document."""
        return self.fetched is not None

    @property
    def fetch_rate(self) -> float | None:
        """The most requests a second."""
        return None if self.fetched is None else self.fetched.rate

    def is_thin(self, envelope: Envelope) -> bool:
        return self.fetched is not None and envelope.kind == THIN

    def fetch(self, envelope: Envelope, *, now: datetime, fresh: bool) -> Fetching:
        """Fetch the document that a webhook names."""
        if self.fetched is None:
            raise BridgeError("there is no `fetch:`")
        stored = dict(envelope.headers)
        query = parameters(stored.pop(QUERY, ""))
        shop = self.shops.get(envelope.tenant)
        own = None if shop is None else shop.authentication
        return Fetched(
            settings=self.fetched,
            credentials=own or self.fetched.authentication,
            envelope=envelope,
            scope={"doc": self._decoded(envelope.raw), "headers": stored, "query": query},
            kind=(self._namings.get(envelope.topic) or self._namings[""]).kind,
            aliased=_aliases,
        ).conversation(now=now, fresh=fresh)

    # -- by hand

    def sign(self, body: bytes, *, topic: str, tenant: str | None, delivery_id: str) -> Mapping[str, str]:
        return self.sign_at(body, topic=topic, tenant=tenant, delivery_id=delivery_id, at=clock.now())

    def sign_at(
        self, body: bytes, *, topic: str, tenant: str | None, delivery_id: str, at: datetime
    ) -> Mapping[str, str]:
        """Make the headers of a delivery. A topic, id or shop that stands in the body is left as it is there."""
        shop = tenant or next(iter(self.shops))
        if shop not in self.shops:
            raise BridgeError(f"shop {_shown(shop)} is not configured; there is: {', '.join(self.shops)}")
        called = (self.shops[shop].called or [shop])[0]
        told = {self.topic: topic, self.id: delivery_id, self.shop: called}
        headers = {of.alone: text for of, text in told.items() if of is not None and of.alone}
        headers["Content-Type"] = "application/json"
        if self.is_open:
            return headers
        key = self._keys[shop][0]
        if self.signature is not None:
            return self.signature.headers_of(key, body, headers, at)
        if self.token is not None:
            return {**headers, self.token.header: self.token.prefix + key.decode()}
        return {**headers, "Authorization": f"Basic {base64.b64encode(key).decode()}"}

    def fitting_secret(self, body: bytes, *, tenant: str | None, signature: str) -> str | None:
        for shop, keys in self._keys.items():
            for index, key in enumerate(keys):
                if tenant in (None, shop) and self.signature is not None and self.signature.fits(key, body, signature):
                    origin = self.shops[shop].secrets[index].origin
                    return f"{shop}: secret {index + 1} of {len(keys)}" + (f" ({origin})" if origin else "")
        return None

    # -- what is worked out once

    @cached_property
    def _keys(self) -> Mapping[str, Sequence[bytes]]:
        return {name: tuple(map(self._key_or_text, shop.secrets)) for name, shop in self.shops.items()}

    def _key_or_text(self, secret: Secret) -> bytes:
        """The key of a secret. An invented one, with which rules are tried, need not have the form of a real one."""
        try:
            return self._key(secret)
        except ValueError:
            return secret.reveal().encode()

    def _key(self, secret: Secret) -> bytes:
        if self.signature is None:
            return (
                f"{self.basic.user}:{secret.reveal()}".encode() if self.basic is not None else secret.reveal().encode()
            )
        return self.signature.key_of(secret.reveal())

    @cached_property
    def _shops(self) -> Mapping[str, str]:
        return {called: name for name, shop in self.shops.items() for called in (shop.called or [name])}

    @cached_property
    def _is_by_document(self) -> bool:
        return self.shop is not None and self.shop.is_of_document

    @cached_property
    def _namings(self) -> Mapping[str, _Naming]:
        """How documents are named, by topic; without a name, those of all other topics."""
        usual = _Naming(self.kind, self.lane, self.version, self.time, self.aliases)
        if not self.by_topic:
            return {"": usual}
        found = {
            name: _Naming(
                of.kind or usual.kind,
                of.lane or usual.lane,
                of.version or usual.version,
                of.time or usual.time,
                usual.aliases if of.aliases is None else of.aliases,
            )
            for name, of in self.by_topic.items()
        }
        return {**found, "": _Naming(OTHER, self.lane, None, None, self.aliases)}

    @cached_property
    def _expressions(self) -> Sequence[DeliveryExpression]:
        own = [each for each in (self.id, self.topic, self.shop, self.challenge) if each is not None]
        own += self.fetched.values.values() if self.fetched is not None else ()
        return [*own, *(each for naming in self._namings.values() for each in naming.expressions())]

    @cached_property
    def _decode(self) -> Any:  # noqa: ANN401  a function
        return DeliveryExpression.decoder(self._expressions)

    @cached_property
    def _headers(self) -> tuple[str, ...]:
        return tuple(sorted(frozenset[str]().union(*(each.headers for each in self._expressions))))

    @cached_property
    def _parameters(self) -> frozenset[str]:
        return frozenset[str]().union(*(each.parameters for each in self._expressions))

    @cached_property
    def _ping(self) -> re.Pattern[bytes] | None:
        return None if self.ping is None else re.compile(self.ping.encode())

    @cached_property
    def _ignored(self) -> re.Pattern[str] | None:
        patterns = [".*".join(map(re.escape, each.split("*"))) for each in self.ignore]
        return re.compile("|".join(patterns), re.DOTALL) if patterns else None

    def _decoded(self, body: bytes) -> Json:
        try:
            return self._decode(body)
        except RecursionError:
            raise Malformed("nested too deeply") from None
        except (ValueError, ArithmeticError):
            raise Malformed(f"not JSON, {len(body)} bytes") from None

    def _scope(self, arrival: HttpArrival, document: Json) -> dict[str, Json]:
        given = arrival.headers
        headers = {name: text for name in self._headers if (text := given.get(name)) and _is_plain(text)}
        query: Mapping[str, str] = {}
        if self._parameters and arrival.query:
            found = parameters(arrival.query).items()
            query = {name: text for name, text in found if name in self._parameters and _is_plain(text)}
        return {"doc": document, "headers": headers, "query": query}

    def _stored(self, scope: Mapping[str, Json]) -> Mapping[str, str]:
        """The headers that are kept: those that the expressions read, with what they read of the query."""
        headers: Mapping[str, str] = scope["headers"]
        return {**headers, QUERY: urlencode(scope["query"])} if scope["query"] else headers


CONNECTOR = Webhook


def _found(expression: DeliveryExpression | None, scope: Mapping[str, Json]) -> str:
    """The text that an expression gives without the document. Empty: none that could be stored."""
    if expression is None or expression.is_of_document:
        return ""
    try:
        return _fit("name", expression(scope)) or ""
    except Malformed:
        return ""


def _fit(what: str, text: str | None) -> str | None:
    if text and not _is_plain(text):
        raise Malformed(f"the {what} is longer than {_LONGEST} characters, or not printable")
    return text


def _aliases(aliases: Mapping[Alias, DeliveryExpression], scope: Mapping[str, Json]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name, expression in aliases.items():
        text = expression(scope)
        if text and text.isprintable() and (text := text.strip()):
            found[text if name == "name" else f"{name}:{text.lower() if name == 'email' else text}"] = None
    return tuple(found)


def _is_plain(text: str) -> bool:
    """Whether a text is fit to be stored and logged: short, and no control characters or lone surrogates."""
    return len(text) <= _LONGEST and text.isprintable()


def _shown(text: str) -> str:
    """A stranger's text, fit for a log: short, quoted and ASCII."""
    return ascii(text if len(text) <= 64 else text[:64] + "...")  # noqa: PLR2004 - a name is shorter


def _fingerprint(body: bytes) -> str:
    return f"body {len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:12]}"


def _made_up_id(shop: str, topic: str, body: bytes) -> str:
    """The id of a delivery that brings none. The same delivery has the same id."""
    return hashlib.sha256(b"\0".join((shop.encode(), topic.encode(), body))).hexdigest()
