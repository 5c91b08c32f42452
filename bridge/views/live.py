"""Ask the private port of a running bridge how it is."""

from datetime import datetime
from http import HTTPStatus

import aiohttp
import msgspec

_PATIENCE = 3.0
"""Seconds within which the port of a bridge on this machine answers."""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """The door. refuses: why nothing is taken in now; None: it takes deliveries, if a source takes webhooks."""

    open: bool
    refuses: str | None
    takes_webhooks: bool = True


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force. refused: why a changed configuration was not taken over; empty: what the files say holds."""

    generation: int
    digest: str
    since: datetime | None
    refused: str


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A destination as its worker sees it. asked_again_in_s: seconds until it is asked again, if nothing is sent."""

    name: str
    mode: str
    state: str
    reason: str
    since: datetime | None
    in_flight: int
    asked_again_in_s: float


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A partition that the process reads. lag: records behind the end of its log; None: nobody has looked yet."""

    topic: str
    partition: int
    lag: int | None
    state: str

    @property
    def is_stopped(self) -> bool:
        return self.state.startswith("stopped")


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """A stream with its partitions. state: `reading`, or why it cannot read."""

    name: str
    state: str
    partitions: list[Partition]


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What a running bridge says of itself. journal: the place of its journal, as logs name it."""

    version: str
    journal: str
    door: Door
    rules: Rules
    destinations: list[Destination]
    streams: list[StreamState]


async def asked(url: str) -> Live | str:
    """Ask the bridge whose private port is at this address. Returns a sentence if no bridge answers there."""
    where = f"{url.rstrip('/')}/status"
    try:
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(where) as answer:
            status, raw = answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return f"nothing answers at {url}"
    try:
        return msgspec.json.decode(raw, type=Live)
    except msgspec.DecodeError:
        if status == HTTPStatus.MISDIRECTED_REQUEST:
            return f"{url} does not answer under this name: ask it by its address, or write it into `private: hosts`"
        return f"what answers at {url} is no bridge of this version ({status})"
