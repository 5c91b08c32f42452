"""Wait until the private port of a running bridge says what became of deliveries."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from bridge import clock
from bridge.errors import BridgeError

WAITS = "waits"
UNKNOWN = "is not known there"
_UNFINISHED = (WAITS, UNKNOWN)
_OUT_OF_REACH_AT_MOST = 5.0  # seconds
_BETWEEN = 0.2  # seconds between two looks


async def settled(private: str, source: str, ids: Sequence[str], *, within: float) -> Mapping[str, str]:
    """Wait for each delivery until nothing of it waits, and return what is said of it. WAITS or UNKNOWN: the time ran
    out.

    Raises BridgeError if no bridge has answered at `private` for five seconds: it may just be starting.
    """
    until = clock.monotonic() + within
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        asked = _Asked(session, private.rstrip("/"), source)
        return {delivery: await asked.until_it_ends(delivery, until) for delivery in ids}


def is_finished(outcome: str) -> bool:
    """Whether nothing of the order waits any more."""
    return outcome not in _UNFINISHED


class _Asked:
    """The private port, asked again and again."""

    def __init__(self, session: aiohttp.ClientSession, private: str, source: str) -> None:
        self._session = session
        self._private = private
        self._source = source
        self._answered_at = clock.monotonic()

    async def until_it_ends(self, delivery: str, until: float) -> str:
        while True:
            outcome = await self._outcome(delivery, until)
            if is_finished(outcome) or clock.monotonic() >= until:
                return outcome
            await asyncio.sleep(_BETWEEN)

    async def _outcome(self, delivery: str, until: float) -> str:
        params = {"source": self._source, "id": delivery}
        try:
            async with self._session.get(f"{self._private}/status", params=params) as answer:
                status, raw = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            now = clock.monotonic()
            if now < until and now - self._answered_at < _OUT_OF_REACH_AT_MOST:
                return WAITS
            raise BridgeError(f"the private port at {self._private} does not answer: {_CURE}") from None
        self._answered_at = clock.monotonic()
        return self._meant(status, raw)

    def _meant(self, status: int, raw: bytes) -> str:
        try:
            told = msgspec.json.decode(raw, type=dict[str, Any])
        except msgspec.DecodeError:
            told = {}
        if status == HTTPStatus.OK and "facts" in told:
            return _states(told)
        if status == HTTPStatus.NOT_FOUND and "error" in told:
            return UNKNOWN
        raise BridgeError(f"{self._private} ({status}) is no private port of a bridge: {_CURE}")


_CURE = "--settled takes what `private: {port: ...}` says, such as http://127.0.0.1:9090"


def _states(told: Mapping[str, Any]) -> str:
    """States of facts and reasons of skips, without repetition."""
    found = [fact["state"] for fact in told["facts"]] + [skip["reason"] for skip in told["skipped"]]
    return ", ".join(dict.fromkeys(found)) if found and not told["waiting"] else WAITS
