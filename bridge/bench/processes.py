"""The processes that are measured, as their starter sees them."""

import asyncio
import fcntl
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from bridge.bench.plan import Plan
from bridge.errors import BridgeError

_PIPE = 1024 * 1024  # bytes
_LAST_LINES = 3
"""Lines of what a process said that are shown if it fails."""


class Line(msgspec.Struct, frozen=True):
    """What is looked at in a line of the service's log."""

    event: str
    id: str = ""
    state: str = ""
    port: int = 0


_decode = msgspec.json.Decoder(Line).decode


@asynccontextmanager
async def started(plan: Plan, folder: Path, work: str, *, stderr: int = PIPE) -> AsyncIterator[Process]:
    """A process that does this work until it is left. It is killed then: nothing of it is kept."""
    file = folder / f"{work}.json"
    file.write_bytes(msgspec.json.encode(plan))
    # A proxy for the requests of the real destination is none for this machine.
    environ = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # -P: the same modules, and none of the folder here
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bridge.bench.measuring", str(file), work),
        env=environ,
        stdin=PIPE,
        stdout=PIPE if work == "parts" else DEVNULL,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is its starter's business
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def serving(plan: Plan, folder: Path, on_line: Callable[[Line], None]) -> AsyncIterator[int]:
    """A service with an open door, until left; gives its port. Every line of its log is handed on."""
    async with pipe() as (log, end), started(plan, folder, "serve", stderr=end), asyncio.TaskGroup() as tasks:
        os.close(end)
        opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        reading = tasks.create_task(_read(log, opened, on_line))
        try:
            yield await opened
        finally:
            reading.cancel()


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """A pipe: what is read of it, and the end to be written to, which is closed by whoever gets it.

    It is as large as the system allows. Lines that a full pipe does not take are written a quarter of a second later,
    and an order would seem to take that long.
    """
    start, end = os.pipe()
    with suppress(AttributeError, OSError):  # Linux has it, and a system may have set a lower bound
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE)
    reader = asyncio.StreamReader(limit=_PIPE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(start, "rb", buffering=0)
    )
    try:
        yield reader, end
    finally:
        transport.close()


async def _read(log: asyncio.StreamReader, opened: asyncio.Future[int], on_line: Callable[[Line], None]) -> None:
    said: list[str] = []
    async for raw in log:
        try:
            line = _decode(raw)
        except msgspec.DecodeError:
            said = [*said[1 - _LAST_LINES :], raw.decode(errors="replace").strip()]
            continue
        if line.event == "service.started" and not opened.done():
            opened.set_result(line.port)
        on_line(line)
    problem = BridgeError("the process that is measured has ended: " + " ".join(said))
    if not opened.done():
        opened.set_exception(problem)
    else:
        raise problem
