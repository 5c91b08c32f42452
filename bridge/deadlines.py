"""Many deadlines of the same span, kept by one timer: a timer for each would cost a request more than its answer."""

import asyncio


class Deadlines:
    """Made in a running event loop. Where nothing is open for a span there is no timer, and nothing wakes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._open: dict[Deadline, None] = {}
        """The oldest first, for all have the same span."""
        self._timer: asyncio.TimerHandle | None = None

    def one(self) -> "Deadline":
        """To be entered at once: from then on it counts."""
        return Deadline(self)

    def opened(self, deadline: "Deadline") -> float:
        self._open[deadline] = None
        until = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._sweep)
        return until

    def closed(self, deadline: "Deadline") -> None:
        self._open.pop(deadline, None)

    def _sweep(self) -> None:
        now = self._loop.time()
        self._timer = None
        for deadline in list(self._open):
            if deadline.until > now:
                self._timer = self._loop.call_at(deadline.until, self._sweep)
                return
            del self._open[deadline]
            deadline.expire()


class Deadline:
    """As asyncio.timeout: what runs in it is cancelled when it is too late, and then it raises TimeoutError."""

    __slots__ = ("_all", "_before", "_is_late", "_task", "until")

    def __init__(self, every: Deadlines) -> None:
        self._all = every
        self._is_late = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is entered in a task")
        self._task = task
        self._before = task.cancelling()
        self.until = self._all.opened(self)

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: object) -> None:
        self._all.closed(self)
        if self._is_late and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from problem

    def expire(self) -> None:
        self._is_late = True
        self._task.cancel()
