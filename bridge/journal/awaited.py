"""Waiting, in a task, for what becomes of a document on its way in."""

import asyncio

from bridge.contract import Envelope
from bridge.journal import Appended


class Awaited:
    """An Incoming whose `answer` is awaited."""

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    def stored(self, appended: Appended) -> None:
        if not self.answer.done():
            self.answer.set_result(appended)

    def failed(self, problem: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(problem)
