"""Kafka: order topics in. See README.md beside this, and docs/kafka.md.

A pure connector: it says what to read and names records. The core does the reading, storing and committing.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bridge.contract import Envelope, Fields, Json, Record, RecordReading, Sasl, Subscription, Tls
from bridge.setting_types import Every, Expression, Secret, TimeExpression
from connectors.kafka import identity
from connectors.kafka.instance import Instance
from connectors.kafka.schemas import FilePath, SchemaRegistry, framing_of
from connectors.kafka.values import Unwrap, Values, document, framed_key

_BROKER = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")

CLIENT: Mapping[str, type] = {
    "client_id": str,
    "fetch_max_wait_ms": int,
    "fetch_min_bytes": int,
    "fetch_max_bytes": int,
    "max_partition_fetch_bytes": int,
    "request_timeout_ms": int,
    "retry_backoff_ms": int,
    "metadata_max_age_ms": int,
    "check_crcs": bool,
    "partition_assignment_strategy": str,
    "max_poll_interval_ms": int,
    "rebalance_timeout_ms": int,
    "session_timeout_ms": int,
    "heartbeat_interval_ms": int,
    "consumer_timeout_ms": int,
    "exclude_internal_topics": bool,
    "connections_max_idle_ms": int,
    "isolation_level": str,
    "client_rack": str,
    "sasl_kerberos_service_name": str,
    "sasl_kerberos_domain_name": str,
}
"""The options that `client:` may hold, by aiokafka's own names. The rest of its options has keys of ours."""

_SPOKEN = {str: "a text", int: "a whole number", bool: "true or false"}
_WORDS = {
    "partition_assignment_strategy": ("range", "roundrobin", "sticky"),
    "isolation_level": ("read_uncommitted", "read_committed"),
}


_DEFAULTS = Subscription(brokers=(), group="")
"""The defaults of the contract, for settings that are left out."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Topic(_Section):
    """How the records of a topic are read, and what they are called.

    Expressions read `doc`, `key`, `headers`, `topic` and `vars`.
    """

    tenant: str = Field(min_length=1)
    """Shop to which the topic's orders belong."""
    kind: str = Field(default="order", pattern=r"^[a-z][a-z0-9_]*$")
    """Kind of the documents, which rules name in `for`."""
    lane: Expression | None = None
    """Expression for the order's id. The same id and tenant from a webhook is the same order. Default: the record's
    key; if the key is JSON, what it says."""
    version: TimeExpression | None = None
    """Expression for the time of the document's last change. Default: none, and no document is stale."""
    aliases: dict[identity.Alias, Expression] = {}
    """Expressions for the names under which the order is found and erased."""
    values: Values = "json"
    """Form of the values. `avro` and `json-schema` are in Confluent's wire format and need `registry`; JSON Schema is
    not validated."""
    unwrap: Unwrap = "none"
    """Wrapping that is taken off: of `debezium` the row as it is now stays, of `cloudevents` the data, of `eventbridge`
    the detail."""


class TlsSettings(_Section):
    """Files for TLS, in PEM."""

    ca: FilePath | None = None
    """File of the authorities that are trusted. Default: those of this machine."""
    certificate: FilePath | None = None
    """File of the client's certificate. Default: none is shown."""
    key: FilePath | None = None
    """File of the certificate's key."""
    password: Secret | None = None
    """Password of the key."""


class SaslSettings(_Section):
    """How the bridge logs in at the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
    """Mechanism of SASL. OAUTHBEARER takes `token`, the others `username` and `password`."""
    username: str = ""
    """User name."""
    password: Secret | None = None
    """Password of the user."""
    token: FilePath | None = None
    """File that holds the token. It is read for each connection (untried)."""

    @model_validator(mode="after")
    def _whole(self) -> "SaslSettings":
        if self.mechanism == "OAUTHBEARER" and self.token is None:
            raise ValueError("OAUTHBEARER takes `token:`, a file that holds the token")
        if self.mechanism != "OAUTHBEARER" and not (self.username and self.password):
            raise ValueError(f"{self.mechanism} takes `username:` and `password:`")
        return self


class Kafka(_Section):
    """Order topics of one cluster, read as one consumer group."""

    brokers: list[str] = Field(min_length=1)
    """Brokers to begin with, each as `host:port`. The others are found through them."""
    group: str = Field(min_length=1)
    """Consumer group. It needs the right to read the topics and the group."""
    by_name: dict[str, Topic] = Field(default={}, alias="topics")
    """Topics by name."""
    patterns: dict[str, Topic] = {}
    """Topics by a regular expression for the whole name. New topics that match are read too."""
    shapes: dict[str, dict[str, Any]] = Field(default={}, alias="kinds")
    """Shapes of documents by kind, against which rules are checked. A kind that is not described here may have any
    field, unless another source or the included rules of a connector describe it."""
    said: dict[str, str | int | bool] = Field(default={}, alias="tells")
    """Settings that rules read as `source.NAME`, such as `currency` and `test_orders` for Shopify's default rules."""
    start: Literal["earliest", "latest"] | datetime = _DEFAULTS.start
    """The beginning of a partition without a committed position: an end, or a time with its zone."""
    on_lost_position: Literal["stop", "earliest", "latest"] = _DEFAULTS.lost
    """What happens where records were deleted before they were read: stop the partition until a person decides, or go
    on at one of its ends."""
    instance: Instance | None = None
    """Name of a static member, kept over restarts so that they cause no rebalance. `env:HOSTNAME` takes the pod's name.
    With a journal in Postgres several bridges share one file, so a name that is written out is refused. Default: the
    member is not static."""
    tls: TlsSettings | Literal[True] | None = None
    """TLS to the brokers: `true`, or files. Default: plain text."""
    sasl: SaslSettings | None = None
    """Login at the brokers. Default: none."""
    registry: SchemaRegistry | None = None
    """Schema registry for `values: avro` and `json-schema`."""
    commit_every: Every = _DEFAULTS.commit_every
    """Time that the position of stored records may stay uncommitted."""
    max_in_flight: int = Field(default=_DEFAULTS.in_flight, ge=1, le=100_000)
    """Records that are read and not stored yet, at the most. Each partition has an equal share, but at least one."""
    max_bytes_in_flight: int = Field(default=_DEFAULTS.bytes_in_flight, ge=1_048_576)
    """Bytes of these records at the most. Each partition has an equal share, but at least one record."""
    client: dict[str, Any] = {}
    """Options of aiokafka by their own names, such as `session_timeout_ms` and `max_partition_fetch_bytes`."""

    _compiled: list[tuple[re.Pattern[str], Topic]] = PrivateAttr(default_factory=list)

    @field_validator("brokers")
    @classmethod
    def _brokers(cls, brokers: list[str]) -> list[str]:
        for broker in brokers:
            if not _BROKER.fullmatch(broker):
                raise PydanticCustomError("broker", "a broker is written host:port, such as kafka-1.example:9092")
        return brokers

    @field_validator("by_name")
    @classmethod
    def _names(cls, topics: dict[str, Topic]) -> dict[str, Topic]:
        for name in topics:
            if not _TOPIC.fullmatch(name):
                raise PydanticCustomError("topic", "{name} is no topic's name; a regular expression goes under "
                                          "`patterns:`", {"name": name})  # fmt: skip
        return topics

    @field_validator("patterns")
    @classmethod
    def _patterns(cls, patterns: dict[str, Topic]) -> dict[str, Topic]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as problem:
                raise PydanticCustomError("pattern", "{pattern} is no regular expression: {problem}",
                                          {"pattern": pattern, "problem": str(problem)}) from None  # fmt: skip
        return patterns

    @field_validator("start", mode="before")
    @classmethod
    def _instant(cls, start: object) -> object:
        if not isinstance(start, str) or start in ("earliest", "latest"):
            return start
        found = identity.instant(start)
        if found is None:
            complaint = "start is earliest, latest, or a time with its zone: 2026-11-20T00:00:00Z"
            raise PydanticCustomError("start", "{complaint}", {"complaint": complaint})
        return found

    @field_validator("client")
    @classmethod
    def _options(cls, client: dict[str, Any]) -> dict[str, Any]:
        for name, value in client.items():
            if complaint := _unfit(name, value):
                raise PydanticCustomError("client", "{complaint}", {"complaint": complaint})
        return client

    @model_validator(mode="after")
    def _something(self) -> "Kafka":
        if not self._every():
            raise ValueError("say what is read: `topics:` or `patterns:`")
        if self.registry is None and any(topic.values == "avro" for topic in self._every()):
            raise ValueError("Avro needs a schema registry: `registry: {url: ...}`")
        self._compiled.extend((re.compile(pattern), topic) for pattern, topic in self.patterns.items())
        return self

    # -- what the core asks

    def _every(self) -> Sequence[Topic]:
        return [*self.by_name.values(), *self.patterns.values()]

    def kinds(self) -> Mapping[str, Fields]:
        """Kinds with their fields. A kind that is not described here has any fields, unless another source describes
        it."""
        return {
            **{topic.kind: {} for topic in self._every()},
            **self.shapes,
            identity.TOMBSTONE: {},
            identity.NO_ROW: {},
        }

    def tells(self) -> Mapping[str, Json]:
        return self.said

    def topics(self) -> Mapping[str, str]:
        return {name: topic.kind for name, topic in self.by_name.items()}

    def subscription(self) -> Subscription:
        pattern = "|".join((*map(re.escape, self.by_name), *self.patterns)) if self.patterns else None
        return Subscription(
            brokers=tuple(self.brokers),
            group=self.group,
            topics=tuple(self.by_name),
            pattern=pattern,
            start=self.start,
            lost=self.on_lost_position,
            instance=self.instance.name if self.instance is not None else None,
            is_instance_literal=self.instance is not None and self.instance.is_literal,
            tls=self._tls(),
            sasl=None if self.sasl is None else Sasl(**dict(self.sasl)),
            commit_every=self.commit_every,
            in_flight=self.max_in_flight,
            bytes_in_flight=self.max_bytes_in_flight,
            client=self.client,
        )

    def _tls(self) -> Tls | None:
        if self.tls is None or self.tls is True:
            return None if self.tls is None else Tls()
        return Tls(**dict(self.tls))

    def read(self, record: Record) -> RecordReading:
        topic = self._topic(record.topic)
        found = yield from document(record, topic.values, topic.unwrap, self.registry)
        if found.raw is None and topic.lane is not None and record.key:
            found = found._replace(key=(yield from framed_key(record.key, topic.values, self.registry)))
        return identity.named(record, found, topic)

    def unreadable(self, record: Record, why: str) -> Envelope:
        topic = self._topic(record.topic)
        instead = framing_of(record.value or b"", topic.values) if why.startswith("not ") else ""
        return identity.unreadable(record, f"{why}: {instead}" if instead else why, topic)

    def _topic(self, name: str) -> Topic:
        if name in self.by_name:
            return self.by_name[name]
        return next(topic for pattern, topic in self._compiled if pattern.fullmatch(name))


CONNECTOR = Kafka


def _unfit(name: str, value: Json) -> str:
    """Describe what is wrong with an option of the client, or nothing."""
    if name not in CLIENT:
        return f"{name} is no option that may be set here; there are: {', '.join(sorted(CLIENT))}"
    if type(value) is not CLIENT[name]:
        return (
            f"{name} is {'a text' if CLIENT[name] is str else 'true or false' if CLIENT[name] is bool else 'a number'}"
        )
    if name in _WORDS and value not in _WORDS[name]:
        return f"{name} is one of {', '.join(_WORDS[name])}"
    return ""
