"""Many deadlines of the same span, kept by one timer. A timer for each would cost a request more than its answer."""

import asyncio
from itertools import takewhile
from typing import Protocol


class Due(Protocol):
    """Something that expires once, if it is not closed in time."""

    until: float
    """The end of the span by the event loop's clock, in seconds. It is set when the deadline is opened."""

    def expire(self) -> None: ...


class Deadlines:
    """All deadlines of one span, with one timer. Make it in a running event loop. While none is open there is no timer,
    and nothing wakes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._open: dict[Due, None] = {}
        """The open deadlines, the oldest first: all have the same span."""
        self._timer: asyncio.TimerHandle | None = None

    def one(self) -> "Deadline":
        """Make a deadline. Enter it at once: it counts from then on."""
        return Deadline(self)

    def open(self, due: Due) -> None:
        """Open a deadline: it counts from now on."""
        self._open[due] = None
        due.until = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due.until, self._sweep)

    def close(self, due: Due) -> None:
        """Close a deadline that was met, or that has been notified already."""
        self._open.pop(due, None)

    def _sweep(self) -> None:
        now = self._loop.time()
        late = list(takewhile(lambda due: due.until <= now, self._open))
        for due in late:
            del self._open[due]
        first = next(iter(self._open), None)
        self._timer = None if first is None else self._loop.call_at(first.until, self._sweep)
        for due in late:
            # Expire it at once: by the next turn it may be over, and the call would hit what comes after it.
            try:
                due.expire()
            except Exception as problem:  # noqa: BLE001  the others are told, too
                context = {"message": "who was told that it is too late failed", "exception": problem}
                self._loop.call_exception_handler(context)


class Deadline:
    """A deadline that works like asyncio.timeout: it cancels what runs in it when it is too late, and raises
    TimeoutError."""

    __slots__ = ("_all", "_before", "_is_late", "_task", "until")

    until: float

    def __init__(self, every: Deadlines) -> None:
        self._all = every
        self._is_late = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is entered in a task")
        self._task = task
        self._before = task.cancelling()
        self._all.open(self)

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: object) -> None:
        self._all.close(self)
        if self._is_late and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from problem

    def expire(self) -> None:
        self._is_late = True
        self._task.cancel()
