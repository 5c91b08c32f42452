"""The sections of the configuration file that the core itself reads, each key with its type and default."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from bridge.database_url import complaint
from bridge.setting_types import Duration, Every, MadeUp, Secret, between

Port = Annotated[int, Field(ge=0, le=65535)]
FilePath = Annotated[Path, BeforeValidator(lambda given: Path(given) if isinstance(given, str) else given)]

_PER = {"s": 1, "m": 60, "h": 3600}


def _rate(given: object) -> object:
    number, _, unit = given.partition("/") if isinstance(given, str) else ("", "", "")
    if isinstance(given, float):
        return given
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", number) or unit not in _PER or not float(number):
        raise PydanticCustomError("rate", "a rate is written as a number above 0 and a unit: 20/s, 600/m or 5000/h")
    return float(number) / _PER[unit]


Rate = Annotated[
    float,
    BeforeValidator(_rate),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?/[smh]$"}),
]
_MIB = 1024 * 1024  # bytes


Limit = Annotated[Duration, between("100ms", "1h")]
"""The time for one answer. If it were shorter, nothing would ever be answered in time; if longer, what hangs would
never be noticed."""
Grace = Annotated[Duration, between("0s", "1h")]
Lease = Annotated[Duration, between("1s", "1h")]


class Section(BaseModel):
    """Keys that are not in it are refused, and values are not bent to fit.

    The text under a key is its description in the JSON Schema and in docs/settings.md.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Door(Section):
    """The public port, where platforms post their webhooks to `/webhooks/SOURCE`."""

    host: str = "0.0.0.0"  # noqa: S104  the public door; the private port is the one that stays at home
    """Address to listen at. The default is every address of the machine."""
    port: Port = 8080
    """TCP port to listen at. 0 takes a free one."""
    max_body: int = Field(default=8 * _MIB, ge=1024)
    """Bytes of one body at the most. A larger one is answered 413 before it is read."""
    max_bodies_in_flight: int = Field(default=64 * _MIB, ge=1024)
    """Bytes of all bodies that are in memory and not answered yet. A request beyond it is answered 503."""
    max_headers: int = Field(default=64 * 1024, ge=8192, le=_MIB)
    """Bytes of the headers of one request at the most, and of each of their lines. Larger ones are answered 431."""
    max_connections: int = Field(default=4096, ge=8)
    """Connections open at once, at the most. It is fewer if the process may not open as many files."""
    answer_within: Limit = timedelta(seconds=4)
    """Time from the end of a request's headers to its answer. Shopify gives up after 5 s."""
    fast: bool = True
    """Connections use the inside of aiohttp. `false` costs more, and uses only what aiohttp promises to keep."""


class Private(Section):
    """The private port: `/healthz`, `/readyz`, `/metrics` and `/status`. Nothing that acts is there."""

    host: str = "127.0.0.1"
    """Address to listen at. The default is this machine only."""
    port: Port = 9090
    """TCP port to listen at. 0 takes a free one."""
    hosts: list[str] = []
    """Other names by which this port is called, such as a proxy's. Without them `/metrics` and `/status` answer to
    addresses, `localhost`, and names that only your own network can give: one word, or in `.svc`, `.local`,
    `.internal`. So no web page can read them under a name of its own."""


_LEAST_TOKEN = 16  # characters


def _hard_to_guess(token: Secret, info: ValidationInfo) -> Secret:
    is_made_up = isinstance((info.context or {}).get("environ"), MadeUp)
    if not is_made_up and len(token.reveal()) < _LEAST_TOKEN:
        told = {"origin": token.origin, "least": _LEAST_TOKEN}
        raise PydanticCustomError("token", "{origin} is too short: {least} characters at least, drawn by chance", told)
    return token


class ConsoleSettings(Section):
    """The console: a page on which people see how the bridge is, look for orders, and repair. `console: {}` opens it at
    this machine."""

    host: str = "127.0.0.1"
    """Address to listen at. The default is this machine only; any other needs `read_token`, and a proxy with TLS before
    it."""
    port: Port = 9091
    """TCP port to listen at. 0 takes a free one."""
    hosts: list[str] = []
    """Other names by which the console is called, such as a proxy's. It answers to no other name, as `private` does."""
    read_token: Annotated[Secret, AfterValidator(_hard_to_guess)] | None = None
    """What people type to see the console. Without it everybody on this machine may look, at loopback only."""
    act_token: Annotated[Secret, AfterValidator(_hard_to_guess)] | None = None
    """What people type to see the console and to act: retry, drop, send again, settle, release. Without it nobody acts
    there."""


class Keep(Section):
    """How long the journal keeps things. `bodies` is at most `history`, and `history` at most `keys`."""

    bodies: Duration = timedelta(days=30)
    """Time that raw documents are kept after the last final state. While a fact waits, is dead or uncertain, they
    stay."""
    history: Duration = timedelta(days=396)
    """Time that deliveries, attempts and skipped rules are kept after they came."""
    keys: Duration = timedelta(days=761)
    """Time that the bridge knows that a fact was sent. Longer than the longest `max_age` of a rule."""


class SqliteSettings(Section):
    """One file on a local disk, which one process owns. This is the default."""

    kind: Literal["sqlite"] = "sqlite"
    """Kind of the journal."""
    path: FilePath = Path("var/journal.db")
    """File of the journal, from the current directory of the process, not from this file. It is made if it is not
    there, and so is its folder."""
    min_free: int = Field(default=256 * _MIB, ge=0)
    """Bytes that stay free on the disk. Below that the door answers 503, and records wait."""
    ballast: int = Field(default=16 * _MIB, ge=0)
    """Bytes of a file that is removed when the disk is full, so that work in flight can still be settled."""
    keep: Keep = Keep()
    """Times that things are kept."""


def _fit(url: Secret, info: ValidationInfo) -> Secret:
    is_made_up = isinstance((info.context or {}).get("environ"), MadeUp)
    if not is_made_up and (said := complaint(url.reveal())) is not None:
        raise PydanticCustomError("database_url", "{origin} {said}", {"origin": url.origin, "said": said})
    return url


class PostgresSettings(Section):
    """A database that many processes share."""

    kind: Literal["postgres"]
    """Kind of the journal."""
    url: Annotated[Secret, AfterValidator(_fit)]
    """URL of the database: `postgres://user@host:port/database?sslmode=verify-full&...`."""
    password: Secret | None = None
    """Password of the user. It goes before a password in `url`."""
    schema_name: str = Field(default="bridge", alias="schema", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    """Schema that holds the tables. Bridges with different schemas share nothing."""
    pool: int = Field(default=8, ge=2, le=100)
    """Connections to the database at the most."""
    timeout: Limit = timedelta(seconds=10)
    """Time that one statement may take."""
    lease: Lease = timedelta(seconds=15)
    """Time after which a process that did not renew its lease has lost its orders to the others. It renews it three
    times in that time."""
    listen: bool = True
    """Whether processes wake each other with LISTEN and NOTIFY. `false` for a pooler that hands out connections by
    transaction, such as pgbouncer."""
    poll: Every = timedelta(seconds=5)
    """Time between two looks for work that no notification told of."""
    keep: Keep = Keep()
    """Times that things are kept."""


JOURNALS: Mapping[str, type[BaseModel]] = {"sqlite": SqliteSettings, "postgres": PostgresSettings}


def _kind_of_journal(value: object) -> object:
    return value.get("kind", "sqlite") if isinstance(value, Mapping) else getattr(value, "kind", "sqlite")


JournalSettings = Annotated[
    Annotated[SqliteSettings, Tag("sqlite")] | Annotated[PostgresSettings, Tag("postgres")],
    Discriminator(_kind_of_journal),
]


class OwnDelivery(Section):
    """How facts are sent to this destination. These keys go before those of the section `delivery`."""

    concurrency: int = Field(default=64, ge=1, le=10_000)
    """Orders on their way at once, at the most. Refusals, silence and slow answers lower the limit for a while."""
    least_concurrency: int = Field(default=1, ge=1, le=10_000)
    """Orders on their way at once that the limit is never lowered below. Equal to `concurrency`: it never changes."""
    slow_after: Limit = timedelta(seconds=2)
    """Average time of an answer above which the limit is lowered."""
    rate: Rate | None = None
    """Requests to the destination, look-ups included, for each process. Default: no limit."""
    first_wait: Every = timedelta(seconds=1)
    """Longest wait before the second attempt. It doubles with each attempt; the wait is drawn between 0 and that."""
    longest_wait: Every = timedelta(minutes=10)
    """Longest wait between two attempts."""
    give_up: Duration = timedelta(days=14)
    """Time from the first attempt after which a fact that still fails is dead. A paused destination gives up
    nothing."""
    connect_timeout: Limit = timedelta(seconds=5)
    """Time to connect, TLS included."""
    read_timeout: Limit = timedelta(seconds=15)
    """Time without a single byte of the answer."""
    total_timeout: Limit = timedelta(seconds=30)
    """Time for one request and its whole answer."""
    keep_alive: Grace = timedelta(seconds=4)
    """Time that an idle connection is kept for the next request. Shorter than the server's, or requests get lost."""


class DeliverySettings(OwnDelivery):
    """How facts are sent to every destination. One may have its own `delivery`, without `grace` and `fast`."""

    grace: Grace = timedelta(seconds=25)
    """Time that `run` finishes what is in flight after SIGTERM. The rest waits for the next start."""
    fast: bool = True
    """Requests use the inside of aiohttp. `false` costs more, and uses only what aiohttp promises to keep."""

    def of(self, own: Mapping[str, Any]) -> "DeliverySettings":
        """The settings, with those that a destination sets itself."""
        return self.model_copy(update=dict(own)) if own else self


class Logs(Section):
    """What is logged to stderr, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged. Metrics count every event, whatever the level."""
    style: Literal["auto", "json", "text"] = "auto"
    """Form of a line: JSON, or text that a person reads. The default is text at a terminal and JSON elsewhere."""


class File(Section):
    """The whole file. Sources and destinations are read by their connectors, rules by the mapping."""

    sources: dict[str, dict[str, Any]] = Field(min_length=1)
    """Platforms and streams that orders come from, each under a name of your choice. `connector` says which kind."""
    destinations: dict[str, dict[str, Any]] = Field(min_length=1)
    """APIs that facts are sent to, each under a name of your choice. Keep the name: it is part of each fact's key."""
    journal: JournalSettings = SqliteSettings()
    """Place of the journal, which holds every order and the state of every fact. Default: the file `var/journal.db`."""
    include: list[str] = []
    """Files of rules: `CONNECTOR/NAME` of a connector, or a path from this file."""
    rules: dict[str, Any] = {}
    """Rules by name. `false` switches an included rule off, `true` one on that is off by default. A rule with the name
    of an included one replaces its keys."""
    vars: dict[str, Any] = {}
    """Constants for expressions: `vars.NAME`."""
    tables: dict[str, str] = {}
    """Files of tables (CSV or YAML) for expressions, by name: `lookup(vars.NAME, key)`."""
    fields: dict[str, Any] = {}
    """Fields of documents that the connector does not describe, by kind. A value is a shape, or a file that has one."""
    door: Door = Door()
    """Settings of the public port."""
    private: Private = Private()
    """Settings of the private port."""
    console: ConsoleSettings | None = None
    """Settings of the console. Default: there is none."""
    delivery: DeliverySettings = DeliverySettings()
    """Settings of sending, for every destination."""
    logs: Logs = Logs()
    """Settings of the log."""
