"""Waiting, in a task, for what the journal answers."""

import asyncio
from typing import TypeVar

from bridge.contract import Envelope
from bridge.journal import Appended

T = TypeVar("T")


def resolve(future: asyncio.Future[T], answer: T | Exception) -> None:
    """Resolve the future, unless nobody waits any more."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


class Awaited:
    """An Incoming whose `answer` is awaited."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    def stored(self, appended: Appended) -> None:
        resolve(self.answer, appended)

    def failed(self, problem: Exception) -> None:
        resolve(self.answer, problem)
