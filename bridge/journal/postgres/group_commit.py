"""Group commit: whatever has come while one group is on its way is the next group, in one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from bridge.errors import JournalBusy
from bridge.journal.awaited import resolve

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_MOST = 512  # entries of one transaction
_MOST_WAITING = 50_000  # entries


class Group(Generic[Item, Answer]):
    """A queue whose items are committed in groups. `commit` stores a group and gives an answer (or an exception) for
    each. Run as a task until `stop`."""

    def __init__(self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]]) -> None:
        self._commit = commit
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._came = asyncio.Event()
        self._stopping = False

    def put(self, item: Item) -> asyncio.Future[Answer]:
        """Put an item. It is durable when the future is done. Raises JournalBusy."""
        if self._stopping or len(self._waiting) >= _MOST_WAITING:
            raise JournalBusy("the journal takes nothing more in now")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._came.set()
        return future

    def stop(self) -> None:
        """Stop. What was put is still stored."""
        self._stopping = True
        self._came.set()

    async def run(self) -> None:
        while self._waiting or not self._stopping:
            self._came.clear()
            if not self._waiting:
                await self._came.wait()
                continue
            group = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
            for (_, future), answer in zip(group, await self._answers([item for item, _ in group]), strict=True):
                resolve(future, answer)

    async def _answers(self, items: Sequence[Item]) -> Sequence[Answer | Exception]:
        """Commit, and answer each. An item that cannot be stored fails alone; the others go on."""
        try:
            return await self._commit(items)
        except JournalBusy as busy:
            return [busy for _ in items]
        except Exception as problem:  # noqa: BLE001  whoever waits is told, also of a bug
            if len(items) == 1:
                return [problem]
            return [answer for item in items for answer in await self._answers([item])]
