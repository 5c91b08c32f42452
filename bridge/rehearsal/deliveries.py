"""Deliveries for a rehearsal: signed with secrets that are only made up, since nothing leaves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from multidict import CIMultiDict

from bridge.config import Settings, read_file
from bridge.contract import HttpArrival, Signs
from bridge.errors import BridgeError


class _MadeUp(Mapping[str, str]):
    """An environment in which every variable is set: no real secret is needed, and none can show."""

    def __getitem__(self, name: str) -> str:
        return "postgres://rehearsal@localhost/rehearsal" if "POSTGRES" in name or name.endswith("_URL") else name

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_of(path: Path) -> Settings:
    """The configuration, without asking for the secrets that it takes from the environment."""
    return read_file(path, environ=_MadeUp())


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
        """The request at the door. The platform's headers are made; those that are given stand, but for a signature."""
        made = self._signed(settings, self.body)
        other = self._signed(settings, self.body + b" ")
        signature = {name.lower() for name, text in made.items() if other[name] != text}
        unsigned = {name: text for name, text in self.headers.items() if name.lower() not in signature}
        given = {name.lower() for name in unsigned}
        headers = CIMultiDict({name: text for name, text in made.items() if name.lower() not in given} | unsigned)
        return HttpArrival(source=self.source, headers=headers, body=self.body, received_at=self.received_at)

    def _signed(self, settings: Settings, body: bytes) -> Mapping[str, str]:
        source = settings.sources.get(self.source)
        if source is None:
            raise BridgeError(f"there is no source {self.source}; there is: {', '.join(settings.sources)}")
        if not isinstance(source, Signs):
            return {}
        return source.sign(body, topic=self.topic, tenant=self.shop, delivery_id=self.id)


def only_source(settings: Settings) -> str:
    """The source that is meant where none is named."""
    if len(settings.sources) != 1:
        raise BridgeError(f"say which source is meant: {', '.join(settings.sources)}")
    return next(iter(settings.sources))
