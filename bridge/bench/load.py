"""Load: signed orders over keep-alive connections. A connection posts its next order when the one before is done (a
closed loop): when it was answered, or when all its facts are final.

It is a raw protocol, so that the load is not the limit.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from typing import cast

from bridge import clock
from bridge.bench import Figures, figures
from bridge.bench.orders import Order

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STATUS = slice(9, 12)
"""The place of the status in the first line of an answer."""
_TAKEN = b"200"
_REST = 0.05
"""Seconds that a connection rests after an answer other than 200."""


class Load:
    """One stage of load at one door.

    orders    where the next order comes from
    facts     how many facts of an order must be final, beside its answer, before it is done
    refusals  how often each status other than 200 was answered
    lost      connections that the door has closed
    """

    def __init__(self, orders: Iterator[Order], *, facts: int) -> None:
        self._orders = orders
        self._facts = facts
        self._open: dict[str, tuple[_Connection, float]] = {}
        self._left: Counter[str] = Counter()
        self._took: list[float] = []
        self._is_counting = False
        self._is_over = False
        self.refusals: Counter[str] = Counter()
        self.lost = 0

    async def run(self, port: int, path: str, *, connections: int, warm: float, seconds: float) -> Figures | None:
        """Post for so many seconds, after others that are not counted. None: nothing was done."""
        loop = asyncio.get_running_loop()
        opened: list[_Connection] = []
        try:
            for _ in range(connections):
                _, connection = await loop.create_connection(lambda: _Connection(self, path), "127.0.0.1", port)
                opened.append(connection)
            await asyncio.sleep(warm)
            self._is_counting, began = True, clock.monotonic()
            await asyncio.sleep(seconds)
            self._is_counting, took = False, clock.monotonic() - began
        finally:
            self._is_over = True
            for connection in opened:
                connection.close()
        return figures(self._took, took) if self._took else None

    def next_of(self, connection: "_Connection") -> Order | None:
        """The order that a connection posts now. None: no more is posted."""
        if self._is_over:
            return None
        order = next(self._orders)
        self._left[order.id] = 1 + self._facts  # the answer, and each fact
        self._open[order.id] = (connection, clock.monotonic())
        return order

    def answered(self, order: str, status: bytes) -> None:
        """Take note of an answer of the door."""
        if status == _TAKEN:
            self.came(order)
        elif order in self._open:
            self.refusals[status.decode(errors="replace")] += 1
            connection, _ = self._forget(order)
            asyncio.get_running_loop().call_later(_REST, connection.post)

    def came(self, order: str) -> None:
        """Take note of one thing that an order waited for: its answer, or a fact that is final."""
        if order in self._open:
            self._left[order] -= 1
            if not self._left[order]:
                self._done(order)

    def _done(self, order: str) -> None:
        connection, posted = self._forget(order)
        if self._is_counting:
            self._took.append(clock.monotonic() - posted)
        connection.post()

    def _forget(self, order: str) -> "tuple[_Connection, float]":
        del self._left[order]
        return self._open.pop(order)

    def closed(self) -> None:
        """Take note that the door has closed a connection."""
        self.lost += not self._is_over


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load, path: str) -> None:
        self._load = load
        self._path = path
        self._buffer = b""
        self._order = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has a class of its own
        self.post()

    def connection_lost(self, _problem: Exception | None) -> None:
        self._transport = None
        self._load.closed()

    def post(self) -> None:
        """Post the next order."""
        if self._transport is None or (order := self._load.next_of(self)) is None:
            return
        self._order = order.id
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json", **order.headers}
        head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        self._transport.write(
            f"POST {self._path} HTTP/1.1\r\n{head}Content-Length: {len(order.body)}\r\n\r\n".encode() + order.body
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer[:end])
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) >= whole:
            status, self._buffer = self._buffer[_STATUS], self._buffer[whole:]
            self._load.answered(self._order, status)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
