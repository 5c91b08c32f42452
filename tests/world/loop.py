"""An event loop in which nobody waits: time is a number, and a seed decides what runs first.

Hours pass in milliseconds, since the time of the next happening is simply taken. What is ready runs in an order that is
drawn: each step of a task may be overtaken by those of other tasks, as far as asyncio allows. Callbacks that no task
waits in keep their order, as asyncio promises. What a thread would do is done in between, at a time that is drawn too.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any


class Stuck(Exception):
    """The program turns in circles: time does not go on."""


class WorldClock:
    """The time of the world, in seconds. `set_by` is how far people have set the clock on the wall."""

    START = 1_795_000_000  # seconds since 1970
    BEGIN = 1_000.0  # seconds on the clock that nobody sets

    def __init__(self) -> None:
        self.at = self.BEGIN
        self.set_by = 0.0

    def time_ns(self) -> int:
        return int((self.START + self.at + self.set_by) * 1_000_000_000)

    def monotonic(self) -> float:
        return self.at


class Schedule:
    """What the world itself does at a time: it outlives the processes of the program."""

    def __init__(self, clock: WorldClock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.clock.at + max(0.0, seconds), next(self._count), do))

    @property
    def next_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Forget what was to come, and with it the processes that it knows."""
        self._heap.clear()

    def is_due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self.clock.at

    def do_next(self) -> None:
        heapq.heappop(self._heap)[2]()


_MOST_STEPS = 200_000
"""Steps without a second of time going by, after which the program turns in circles."""


class WorldLoop(asyncio.BaseEventLoop):
    """The event loop of one process of the program."""

    def __init__(
        self, schedule: Schedule, chance: Random, *, is_shuffled: bool, thread_time: Callable[[], float]
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._chance = chance
        self._is_shuffled = is_shuffled
        self._thread_time = thread_time
        self._thread_free: dict[int, float] = {}
        self._second, self._steps = 0.0, 0
        self.is_dead = False
        self.steps = 0
        self.faults: list[str] = []
        """What the program left to the loop's handler of exceptions."""
        self.set_exception_handler(self._noted)
        numbers = itertools.count()
        self.set_task_factory(lambda loop, work, **named: _Task(work, number=next(numbers), loop=loop, **named))

    def _noted(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def time(self) -> float:
        return self._schedule.clock.monotonic()

    def _run_once(self) -> None:
        self._take_due_timers()
        if not self._ready and not self._schedule.is_due():
            self._let_time_pass()
            return
        self.steps += 1
        self._count_steps()
        if self._schedule.is_due() and (not self._ready or self._chance.random() < 0.5):
            self._schedule.do_next()
            return
        handle = self._chosen()
        if not handle._cancelled:
            handle._run()

    def _take_due_timers(self) -> None:
        now = self.time()
        while self._scheduled and (self._scheduled[0]._cancelled or self._scheduled[0]._when <= now):
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            if not handle._cancelled:
                self._ready.append(handle)

    def _let_time_pass(self) -> None:
        clock = self._schedule.clock
        times = [] if self._schedule.next_at is None else [self._schedule.next_at]
        if self._scheduled:
            times.append(self._scheduled[0]._when)
        if not times:
            raise Stuck("nothing will ever happen any more: all wait for each other")
        clock.at = max(clock.at, min(times))

    def _count_steps(self) -> None:
        now = self._schedule.clock.at
        if now - self._second >= 1.0:
            self._second, self._steps = now, 0
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise Stuck(f"{_MOST_STEPS} steps, and not a second has gone by")

    def _chosen(self) -> asyncio.Handle:
        """A handle that may run now: the first of the plain callbacks, or a step of any task."""
        if not self._is_shuffled or len(self._ready) == 1:
            return self._ready.popleft()
        may_run, has_plain = [], False
        for index, handle in enumerate(itertools.islice(self._ready, 32)):
            if _is_step(handle):
                may_run.append(index)
            elif not has_plain:
                has_plain = True
                may_run.append(index)
        index = self._chance.choice(may_run)
        handle = self._ready[index]
        del self._ready[index]
        return handle

    # -- what a thread does --------------------------------------------------------------------------------------------

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Do it at a drawn time, and answer at a later one. One thread does one thing after the other."""
        future = self.create_future()
        thread = id(executor)
        begins = max(self.time() + self._thread_time(), self._thread_free.get(thread, 0.0))
        ends = begins + self._thread_time()
        self._thread_free[thread] = ends

        def work() -> None:
            try:
                self.call_at(ends, _resolve, future, func(*args), None)
            except BaseException as problem:  # noqa: BLE001  handed to whoever waits
                self.call_at(ends, _resolve, future, None, problem)

        self.call_at(begins, work)
        return future

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        if self.is_dead:
            return asyncio.Handle(callback, args, self, context)
        return super().call_soon(callback, *args, context=context)

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...


class _Task(asyncio.Task):
    """A task that has the same place in a set in every run: by default that depends on where in memory it is."""

    def __init__(self, work: Any, *, number: int, **named: Any) -> None:
        self._number = number
        super().__init__(work, **named)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


def _is_step(handle: asyncio.Handle) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)


def _resolve(future: asyncio.Future[Any], result: Any, problem: BaseException | None) -> None:
    if future.cancelled():
        return
    if problem is not None:
        future.set_exception(problem)
    else:
        future.set_result(result)
