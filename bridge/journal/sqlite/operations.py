"""Operations for the writer, and the callbacks and futures that learn how they ended."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bridge.contract import Envelope
from bridge.journal import Appended, Claim, Incoming, Progress, awaited


@dataclass(slots=True)
class Append:
    """An envelope to store, packed before it is queued.

    raw      empty if no body is kept
    aliases  the last is that of the delivery, which is nobody's name
    size     bytes of the envelope in the backlog
    """

    incoming: Incoming
    envelope: Envelope
    headers: bytes
    raw: bytes
    aliases: Sequence[bytes]
    size: int
    stored: Callable[[Envelope, Appended], None]
    """A callback for every new envelope, before its sender is answered."""
    on_resolved: Callable[[int], None]
    """A callback with the size, when the envelope waits no longer."""

    def resolve(self, answer: Appended | Exception) -> None:
        self.on_resolved(self.size)
        if isinstance(answer, Exception):
            self.incoming.failed(answer)
            return
        if not answer.known:
            self.stored(self.envelope, answer)
        self.incoming.stored(answer)


@dataclass(slots=True, kw_only=True)
class Entry:
    """What happened to a claimed document."""

    claim: Claim
    progress: Progress
    now: int
    future: asyncio.Future[None]
    stored: Callable[[Claim, Progress], None]
    """A callback when it is stored, whether or not anybody waits for it any more."""

    def resolve(self, answer: Exception | None) -> None:
        if answer is None:
            self.stored(self.claim, self.progress)
        awaited.resolve(self.future, answer)


@dataclass(slots=True, kw_only=True)
class Act:
    """Any other change. It runs inside the transaction of its group, or by itself `after` it."""

    call: Callable[[sqlite3.Connection], object]
    future: asyncio.Future[object]
    after: bool = False
    done: Callable[[object], None]
    """A callback with the answer, whether or not anybody waits for it any more."""

    def resolve(self, answer: object) -> None:
        self.done(answer)
        awaited.resolve(self.future, answer)


Operation: TypeAlias = Append | Entry | Act
Answer: TypeAlias = tuple[Operation, object]


def resolve_all(answers: Sequence[Answer]) -> None:
    for operation, answer in answers:
        try:
            operation.resolve(answer)  # type: ignore[arg-type]  # each is told what its kind gets
        except Exception as problem:  # noqa: BLE001  whoever else waits is told
            context = {"message": "who waited for the journal failed", "exception": problem}
            asyncio.get_running_loop().call_exception_handler(context)
