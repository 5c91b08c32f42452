"""Deliveries as a platform makes them: signed, posted to a door, repeated at a rate."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import click
import msgspec

from bridge import chance, clock, registry
from bridge.contract import Payload, Signs
from bridge.dry_run.deliveries import documents
from bridge.surrogates import decoded

_IDS = itertools.count(chance.number(52))
"""The numbers by which fresh ids are moved. Each is larger than the one before, from a start that no other process has.
Doubles hold them exactly."""

_REASON = 200  # characters
_TIME = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d))"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A payload on its way to a door. tenant None: the source's only one, or its first."""

    body: bytes
    topic: str
    tenant: str | None = None
    delivery_id: str = ""


class Sender:
    """Posts deliveries of one source. Made by `sending`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, signer: Signs) -> None:
        self._session = session
        self._url = url
        self._signer = signer

    async def post(self, delivery: Delivery) -> tuple[int, str]:
        """The status that the door answered with, and the line of text that says why it did not take it.

        Raises aiohttp.ClientError where nobody answers.
        """
        headers: Mapping[str, str] = self._signer.sign(
            delivery.body,
            topic=delivery.topic,
            tenant=delivery.tenant,
            delivery_id=delivery.delivery_id or chance.uuid(),
        )
        async with self._session.post(self._url, data=delivery.body, headers=headers) as answer:
            text = (await answer.read()).decode(errors="replace").strip()
            return answer.status, text.partition("\n")[0][:_REASON]


@asynccontextmanager
async def sending(url: str, signer: Signs) -> AsyncIterator[Sender]:
    """A sender with one connection pool."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield Sender(session, url, signer)


def fresh(body: bytes, *, now: datetime) -> bytes:
    """The document as if it were new: its times moved so that it was made just now, its id one never used before.

    Raises ValueError for what is no JSON and where created_at is no time, TypeError where that has no zone.
    """
    document = decoded(msgspec.json.decode, body)
    number = document.get("id") if isinstance(document, dict) else None
    if isinstance(number, int):
        body = body.replace(str(number).encode(), str(number + next(_IDS)).encode())
    made = document.get("created_at") if isinstance(document, dict) else None
    return _moved(body, now - datetime.fromisoformat(made)) if isinstance(made, str) else body


def _moved(body: bytes, by: timedelta) -> bytes:
    def later(match: re.Match[bytes]) -> bytes:
        moved = datetime.fromisoformat(match[1].decode()) + by
        return b'"' + moved.isoformat(timespec="seconds").encode() + b'"'

    return _TIME.sub(later, body)


def example(connector: str, name: str) -> bytes:
    """A document that a connector ships as an example."""
    return (registry.folder(connector) / "examples" / name).read_bytes()


async def paced(count: int, rate: float | None) -> AsyncIterator[int]:
    """Counts from 0, at most `rate` a second."""
    started = clock.monotonic()
    for number in range(count):
        if rate:
            await asyncio.sleep(max(0.0, started + number / rate - clock.monotonic()))
        yield number


def unpacked(path: Path, source: object) -> Sequence[Payload]:
    """The documents in a file, as a source takes it apart; `-` is standard input."""
    found = documents(source, payload(path))
    if not found:
        raise click.UsageError(f"{path} holds no document: its list is empty")
    return found


def payload(path: Path) -> bytes:
    """The bytes of a file; `-` is standard input."""
    try:
        return Path("/dev/stdin").read_bytes() if str(path) == "-" else path.read_bytes()
    except IsADirectoryError:
        raise click.UsageError(f"{path} is a folder: name its files, such as {path}/*.json") from None
    except OSError as problem:
        raise click.UsageError(f"cannot read {path}: {problem.strerror}") from None
