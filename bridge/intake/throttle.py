"""Quotas: for how long a broker has asked a client to wait, which aiokafka does not look at.

The broker answers, says for how long it will read nothing more of that connection, and mutes it. What is sent meanwhile
looks like a request without an answer, and a client that gives up and comes again makes it worse. So nothing is sent
for so long, and a deadline for an answer counts from the end of it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiokafka.client import AIOKafkaClient, ConnectionGroup

_Connection: TypeAlias = tuple[Any, ConnectionGroup]


class Throttle:
    """The time for which brokers make one client wait. until: when the last of its connections may be used again, in
    seconds of the loop's clock."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._clock = asyncio.get_running_loop().time
        self._until: dict[_Connection, float] = {}
        self._limits: dict[asyncio.Timeout, float] = {}
        self._send, client.send = client.send, self._sent
        self.until = 0.0

    @property
    def seconds(self) -> float:
        """The seconds that are left. 0: nobody makes us wait."""
        return max(0.0, self.until - self._clock())

    async def _sent(self, node: Any, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> Any:  # noqa: ANN401 - aiokafka's own
        connection = (node, group)
        if (wait := self._until.get(connection, 0.0) - self._clock()) > 0:
            await asyncio.sleep(wait)
        answer = await self._send(node, request, group=group)
        if (asked := getattr(answer, "throttle_time_ms", 0)) > 0:
            self._until[connection] = self._clock() + asked / 1000
            self._prolong(self._until[connection])
        return answer

    def _prolong(self, until: float) -> None:
        self.until = max(self.until, until)
        for limit, seconds in self._limits.items():
            if not limit.expired():
                limit.reschedule(max(limit.when() or 0.0, self.until + seconds))

    @asynccontextmanager
    async def deadline(self, seconds: float) -> AsyncIterator[None]:
        """Raises TimeoutError so long after the brokers could have answered."""
        async with asyncio.timeout_at(max(self._clock(), self.until) + seconds) as limit:
            self._limits[limit] = seconds
            try:
                yield
            finally:
                del self._limits[limit]
