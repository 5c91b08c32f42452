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
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?/[smh]$", "description": "requests: 20/s, 600/m"}),
]
_MIB = 1024 * 1024


Limit = Annotated[Duration, between("100ms", "1h")]
"""For one answer: shorter, and nothing is ever answered in time; longer, and what hangs is never noticed."""
Grace = Annotated[Duration, between("0s", "1h")]
Lease = Annotated[Duration, between("1s", "1h")]


class Section(BaseModel):
    """Keys that are not in it are refused, and values are not bent to fit."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Door(Section):
    """Where platforms post. Sizes in bytes. `answer_within` is kept whatever happens: platforms give up after 5 s."""

    host: str = "0.0.0.0"  # noqa: S104  the public door; the private port is the one that stays at home
    port: Port = 8080
    max_body: int = Field(default=8 * _MIB, ge=1024)
    max_bodies_in_flight: int = Field(default=64 * _MIB, ge=1024)
    max_headers: int = Field(
        default=64 * 1024, ge=8192, le=_MIB, description="bytes of the headers of a request, and of each of their lines"
    )
    max_connections: int = Field(
        default=4096, ge=8, description="at once; fewer where the process may not open as many files"
    )
    answer_within: Limit = timedelta(seconds=4)


class Private(Section):
    """Health, metrics and states. Nothing that acts.

    /metrics and /status answer to addresses, to localhost, and to names that nobody but your own network can give (of
    one word, or in .svc, .local, .internal). `hosts` are other names by which it is called, such as that of a proxy: a
    web page must not read it by a name that it lets lead here.
    """

    host: str = "127.0.0.1"
    port: Port = 9090
    hosts: list[str] = []


class Keep(Section):
    """How long things are kept: bodies after the last final state; history and keys after they came."""

    bodies: Duration = timedelta(days=30)
    history: Duration = timedelta(days=396)
    keys: Duration = timedelta(days=761)


class SqliteSettings(Section):
    """One file, one owner. Below `min_free` bytes nothing is taken in; `ballast` bytes are kept for a full disk."""

    kind: Literal["sqlite"] = "sqlite"
    path: FilePath = Field(
        default=Path("var/journal.db"),
        description="from the current directory of the process, not from this file; made if it is not there",
    )
    min_free: int = Field(default=256 * _MIB, ge=0)
    ballast: int = Field(default=16 * _MIB, ge=0)
    keep: Keep = Keep()


def _fit(url: Secret, info: ValidationInfo) -> Secret:
    is_made_up = isinstance((info.context or {}).get("environ"), MadeUp)
    if not is_made_up and (said := complaint(url.reveal())) is not None:
        raise PydanticCustomError("database_url", "{origin} {said}", {"origin": url.origin, "said": said})
    return url


class PostgresSettings(Section):
    """A database that many processes share. `url` is postgres://user@host:port/database?sslmode=verify-full&... .

    A process that does not renew its lease for `lease` has lost its orders to the others. `listen: false` where a
    pooler such as pgbouncer hands out connections by transaction: then only the look every `poll` finds work of others.
    """

    kind: Literal["postgres"]
    url: Annotated[Secret, AfterValidator(_fit)]
    password: Secret | None = None
    schema_name: str = Field(default="bridge", alias="schema", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    pool: int = Field(default=8, ge=2, le=100)
    timeout: Limit = timedelta(seconds=10)
    lease: Lease = timedelta(seconds=15)
    listen: bool = True
    poll: Every = timedelta(seconds=5)
    keep: Keep = Keep()


JOURNALS: Mapping[str, type[BaseModel]] = {"sqlite": SqliteSettings, "postgres": PostgresSettings}


def _kind_of_journal(value: object) -> object:
    return value.get("kind", "sqlite") if isinstance(value, Mapping) else getattr(value, "kind", "sqlite")


JournalSettings = Annotated[
    Annotated[SqliteSettings, Tag("sqlite")] | Annotated[PostgresSettings, Tag("postgres")],
    Discriminator(_kind_of_journal),
]


class OwnDelivery(Section):
    """How facts are sent. Waits double from `first_wait` to `longest_wait` with full jitter.

    As many orders as `concurrency` are on their way at once; refusals, and answers slower than `slow_after` on the
    average, lower that, to `least_concurrency` at the least. `rate`: 20/s, 600/m; every request counts.
    """

    concurrency: int = Field(default=64, ge=1, le=10_000)
    least_concurrency: int = Field(default=1, ge=1, le=10_000)
    slow_after: Limit = timedelta(seconds=2)
    rate: Rate | None = None
    first_wait: Every = timedelta(seconds=1)
    longest_wait: Every = timedelta(minutes=10)
    give_up: Duration = timedelta(days=14)
    connect_timeout: Limit = timedelta(seconds=5)
    read_timeout: Limit = timedelta(seconds=15)
    total_timeout: Limit = timedelta(seconds=30)
    keep_alive: Grace = timedelta(seconds=4)


class DeliverySettings(OwnDelivery):
    """For every destination; each may have its own `delivery` with the same keys but `grace`."""

    grace: Grace = timedelta(seconds=25)

    def of(self, own: Mapping[str, Any]) -> "DeliverySettings":
        """With what a destination says itself."""
        return self.model_copy(update=dict(own)) if own else self


class Logs(Section):
    """auto: readable at a terminal, JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    style: Literal["auto", "json", "text"] = "auto"


class File(Section):
    """The whole file. Sources and destinations are read by their connectors, rules by the mapping."""

    sources: dict[str, dict[str, Any]] = Field(min_length=1)
    destinations: dict[str, dict[str, Any]] = Field(min_length=1)
    journal: JournalSettings = SqliteSettings()
    include: list[str] = []
    rules: dict[str, Any] = {}
    vars: dict[str, Any] = {}
    tables: dict[str, str] = {}
    fields: dict[str, Any] = {}
    door: Door = Door()
    private: Private = Private()
    delivery: DeliverySettings = DeliverySettings()
    logs: Logs = Logs()
