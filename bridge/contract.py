"""All that a connector may know of the core: the objects that travel, the outcomes, the reasons, and the protocols. The
types of its settings stand in setting_types.py.

The objects that travel between the packages are frozen and plain. Times are aware datetimes, money is Decimal, ids are
text.
"""

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Flag, StrEnum, auto
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, Self, TypeAlias, runtime_checkable

import msgspec

from bridge.errors import Reply
from bridge.setting_types import Secret

Json: TypeAlias = Any
"""What a JSON document decodes to: dict, list, str, int, Decimal, bool or None. Never a float."""


class State(StrEnum):
    """What is stored with the key of a fact."""

    DEPARTED = "departed"
    DELIVERED = "delivered"
    DEAD = "dead"
    UNCERTAIN = "uncertain"
    SHADOWED = "shadowed"
    DROPPED = "dropped"


HOLDS = frozenset({State.DEPARTED, State.DELIVERED, State.UNCERTAIN, State.SHADOWED, State.DROPPED})
"""States whose key makes a later equal fact fall away."""


class Effect(Flag):
    """The effects of a reason beside being reported."""

    NONE = 0
    TROUBLE = auto()
    """The destination seems not to work: counts towards the breaker."""
    SLOW_DOWN = auto()
    """The destination can take less: lowers the limit of concurrency."""
    UNHEARD = auto()
    """The bridge itself gives it: it says nothing of the destination."""


class Reason(StrEnum):
    """A reason, from a closed list. These texts are stored, logged, counted and searched for. Beside each stands its
    effect."""

    effect: Effect

    def __new__(cls, text: str, effect: Effect = Effect.NONE) -> Self:
        reason = str.__new__(cls, text)
        reason._value_ = text
        reason.effect = effect
        return reason

    # A skip sends nothing and holds nothing.
    NO_RULE = "no rule"
    NOT_TRUE = "not true"
    NOTHING_TO_SEND = "nothing to send"
    STALE = "stale"
    TOO_OLD = "too old"
    BEFORE_SINCE = "before since"
    NO_IDENTITY = "no identity"
    TEST_ORDER = "test order"
    ALREADY = "already"
    ERASED = "erased"
    FETCHED = "fetched"
    # A dead letter is ended by a person, or by a later document of the order.
    RULE_FAILED = "rule failed", Effect.UNHEARD
    REFUSED = "refused"
    GAVE_UP = "gave up"
    NOT_CARRIED_OUT_YET = "not carried out yet"
    UNREADABLE = "unreadable"
    TENANT_IN_DOUBT = "tenant in doubt"
    CONNECTOR_FAILED = "connector failed", Effect.UNHEARD
    # What is uncertain may have arrived.
    NO_ANSWER = "no answer", Effect.TROUBLE | Effect.SLOW_DOWN
    ENDED_IN_FLIGHT = "ended in flight"
    SERVER_ERROR = "server error", Effect.TROUBLE | Effect.SLOW_DOWN
    RESTORED = "restored", Effect.UNHEARD
    # What is postponed is tried again.
    UNREACHABLE = "unreachable", Effect.TROUBLE | Effect.SLOW_DOWN
    TIMED_OUT = "timed out", Effect.TROUBLE | Effect.SLOW_DOWN
    THROTTLED = "throttled", Effect.SLOW_DOWN
    NOT_ALLOWED = "not allowed"
    NOT_UNDERSTOOD = "not understood"
    SESSION_UNKNOWN = "session unknown"
    RULE_HELD = "rule held"
    SHUTTING_DOWN = "shutting down"
    # Ends that a person or a later document gave.
    HEALED = "healed"
    DROPPED_BY_HAND = "dropped by hand"
    RETRIED_BY_HAND = "retried by hand"
    SENT_BY_HAND = "sent by hand"
    SETTLED_BY_HAND = "settled by hand"
    NO_SUCH_KEY = "no such key"
    CARRIED_OUT = "carried out"


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """A base for objects that are made in large numbers. They cannot be changed, and are made in a tenth of the time of
    a frozen dataclass.

    hidden  fields that may be personal or secret, and are not shown when it is printed
    """

    hidden: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.hidden]


# -- what comes in ----------------------------------------------------------------------------------------------------


class HttpArrival(Plain, frozen=True, kw_only=True):
    """One request at the door, as it came: the body is the raw bytes, header names compare in any letter case.

    query  what stands behind the `?` of its address, as it came
    """

    source: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    query: str = ""
    hidden: ClassVar = frozenset(("headers", "body", "query"))


class Verified(Plain, frozen=True, kw_only=True):
    """The tenant whose request it is, and which of the configured secrets (counted from 0) signed it."""

    tenant: str
    secret: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a stream, as it came.

    timestamp  as the broker has it, in milliseconds: it tells records apart; -1: none
    at         the same, but never later than now: it is what `received_at` becomes
    key        None: it has none
    value      None: a tombstone
    fault      why the bytes that the brokers have are no record; they are its value, and no source is asked to read it
    """

    source: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    at: datetime
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Sequence[tuple[str, bytes]] = field(default=(), repr=False)
    fault: str = ""


KEY = ":key"
"""The name under which an envelope keeps its record's key among its headers: no header can have it."""

QUERY = ":query"
"""The name under which an envelope keeps, among its headers, the part of a request's query that its source reads."""

EXAMINATION = b'{"examination": "attribution-bridge"}'
"""A signed body by which a person asks the door whether a signature passes: answered 422, and not stored."""


_PERSON: Final = re.compile(r"(customer(?:_[a-z]+)?):.")


def shown_lane(lane: str) -> str:
    """A lane as logs may show it. The lane of a customer is named by the customer's number, which must not be
    logged."""
    found = _PERSON.match(lane)
    return lane if found is None else f"{found[1]}:***"


class Envelope(Plain, frozen=True, kw_only=True):
    """A document with its name: what the journal keeps, and what is mapped when it is claimed.

    source       the source's name in the configuration
    id           the platform's delivery id; deliveries with the same id in one lane are duplicates
    topic        the platform's word for what happened
    kind         the document's shape: `order`, `refund`, ...
    tenant       the shop
    lane         canonical text of the order's id: the unit of order, of the lock and of once, within the tenant. A
                 document without an order has a lane of its own.
    version      orders the documents of one lane, source and kind; None: unversioned
    aliases      texts under which the order is found and erased, such as `#1042`, `customer:7`, `email:a@b.example`.
                 The journal keeps salted hashes of them only.
    came_at      when the bridge took it in, where that is not received_at: a record is received when it was produced.
                 Retention counts from it
    headers      those that rules may read; never the signature
    raw          the body as it came
    reason       set where the source knows the end already: TEST_ORDER is settled as skipped, NOT_CARRIED_OUT_YET and
                 UNREADABLE are parked as dead; no rule sees such a document
    detail       why, for people: nothing personal
    by_header    the id stands in a header, which nobody signed: only a delivery with the same body too is known. Set by
                 the core
    rivals       tenants to whom the same secret belongs: which of them it is, only a header says. Set by the core
    also         other names of the tenant: an order that the journal has under one of them is the same order
    """

    source: str
    id: str
    topic: str
    kind: str
    tenant: str
    lane: str
    version: datetime | None = None
    aliases: tuple[str, ...] = ()
    occurred_at: datetime | None = None
    received_at: datetime
    came_at: datetime | None = None
    headers: Mapping[str, str] = {}
    raw: bytes
    reason: Reason | None = None
    detail: str = ""
    by_header: bool = False
    rivals: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    hidden: ClassVar = frozenset(("aliases", "headers", "raw"))

    def is_stale(self, newest: datetime | None) -> bool:
        """Whether a newer version of the document was mapped already: `newest` is the newest; None: none was."""
        return self.version is not None and newest is not None and self.version < newest

    @property
    def key(self) -> str | None:
        """The key of the record that brought it, as text."""
        return self.headers.get(KEY)

    def names(self, seq: int) -> Mapping[str, object]:
        """What binds a line of the log to its delivery. seq: its number in the journal."""
        return {
            "source": self.source,
            "tenant": self.tenant,
            "topic": self.topic,
            "id": self.id,
            "lane": shown_lane(self.lane),
            "seq": seq,
        }


# -- what goes out ----------------------------------------------------------------------------------------------------


class Event(Plain, frozen=True, kw_only=True):
    """One mapped fact. It is sent once per (destination, lane, fact, once).

    once    canonical: a JSON array of texts; `[]` is once per lane
    at      when it happened
    resend  the rule says `uncertain: resend`: after silence it is sent again, and two may arrive
    give    what the rule gave, without the keys that were optional and empty. Decimal, int, str, bool, dict and list.
    left_out  why optional keys are not in it, where what they read has another shape; holds no value of the document
    """

    rule: str
    fact: str
    once: str
    at: datetime
    give: Mapping[str, Json]
    resend: bool = False
    left_out: tuple[str, ...] = ()
    hidden: ClassVar = frozenset(("give",))


class Response(Plain, frozen=True, kw_only=True):
    """What the other side answered. Header names are in lower case; the body is cut at the request's `longest`.

    is_whole  False: the body was longer than the request's `longest`, and is cut there
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    is_whole: bool = True
    hidden: ClassVar = frozenset(("headers", "body"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One request in flight for all who ask the same. What is kept of its answer is remembered for `ttl`.

    key    names what is shared; the conversation keys it (a hash) so that it holds nothing personal
    keep   gives the part of an answer that is remembered: no more than is needed, since many are. None: the answer was
           not understood, and the next request is sent anew. Those that asked and waited get the whole answer, and
           later ones get the part that was kept
    fresh  what is remembered turned out to be no longer true: send anew, and remember that answer instead
    """

    key: str
    ttl: timedelta
    keep: Callable[[Response], Response | None]
    fresh: bool = False


class Request(Plain, frozen=True, kw_only=True):
    """What a conversation asks the core to send.

    repeatable  a second arrival has no second effect. Only such requests are sent again after silence; before the
                first that is not, the fact is marked `departed` in the journal.
    shadow      stands in for the answer where the destination is in shadow mode; None: the request only reads, and is
                sent in shadow mode too
    longest     bytes of the answer's body that are read; the rest is cut off, and the answer is not whole
    ca          a PEM file of the authorities to be trusted; empty: those that this machine trusts
    secret_query    parameters that are added to the address when it is sent, and are shown nowhere
    secret_headers  names of headers that hold a secret, beside Authorization: `preview` and cases leave them out
    is_body_secret  the body holds a secret: `preview` and cases leave it out
    """

    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    repeatable: bool = False
    share: Share | None = None
    shadow: Response | None = None
    longest: int = 65_536
    ca: str = ""
    secret_query: Mapping[str, str] = {}
    secret_headers: frozenset[str] = frozenset()
    is_body_secret: bool = False
    hidden: ClassVar = frozenset(("headers", "body", "secret_query"))


class Attempt(Plain, frozen=True, kw_only=True):
    """The number and the time of an attempt at a fact. A conversation never asks a clock.

    number  counts from 1
    key     names the fact: it is the same at every attempt, and no other fact has it. It is made of the destination,
            tenant, lane, fact and once, and tells none of them
    """

    now: datetime
    first_tried_at: datetime
    number: int
    key: str = ""


# Outcomes of a conversation. `detail` is for people: never personal data, never the whole body.


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side has it."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A fact of which nothing could be sent. Its key is not held."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A definite no to this fact. Sending it again unchanged is useless."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """A request that certainly had no effect, or may be repeated without harm. It is sent again later, not before
    `after`."""

    reason: Reason
    detail: str = ""
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The request may have arrived, and repeating it could have a second effect. after: how long the other side wants
    to be left alone by everybody."""

    reason: Reason
    detail: str = ""
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Paused:
    """A no to everything from us, not only to this fact. The destination is paused, and its facts wait."""

    reason: Reason
    detail: str = ""


Outcome: TypeAlias = Delivered | Skipped | Rejected | Retry | Uncertain | Paused
Conversation: TypeAlias = Generator[Request, Response, Outcome]


# -- descriptions of documents and events ------------------------------------------------------------------------------

Type: TypeAlias = Literal["text", "integer", "number", "money", "time", "boolean", "any"]
Fields: TypeAlias = Mapping[str, "Type | Fields | Sequence[Type | Fields]"]
"""A shape: field names to a type, to a nested shape, or to a list `[element]` of either.

money and number arrive as JSON text or number and are Decimal in rules; time is ISO 8601 text; any is not looked into.
Any field may be null or absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventShape:
    """What a destination takes as `give`: checked when rules are loaded.

    fields      as for documents
    required    keys that every event must have
    one_of      groups of keys of which every event needs at least one
    at_most_one groups of keys of which an event may have only one
    name        the key whose literal value names the fact where a rule has no `fact:`
    choices     key to the literal values it may have
    settings    key to the setting of the destination that adds values to its choices
    worth       the keys of an amount and its currency: what an accepted event adds to accounts
    """

    fields: Fields
    required: frozenset[str] = frozenset()
    one_of: tuple[frozenset[str], ...] = ()
    at_most_one: tuple[frozenset[str], ...] = ()
    name: str | None = None
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    worth: tuple[str, ...] = ()

    def worth_of(self, event: Event) -> str:
        """The amount that the event adds to accounts: `99.00 EUR`. Empty: it has none."""
        found = [event.give.get(key) for key in self.worth]
        return f"{found[0]} {found[1]}" if found and None not in found else ""


# -- what a connector implements ---------------------------------------------------------------------------------------


class Source(Protocol):
    """Takes in documents. Its class is a pydantic model: its settings are its fields."""

    def kinds(self) -> Mapping[str, Fields]:
        """The kinds of document it brings, each with its shape."""

    def topics(self) -> Mapping[str, str]:
        """The topics it knows, each with the kind of document that it brings."""


@runtime_checkable
class WebhookSource(Source, Protocol):
    """Platforms that post their documents to the door. Both calls are pure."""

    def verify(self, arrival: HttpArrival) -> Verified:
        """Say whose request it is, or raise NotAuthentic. Headers beyond the signature may be forged."""

    def read(self, arrival: HttpArrival, verified: Verified) -> Envelope:
        """Name the document. Raises Malformed if it cannot be read. Such a delivery is authentic, so it is stored with
        its bytes, parked as dead, and answered with 200."""


class Label(Plain, frozen=True, kw_only=True):
    """What the headers of a delivery say of it, fit to be stored. None of it is signed.

    id       the platform's delivery id, or one that is made from the body
    headers  those that `read` needs again, and no signature
    """

    id: str
    topic: str
    headers: Mapping[str, str] = {}
    hidden: ClassVar = frozenset(("headers",))


@runtime_checkable
class Labels(Protocol):
    """Optional for webhook sources: names a delivery whose body cannot be read."""

    def label(self, arrival: HttpArrival, verified: Verified) -> Label:
        """Name a delivery that cannot be read, by its headers alone. Raises nothing."""


@runtime_checkable
class Replies(Protocol):
    """Optional for webhook sources whose platform wants another answer than an empty 200."""

    def reply(self) -> Reply:
        """The answer to every delivery that is stored. Its status is between 200 and 299."""


@runtime_checkable
class Open(Protocol):
    """Optional for webhook sources that may take requests that nobody authenticates."""

    @property
    def is_open(self) -> bool:
        """Whether it does. Then the door must listen at this machine only."""


Fetching: TypeAlias = "Generator[Request, Response, Envelope | Outcome]"
"""A document that is fetched. All its requests only read."""


@runtime_checkable
class Fetches(Protocol):
    """Optional for webhook sources whose deliveries only name a document, which is fetched before it is mapped."""

    @property
    def fetches(self) -> bool:
        """Whether it has such deliveries, by its settings."""

    @property
    def fetch_rate(self) -> float | None:
        """The most requests a second. None: as many as are needed."""

    def is_thin(self, envelope: Envelope) -> bool:
        """Whether a document of it only names another."""

    def fetch(self, envelope: Envelope, *, now: datetime, fresh: bool) -> Fetching:
        """Yields requests, is sent the responses, and returns the document that was named, in the same lane, with an id
        that is the same at every attempt; or an outcome. Skipped: the platform has it no more.

        fresh: a person asks for it, so nothing that is remembered is used.
        """


@runtime_checkable
class Keyed(Protocol):
    """Optional for webhook sources whose tenant stands in a header, and whose orders have ids that no other tenant's
    order has."""

    def signing_keys(self) -> Mapping[str, Sequence[bytes]]:
        """The keys that may have signed, by tenant. A key of several tenants does not say whose an order is."""


@runtime_checkable
class Renames(Protocol):
    """Optional for sources: knows tenants by several names. What comes of them from any other source is theirs too.

    Sources that know the same tenant know it by the same names: that is checked when a configuration is read.
    """

    def families(self) -> Sequence[Sequence[str]]:
        """All names of each of its tenants, as `known_as` says them."""

    def known_as(self, name: str) -> Sequence[str]:
        """All names of the tenant that has or had this name. The first is the one under which new documents are stored.
        Empty: it is no name of a tenant of this source."""


def known_as(sources: Iterable[object], tenant: str) -> Sequence[str]:
    """All names of a tenant, from the first source that knows it. If no source knows it, that name alone."""
    renames = [source for source in sources if isinstance(source, Renames)]
    return next((names for each in renames if (names := each.known_as(tenant))), (tenant,))


@runtime_checkable
class HeaderCheck(Protocol):
    """A webhook source that can tell by the headers alone that no body can be authentic. Pure."""

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Raise NotAuthentic if there is no signature, or nobody it could be of. It is called before a body is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Paths of PEM files. ca None: the authorities that this machine trusts."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sasl:
    """The identity with which we log in. token: a file that is read for each new connection (OAUTHBEARER), else user
    name and password."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
    username: str = ""
    password: Secret | None = None
    token: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What the core reads for a stream source.

    topics         names; where there is a pattern they are part of it
    pattern        a regular expression that the whole name must match
    start          where a partition without a committed position begins: at its first record, at those that come from
                   now on, or at the first that is not older than an instant
    lost           what becomes of a partition whose position the log no longer has: it stops and says so, or it goes on
                   at the first record that is still there, or after the last
    instance       static membership: a name of this member that outlives restarts
    is_instance_literal  it stands in the configuration: every process that runs by the same one has it
    commit_every   how long a position may stay uncommitted
    in_flight      records that are read and not stored yet, at the most; each partition has its share of them
    bytes_in_flight  the same for the bytes that they take; a partition may always have one record
    client         further options of the client by their own names
    """

    brokers: tuple[str, ...]
    group: str
    topics: tuple[str, ...] = ()
    pattern: str | None = None
    start: Literal["earliest", "latest"] | datetime = "earliest"
    lost: Literal["stop", "earliest", "latest"] = "stop"
    instance: str | None = None
    is_instance_literal: bool = False
    tls: Tls | None = None
    sasl: Sasl | None = None
    commit_every: timedelta = timedelta(seconds=1)
    in_flight: int = 1000
    bytes_in_flight: int = 67_108_864
    client: Mapping[str, Json] = field(default_factory=dict)


RecordReading: TypeAlias = Generator[Request, Response, Envelope]


@runtime_checkable
class StreamSource(Source, Protocol):
    """Topics whose records are orders. All calls are pure."""

    def subscription(self) -> Subscription:
        """What to read, and from where."""

    def read(self, record: Record) -> RecordReading:
        """Names the document. May yield requests (a schema registry) and is sent the responses.

        Raises Malformed where it cannot be read: the record is parked as dead with its raw bytes, and the partition
        goes on. Raises NotNow where it can be read later: the partition waits. Silence on the wire is tried again.
        """

    def unreadable(self, record: Record, why: str) -> Envelope:
        """Names a record that cannot be read: with the reason UNREADABLE, in a lane of its own. Never raises."""


@runtime_checkable
class Signs(Protocol):
    """Optional for webhook sources: make a delivery as the platform would, for `send` and for tests."""

    def sign(self, body: bytes, *, topic: str, tenant: str | None, delivery_id: str) -> Mapping[str, str]:
        """The headers of a signed delivery. tenant None: the only tenant, or the first one configured."""

    def fitting_secret(self, body: bytes, *, tenant: str | None, signature: str) -> str | None:
        """The secret that made it, such as `example.myshopify.com: secret 1 of 2 (env:NAME)`. None: it is not
        configured."""


@runtime_checkable
class SignsWithTime(Signs, Protocol):
    """Optional for sources that sign, and whose signatures hold the time."""

    def sign_at(
        self, body: bytes, *, topic: str, tenant: str | None, delivery_id: str, at: datetime
    ) -> Mapping[str, str]:
        """Make the headers of a delivery that is signed at this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One document of a file.

    topic  a topic that brings such a document; empty: its shape does not say
    place  where in the file it stands, such as `orders[2]`; empty: it is the file
    """

    body: bytes = field(repr=False)
    topic: str = ""
    place: str = ""


@runtime_checkable
class Unpacks(Protocol):
    """Optional for webhook sources: takes apart files that hold documents in another way than deliveries do."""

    def unpacked(self, body: bytes) -> Sequence[Payload]:
        """The documents in a file, in their order. The file itself, if it is one document or nothing that is known."""


@runtime_checkable
class Addresses(Protocol):
    """Optional for webhook sources that sign, and whose documents name their tenant in the body."""

    def addressed(self, body: bytes, *, tenant: str | None) -> bytes:
        """Change an example as if it were of this tenant (None: as in `sign`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The fields and settings that the rules of a connector may read, whichever source brings the documents.

    kinds  the shapes of its documents. If another source brings such a kind, they add the fields that the
           source does not describe
    tells  settings, as `source.NAME`, with their values for a source that does not give them
    """

    kinds: Mapping[str, Fields]
    tells: Mapping[str, Json] = field(default_factory=dict)


@runtime_checkable
class Describes(Protocol):
    """Optional for connectors that ship rules: the rules fit the same documents when another source brings them."""

    @classmethod
    def described(cls) -> Described:
        """Describe what the rules may read. It is called when the configuration includes rules of the connector."""


@runtime_checkable
class Tells(Protocol):
    """Optional for sources: settings that rules may read, as `source.NAME`."""

    def tells(self) -> Mapping[str, Json]:
        """The settings by name. They are the same for every document that this source brings, and hold nothing
        secret."""


class Destination(Protocol):
    """Sends facts, as conversations. Its class is a pydantic model: its settings are its fields."""

    def shape(self) -> EventShape:
        """What `give` may and must hold."""

    def converse(self, event: Event, attempt: Attempt) -> Conversation:
        """Yields requests, is sent the responses, returns the outcome.

        Silence on the wire never comes back here: the core closes the generator, and judges by `repeatable`.
        """

    def probe(self) -> Request:
        """A harmless read that tells whether the other side answers."""

    def is_answer(self, response: Response) -> bool:
        """Whether an answer to the probe is the other side's own, be it a refusal: not a proxy's page, not a firewall's
        challenge, not a server's error."""
