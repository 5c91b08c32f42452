"""The machine of a world: its clock, its chance, its disk, and the processes of the program that live and die on it.

Nothing of the program is replaced but its clock, its threads and its sockets. A process is one event loop. When it is
killed, the loop is thrown away between two steps, and the journal is what the last commit left.
"""

import asyncio
import gc
import io
import json
import sqlite3
import sys
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Self
from unittest.mock import patch

import msgspec

from bridge import chance as program_chance
from bridge import clock as program_clock
from bridge import fast_path, reload, service, telemetry
from bridge.errors import JournalBroken
from bridge.intake import status, stream
from bridge.jobs import errands
from bridge.journal import control, sqlite
from bridge.journal.sqlite.disk import DiskGuard
from bridge.journal.sqlite.operations import resolve_all
from bridge.journal.sqlite.writer import Writer
from tests.world.loop import Schedule, WorldClock, WorldLoop

PERSON = "a person's command"
CLIENT = "the client's own work"
"""Names of tasks that the world itself runs beside the program: they may be cut off."""


class Killed(BaseException):
    """The process is gone, at this step."""


class SteppedWriter(Writer):
    """The journal's writer, whose thread does a step when the world says so. Its transactions are its own."""

    machine: "Machine"

    def start(self) -> None:
        self._is_due = False
        self._answered_at = 0.0
        self.machine.writers.append(self)

    def submit(self, operation: Any) -> None:
        super().submit(operation)
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(self.machine.thread_time(), self._step)

    def _step(self) -> None:
        self._is_due = False
        if self.machine.is_dead(self._loop) or self._queue.empty():
            return
        try:
            self._work_off(self._queued(self._queue.get()))
        except JournalBroken as lost:
            self._end(self._left(lost))
        if not self._queue.empty():
            self._is_due = True
            self._loop.call_later(self.machine.thread_time(), self._step)

    def _answer(self, answers: Any) -> None:
        """The answers of a thread arrive later, in the order in which they were given."""
        if self.machine.is_dead(self._loop):
            return
        self._answered_at = max(self._answered_at, self._loop.time() + self.machine.thread_time())
        self._loop.call_at(self._answered_at, resolve_all, answers)

    def stop(self) -> None:
        if self.machine.is_dead(self._loop):
            return
        try:
            while not self._queue.empty():
                self._work_off(self._queued(self._queue.get()))
            self._finish()
        except JournalBroken as lost:
            self._end(lost)


class Process:
    """One process of the program, from its start to its end."""

    def __init__(self, loop: WorldLoop, ending: service.Shutdown) -> None:
        self.loop = loop
        self.ending = ending
        self.door: Any = None
        self.journal: Any = None
        self.released: Any = None
        self.status: Any = None
        self.running: service.Running | None = None
        self.members: list[Any] = []

    @property
    def is_open(self) -> bool:
        return self.running is not None and self.door is not None and not self.ending.stop.is_set()


class Machine:
    """One machine. folder: for its disk, in memory."""

    def __init__(self, folder: Path, seed: str, *, wire: Any, read: Any, brokers: Any) -> None:
        self.folder = folder
        self.chance = Random(f"{seed} machine")
        self.clock = WorldClock()
        self.schedule = Schedule(self.clock)
        self.free = 1 << 40
        self.process: Process | None = None
        self.writers: list[SteppedWriter] = []
        self.is_shuffled = self.chance.random() < 0.7
        self.slowness = self.chance.choice((0.0005, 0.002, 0.02, 0.2, 1.0))
        """Seconds that the journal's threads take on average."""
        self.log = io.TextIOWrapper(io.BytesIO(), write_through=True)
        self.faults: list[str] = []
        self.steps = 0
        self.is_commanded = False
        self._program_chance = Random(f"{seed} program")
        self._wire = wire
        self._read = read
        self._opened_stream = brokers
        self._stack = ExitStack()

    def thread_time(self) -> float:
        return self.chance.expovariate(1 / self.slowness)

    def is_dead(self, loop: Any) -> bool:
        return loop.is_dead

    # -- what stands in the place of clock, threads and sockets --------------------------------------------------------

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        enter(program_clock.installed(self.clock))
        enter(program_chance.installed(self._program_chance))
        enter(patch.object(SteppedWriter, "machine", self, create=True))
        enter(patch.object(sqlite, "Writer", SteppedWriter))
        enter(patch.object(control, "answering", self._answering))
        enter(patch.object(fast_path, "wire", self._chosen_wire))
        enter(patch.object(fast_path, "listening", self._chosen_listening))
        enter(patch.object(status, "serving", self._serving_status))
        enter(patch.object(errands, "opened_client", self._no_client))
        enter(patch.object(reload, "LOOK_EVERY", 300.0))
        enter(patch.object(reload, "read_file", self._read))
        enter(patch.object(DiskGuard, "free", lambda _: self.free))
        enter(patch.object(stream, "opened", self._opened_stream))
        enter(patch.object(stream, "_POLL", 60.0))
        enter(patch.object(sqlite3, "connect", _connected))
        telemetry.set_up(level="info", style="json", stream=self.log)
        self._stack.callback(telemetry.set_up, level="warning")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def _chosen_wire(self, *, wanted: bool) -> Any:
        return self._wire

    async def _chosen_listening(self, *, wanted: bool) -> Any:
        @asynccontextmanager
        async def listening(door: Any, *, host: str, port: int) -> AsyncIterator[int]:
            process = self.process
            process.door = door
            try:
                yield 1
            finally:
                process.door = None

        return listening

    @asynccontextmanager
    async def _answering(self, journal: Any, path: Path, *, released: Any = lambda *_: None) -> AsyncIterator[None]:
        if self.process is not None:
            self.process.journal, self.process.released = journal, released
        yield

    @asynccontextmanager
    async def _serving_status(self, told: Any, **_: Any) -> AsyncIterator[int]:
        self.process.status = told
        yield 2

    @asynccontextmanager
    async def _no_client(self, **_: Any) -> AsyncIterator[None]:
        yield None

    # -- processes -----------------------------------------------------------------------------------------------------

    def live(self, settings: Any) -> str:
        """Run one process until it ends by itself, or is killed. How it ended: stopped, killed, or broken."""
        loop = WorldLoop(self.schedule, self.chance, is_shuffled=self.is_shuffled, thread_time=self.thread_time)
        process = self.process = Process(loop, service.Shutdown())
        ended = "stopped"
        try:
            loop.run_until_complete(self._served(settings, process))
        except Killed:
            ended = "killed"
        except BaseExceptionGroup as group:
            if group.split(JournalBroken)[1] is not None:
                raise
            ended = "broken"
        except JournalBroken:
            ended = "broken"
        finally:
            self.process = None
            self._bury(loop, is_killed=ended == "killed" or sys.exc_info()[0] is not None)
        return ended

    async def _served(self, settings: Any, process: Process) -> None:
        def opened(running: service.Running) -> None:
            process.running, process.journal = running, running.journal

        await service.serve(settings, process.ending, opened_as=opened)

    def command(self, work: Callable[[], Any]) -> Any:
        """Run a command of its own while no process serves: its result."""
        loop = WorldLoop(self.schedule, self.chance, is_shuffled=self.is_shuffled, thread_time=self.thread_time)
        self.is_commanded = True
        try:
            return loop.run_until_complete(work())
        finally:
            self.is_commanded = False
            self._bury(loop, is_killed=False)

    def _bury(self, loop: WorldLoop, *, is_killed: bool) -> None:
        """Take the memory of a process away. Nothing of it reaches the disk any more."""
        self.faults += loop.faults
        self.steps += loop.steps
        left = list(asyncio.all_tasks(loop))
        if not is_killed and (leaving := [task for task in left if task.cancelling()]):
            loop.run_until_complete(asyncio.wait(leaving))  # what was told to end has its turn, as with asyncio.run
            left = list(asyncio.all_tasks(loop))
        if not is_killed and (own := [task for task in left if task.get_name() not in (PERSON, CLIENT)]):
            self.faults.append(f"tasks outlived the service: {own}")
        loop.is_dead = True
        telemetry._batch._scheduled = None
        if is_killed:
            telemetry._batch._events = deque()
        else:
            telemetry._batch.end()
        with _silently():
            for task in left:
                task._log_destroy_pending = False
                with suppress(RuntimeError, BaseExceptionGroup, Exception):
                    task.get_coro().close()
            left.clear()
            loop._ready.clear()
            loop._scheduled.clear()
            loop.close()
            self.writers.clear()
            gc.collect()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.buffer.getvalue().decode().splitlines()]

    def act(self, call: str, **arguments: Any) -> Any:
        """Ask the owner of the journal as a command does, by the same line. A coroutine."""
        line = msgspec.json.encode({"call": call, "arguments": arguments})
        return control._answer(self.process.journal, line, self.process.released)


_connect = sqlite3.connect


def _connected(*arguments: Any, **named: Any) -> sqlite3.Connection:
    """Open a file. Who finds it locked is told so at once: nobody waits in a world."""
    return _connect(*arguments, **{**named, "timeout": 0})


@contextmanager
def _silently() -> Iterator[None]:
    """Whatever dying coroutines complain of is of no interest."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            sys.unraisablehook = hook


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
