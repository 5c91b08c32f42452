"""Deliveries and records for a dry run. They are signed with invented secrets, since nothing leaves."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from multidict import CIMultiDict

from bridge.config import Settings, read_file
from bridge.contract import HttpArrival, Payload, Record, Signs, SignsWithTime, Unpacks
from bridge.dry_run import DryRun, Verdict
from bridge.errors import BridgeError
from bridge.setting_types import MadeUp


def settings_of(path: Path) -> Settings:
    """The configuration, without asking for the secrets that it takes from the environment."""
    return read_file(path, environ=MadeUp())


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A webhook delivery as written in a case. shop None: the source's first."""

    source: str
    body: bytes
    received_at: datetime
    topic: str = ""
    shop: str | None = None
    id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def arrival(self, settings: Settings) -> HttpArrival:
        """The request at the door. The platform's headers are made. Headers that are given stay, except a signature."""
        made = self._signed(settings, self.body)
        other = self._signed(settings, self.body + b" ")
        signature = {name.lower() for name, text in made.items() if other[name] != text}
        unsigned = {name: text for name, text in self.headers.items() if name.lower() not in signature}
        given = {name.lower() for name in unsigned}
        headers = CIMultiDict({name: text for name, text in made.items() if name.lower() not in given} | unsigned)
        return HttpArrival(source=self.source, headers=headers, body=self.body, received_at=self.received_at)

    def walk(self, dry_run: DryRun, settings: Settings) -> Sequence[Verdict]:
        """Deliver it at the door. Raises Refusal."""
        return dry_run.deliver(self.source, self.arrival(settings))

    def again(self, chance: random.Random) -> "Posted":
        """The delivery once more: with its id or, as another topic's delivery of the same document, with a new one."""
        return replace(self, id=chance.choice((self.id, f"{self.id}-again")))

    def _signed(self, settings: Settings, body: bytes) -> Mapping[str, str]:
        source = settings.sources.get(self.source)
        if source is None:
            raise BridgeError(f"there is no source {self.source}; there is: {', '.join(settings.sources)}")
        if not isinstance(source, Signs):
            return {}
        if isinstance(source, SignsWithTime):
            return source.sign_at(body, topic=self.topic, tenant=self.shop, delivery_id=self.id, at=self.received_at)
        return source.sign(body, topic=self.topic, tenant=self.shop, delivery_id=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A record of a stream as written in a case."""

    source: str
    topic: str
    value: bytes
    received_at: datetime
    offset: int
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.offset)

    def walk(self, dry_run: DryRun, settings: Settings) -> Sequence[Verdict]:  # noqa: ARG002 - as Posted
        """Take the record out of the stream. Raises Refusal."""
        record = Record(
            source=self.source,
            topic=self.topic,
            partition=0,
            offset=self.offset,
            timestamp=int(self.received_at.timestamp() * 1000),
            at=self.received_at,
            key=None if self.key is None else self.key.encode(),
            value=self.value,
            headers=[(name, text.encode()) for name, text in self.headers.items()],
        )
        return dry_run.take(record)

    def again(self, chance: random.Random) -> "Streamed":
        """The record once more: read again, or written to the topic again."""
        return replace(self, offset=self.offset + chance.choice((0, 1_000)))


def documents(source: object, body: bytes) -> Sequence[Payload]:
    """The documents in a file, as a source takes it apart. A source that takes nothing apart gives the file itself."""
    return source.unpacked(body) if isinstance(source, Unpacks) else [Payload(body=body)]


def only_source(settings: Settings) -> str:
    """The source that is meant if none is named."""
    if len(settings.sources) != 1:
        raise BridgeError(f"say which source is meant: {', '.join(settings.sources)}")
    return next(iter(settings.sources))
