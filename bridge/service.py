"""The service, opened from the back and closed from the front: journal, client, workers, private port, socket, door.

SIGTERM and SIGINT set one event. The door closes first. What is in flight is finished, or left to wait, within the
grace period. The journal closes last. A second signal ends the grace period at once. kill -9 needs none of this. SIGHUP
reads the rules again.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version

import uvloop

from bridge import clock, fast_path, journals
from bridge.config import Settings
from bridge.config.sections import DeliverySettings
from bridge.contract import Fetches, Renames, Request, Response, StreamSource, WebhookSource
from bridge.delivery.client import Client, opened_client
from bridge.delivery.conversation import Route
from bridge.delivery.fetching import Fetcher
from bridge.delivery.from_settings import bounds_of, retry_of, timeouts_of
from bridge.delivery.http import OpensWire
from bridge.delivery.worker import Worker
from bridge.errors import JournalBroken, JournalBusy
from bridge.fact_names import check_and_remember
from bridge.intake import status, webhook
from bridge.intake.stream import Stream
from bridge.jobs.schedule import Upkeep
from bridge.journal import Journal
from bridge.journal.store import Released
from bridge.mapping.rulebook import Rulebook
from bridge.reload import Reload, emit_loaded
from bridge.telemetry import emit

EXIT_BROKEN = 74
"""EX_IOERR of sysexits.h: the disk of the journal failed. A supervisor should not restart on the same disk in a
loop."""

_PRUNE_EVERY = 3600.0  # seconds
_PRUNE_PAUSE = 0.05  # seconds
# Threads that wait for the interpreter while the event loop is busy get it after this long instead of 5 ms: the
# journal's threads need it for microseconds at a time.
SWITCH_INTERVAL = 0.0005  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The TCP ports that are open. door 0: no source takes webhooks. console None: there is none."""

    door: int
    private: int
    console: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The parts of a running service that `opened_as` is called with."""

    journal: Journal
    ports: Ports


@dataclass(slots=True)
class Shutdown:
    """The signals to a running service. stop: close the door and finish. hurry: end the grace period. reload: read the
    rules again."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    def signal(self) -> None:
        """Stop at the first signal, hurry at the second."""
        (self.hurry if self.stop.is_set() else self.stop).set()


async def serve(settings: Settings, ending: Shutdown, *, opened_as: Callable[[Running], None] = lambda _: None) -> None:
    """Run the whole life of the service. `opened_as` is called when the door is open. Raises JournalBroken in a
    group."""
    async with AsyncExitStack() as stack:
        released = _Released()
        journal = await stack.enter_async_context(_journal(settings, released))
        book = Rulebook(settings.rules)
        wire = await fast_path.wire(wanted=settings.delivery.fast)
        workers = await stack.enter_async_context(_workers(settings, book, journal, wire))
        client = await stack.enter_async_context(client_of(settings.delivery.of({"rate": None}), wire))
        streams = _streams(settings, journal, client)
        told = status.Status(
            journal, workers, streams, book, whereabouts=journals.store_of(settings.journal).whereabouts
        )
        private_port = await stack.enter_async_context(_private(settings, told))
        released.watch(workers)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = [tasks.create_task(worker.run()) for worker in workers]
        reloading = Reload(settings=settings, book=book, journal=journal, workers=workers)
        upkeep = Upkeep(settings=settings, journal=journal, book=book)
        endless = (_guarded(journal), _pruning(journal, settings), reloading.run(ending.reload), upkeep.run())
        watching = [tasks.create_task(each) for each in endless]
        flowing = [tasks.create_task(stream.run()) for stream in streams]
        console_port = await stack.enter_async_context(_console(settings, journal, told, reloading))
        async with _door(settings, journal, upkeep.wake) as port, told.opened(port):
            ports = Ports(door=port, private=private_port, console=console_port)
            _emit_started(settings, ports)
            emit_loaded(book, settings)
            opened_as(Running(journal=journal, ports=ports))
            await _until_stopped(ending, workers, streams)
        await _drained(flowing, ending, grace=settings.delivery.grace)
        await _finished(workers, running, ending, grace=settings.delivery.grace)
        for task in watching:
            task.cancel()
    emit("service.stopped")


async def _until_stopped(ending: Shutdown, workers: Sequence[Worker], streams: Sequence[Stream]) -> None:
    await ending.stop.wait()
    emit("service.stopping", in_flight=sum(worker.in_flight for worker in workers))
    for stream in streams:
        stream.stop()


@asynccontextmanager
async def _journal(settings: Settings, released: Released) -> AsyncIterator[Journal]:
    """Open the journal and check the names of its facts. A new journal is logged: the old one may be somewhere else."""
    store = journals.store_of(settings.journal)
    is_new = store.is_new()
    destinations = list(settings.destinations)
    async with store.serving(destinations=destinations, released=released) as journal:
        if is_new:
            emit("journal.made", journal=store.whereabouts, detail="there was none: it is empty")
        await check_and_remember(journal, settings)
        yield journal


async def _finished(
    workers: Sequence[Worker], running: Sequence[asyncio.Task[None]], ending: Shutdown, *, grace: timedelta
) -> None:
    """Stop the workers. Lanes in flight end, or are left to the next start: all that was reported of them is stored."""
    for worker in workers:
        worker.stop()
    hurried = asyncio.ensure_future(ending.hurry.wait())
    ended = asyncio.gather(*(asyncio.wait((task,)) for task in running))
    await asyncio.wait((ended, hurried), timeout=grace.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    hurried.cancel()
    for task in running:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await ended


async def _drained(flowing: Sequence[asyncio.Task[None]], ending: Shutdown, *, grace: timedelta) -> None:
    """Stop the streams. They commit what is stored and leave their groups. Records that they cannot commit come again,
    and are known."""
    if not flowing:
        return
    hurried = asyncio.ensure_future(ending.hurry.wait())
    ended = asyncio.ensure_future(asyncio.wait(flowing))
    await asyncio.wait((ended, hurried), timeout=grace.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    ended.cancel()
    for task in flowing:
        task.cancel()


def _emit_started(settings: Settings, ports: Ports) -> None:
    emit(
        "service.started",
        version=version("attribution-bridge"),
        port=ports.door,
        private_port=ports.private,
        console_port=ports.console,
        journal=journals.store_of(settings.journal).whereabouts,
        destinations={name: "shadow" if o.shadow else "live" for name, o in settings.destinations.items()},
    )


def _private(settings: Settings, told: status.Status) -> AbstractAsyncContextManager[int]:
    private = settings.private
    return status.serving(told, host=private.host, port=private.port, names=private.hosts)


@asynccontextmanager
async def _console(
    settings: Settings, journal: Journal, told: status.Status, reloading: Reload
) -> AsyncIterator[int | None]:
    """Open the console, if there is to be one, and give its port."""
    if settings.console is None:
        yield None
        return
    from bridge import console  # noqa: PLC0415  its templates cost memory and time, for those who asked for it

    store = journals.store_of(settings.journal)
    parts = console.Parts(journal=journal, store=store, status=told, settings=lambda: reloading.in_force)
    async with console.serving(settings.console, parts) as port:
        yield port


def client_of(delivery: DeliverySettings, wire: OpensWire) -> AbstractAsyncContextManager[Client]:
    """A client with these settings of delivery."""
    timeouts = timeouts_of(delivery)
    agent = f"attribution-bridge/{version('attribution-bridge')}"
    return opened_client(
        timeouts=timeouts, connections=delivery.concurrency, user_agent=agent, rate=delivery.rate, opened=wire
    )


def route_of(settings: Settings, name: str) -> Route:
    """The way to a destination."""
    outlet = settings.destinations[name]
    delivery = settings.delivery.of(outlet.delivery)
    return Route(
        name=name,
        destination=outlet.destination,
        shadow=outlet.shadow,
        bounds=bounds_of(delivery),
        retry=retry_of(delivery),
    )


@asynccontextmanager
async def _workers(
    settings: Settings, book: Rulebook, journal: Journal, wire: OpensWire
) -> AsyncIterator[Sequence[Worker]]:
    """Make the workers, each with a client of its own: connections that one destination keeps waiting do not hold up
    another."""
    async with AsyncExitStack() as stack:
        fetcher = await stack.enter_async_context(fetcher_of(settings, wire))
        workers = []
        for name, outlet in settings.destinations.items():
            client = await stack.enter_async_context(client_of(settings.delivery.of(outlet.delivery), wire))
            route = route_of(settings, name)
            workers.append(Worker(route, journal=journal, book=book, client=client, fetcher=fetcher))
        yield workers


@asynccontextmanager
async def fetcher_of(settings: Settings, wire: OpensWire) -> AsyncIterator[Fetcher | None]:
    """A fetcher of what thin webhooks name. None: no source has such."""
    async with AsyncExitStack() as stack:
        found: dict[str, tuple[Fetches, Client]] = {}
        for name, source in settings.sources.items():
            if isinstance(source, Fetches) and source.fetches:
                delivery = settings.delivery.of({"rate": source.fetch_rate})
                found[name] = (source, await stack.enter_async_context(client_of(delivery, wire)))
        yield Fetcher(found) if found else None


def _streams(settings: Settings, journal: Journal, client: Client) -> Sequence[Stream]:
    async def ask(request: Request) -> Response | str:
        answer = await client.send(request)
        return answer if isinstance(answer, Response) else f"{answer.row.happening} ({answer.detail})"

    sources = [(name, source) for name, source in settings.sources.items() if isinstance(source, StreamSource)]
    renames = [source for source in settings.sources.values() if isinstance(source, Renames)]
    return [Stream(name, source, journal=journal, ask=ask, renames=renames) for name, source in sources]


@asynccontextmanager
async def _door(settings: Settings, journal: Journal, on_instruction: Callable[[], None]) -> AsyncIterator[int]:
    limits = webhook.DoorLimits(
        max_body=settings.door.max_body,
        max_bodies_in_flight=settings.door.max_bodies_in_flight,
        max_headers=settings.door.max_headers,
        max_connections=settings.door.max_connections,
        answer_within=settings.door.answer_within,
    )
    sources = {name: source for name, source in settings.sources.items() if isinstance(source, WebhookSource)}
    if not sources:
        yield 0  # nobody posts: the port stays closed
        return
    door = webhook.Door(sources, journal=journal, limits=limits, on_instruction=on_instruction)
    listening = await fast_path.listening(wanted=settings.door.fast)
    async with listening(door, host=settings.door.host, port=settings.door.port) as port:
        yield port


class _Released:
    """Tells the worker of a destination that a person released a rule."""

    def __init__(self) -> None:
        self._workers: Mapping[str, Worker] = {}

    def watch(self, workers: Sequence[Worker]) -> None:
        """Watch these workers: they are notified of releases from now on."""
        self._workers = {worker.name: worker for worker in workers}

    def __call__(self, dest: str, rule: str) -> None:
        if dest in self._workers:
            self._workers[dest].release(rule)
            emit("rule.released", dest=dest, rule=rule, detail="by hand")


async def _guarded(journal: Journal) -> None:
    await asyncio.shield(journal.broken)


async def _pruning(journal: Journal, settings: Settings) -> None:
    """Forget what is past its retention, in small steps, once an hour."""
    retention = journals.retention_of(settings.journal.keep)
    while True:
        bodies = envelopes = lanes = 0
        more = True
        while more:
            try:
                pruned = await journal.prune(retention, now=clock.now())
            except JournalBusy:
                break
            bodies, envelopes, lanes = bodies + pruned.bodies, envelopes + pruned.envelopes, lanes + pruned.lanes
            more = pruned.more
            await asyncio.sleep(_PRUNE_PAUSE)
        if bodies or envelopes or lanes:
            emit("journal.pruned", bodies=bodies, envelopes=envelopes, lanes=lanes)
        await asyncio.sleep(_PRUNE_EVERY)


def run(settings: Settings, *, opened_as: Callable[[Running], None] = lambda _: None) -> int:
    """Serve until a signal says otherwise. Returns the exit code: 0, or EXIT_BROKEN."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    # What is loaded by now lives as long as the process: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    code = 0
    try:
        uvloop.run(_until_signalled(settings, opened_as))
    except* JournalBroken as broken:
        emit("journal.broken", detail="; ".join(str(problem) for problem in broken.exceptions))
        code = EXIT_BROKEN
    return code


async def _until_signalled(settings: Settings, opened_as: Callable[[Running], None]) -> None:
    ending = Shutdown()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.signal)
    loop.add_signal_handler(signal.SIGHUP, ending.reload.set)
    await serve(settings, ending, opened_as=opened_as)
