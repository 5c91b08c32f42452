"""The processes that are measured, as their starter sees them."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from bridge.bench.plan import Plan
from bridge.errors import BridgeError

_LONGEST_LINE = 1024 * 1024  # bytes
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
async def started(plan: Plan, folder: Path, work: str) -> AsyncIterator[Process]:
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
        stderr=PIPE,
        limit=_LONGEST_LINE,
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
    async with started(plan, folder, "serve") as process, asyncio.TaskGroup() as tasks:
        opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        reading = tasks.create_task(_read(process, opened, on_line))
        try:
            yield await opened
        finally:
            reading.cancel()


async def _read(process: Process, opened: asyncio.Future[int], on_line: Callable[[Line], None]) -> None:
    said: list[str] = []
    assert process.stderr is not None  # noqa: S101  it is a pipe
    async for raw in process.stderr:
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
