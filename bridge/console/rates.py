"""How many came and went in each minute of the last hours, counted by the process itself."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from bridge import clock
from bridge.telemetry import counted

MINUTES: Final = 180
"""Minutes that are shown, one bar each."""

_MINUTE: Final = 60.0  # seconds

_COUNTS: Final[Mapping[str, Callable[[], float]]] = {
    "received": lambda: counted("delivery.received") + counted("record.received"),
    "delivered": lambda: counted("fact.settled", state="delivered"),
    "parked": lambda: counted("fact.settled", state="dead") + counted("fact.settled", state="uncertain"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What was counted of one thing, minute by minute, the last one being that which still runs."""

    name: str
    minutes: tuple[int, ...]
    began: datetime

    @property
    def total(self) -> int:
        return sum(self.minutes)

    @property
    def most(self) -> int:
        return max(self.minutes)


class Rates(AbstractAsyncContextManager["Rates"]):
    """Counts while it is entered."""

    def __init__(self) -> None:
        self._minutes: deque[dict[str, float]] = deque(maxlen=MINUTES)
        self._last: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._last = _now()
        self._minutes.append({})
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _problem: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_MINUTE - clock.seconds() % _MINUTE)
            self._look()
            self._minutes.append({})

    def _look(self) -> None:
        now, running = _now(), self._minutes[-1]
        for name, count in now.items():
            running[name] = running.get(name, 0) + count - self._last[name]
        self._last = now

    def shown(self) -> list[Rate]:
        """What was counted so far."""
        self._look()
        began = datetime.fromtimestamp(clock.seconds() // _MINUTE * _MINUTE - _MINUTE * (len(self._minutes) - 1), UTC)
        return [
            Rate(name=name, minutes=tuple(int(minute.get(name, 0)) for minute in self._minutes), began=began)
            for name in _COUNTS
        ]


def _now() -> dict[str, float]:
    return {name: count() for name, count in _COUNTS.items()}
