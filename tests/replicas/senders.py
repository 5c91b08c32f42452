"""The platform of a trial: it sends each document of each order to the door of some replica, and again until one of
them has answered 200; some come twice, at another door."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import aiohttp

from bridge.config import read
from tests.replicas.plan import SPAN
from tests.replicas.scene import Scene
from tests.world.shop import Document, Order, Shop

_GAPS = (0.0, 0.0, 0.02, 0.5)
"""Seconds between two documents of an order."""
_ECHOES = (0.0, 0.01, 0.5, 3.0)
"""Seconds after which a document comes once more, though it was answered."""


class Platform:
    """Sends the orders of a shop. orders: how many."""

    def __init__(self, scene: Scene, seed: int, orders: int, session: aiohttp.ClientSession) -> None:
        self._scene = scene
        self._session = session
        self._chance = Random(f"{seed} platform")
        shop = Shop(Random(f"{seed} shop"), seed % 10_000)
        at = datetime.now(UTC) - timedelta(days=1)
        self.orders: list[Order] = [shop.order(at) for _ in range(orders)]
        first = scene.replicas[0]
        self._signer: Any = read(first.config.read_text(), environ=first.environ).sources["shop"]

    def sending(self) -> Iterator[Any]:
        """What is to be done, as coroutines: each sends one document until it was taken."""
        chance = self._chance
        for order in self.orders:
            at = chance.uniform(0, SPAN * 0.95)
            for document in order.documents:
                at += chance.choice(_GAPS)
                early = chance.random() < 0.1
                yield self._send(document, at * (0.8 if early else 1.0), self._draw(), is_echo=False)
                if chance.random() < 0.25:
                    yield self._send(document, at + chance.choice(_ECHOES), self._draw(), is_echo=True)

    def _draw(self) -> Random:
        return Random(self._chance.getrandbits(64))

    async def _send(self, document: Document, at: float, chance: Random, *, is_echo: bool) -> None:
        await asyncio.sleep(max(0.0, at - self._scene.now()))
        while not await self._is_taken(document, chance):
            if is_echo:
                return
            await asyncio.sleep(chance.uniform(0.5, 5.0))

    async def _is_taken(self, document: Document, chance: Random) -> bool:
        door = chance.choice(self._scene.replicas).door
        headers = self._signer.sign(document.body, topic=document.topic, tenant=None, delivery_id=document.delivery)
        status = 0
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(door, data=document.body, headers=headers) as answer:
                status = answer.status
        self._scene.counted[f"answers {status}" if status else "no answer"] += 1
        if status == 200 and document.kept_at is None:
            document.kept_at = self._scene.now()
        return status == 200
