"""The private port: /healthz /readyz /metrics /status. It has no call that acts, and shows nothing personal."""

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.metadata import version
from ipaddress import ip_address
from socket import gethostname
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bridge.intake.listener import listen
from bridge.intake.stream import Stream
from bridge.journal import Hold, Journal, Story
from bridge.journal.rows import is_delivery
from bridge.mapping.rulebook import Rulebook
from bridge.telemetry import FREE, HELD, IN_FLIGHT, OLDEST, PARKED, REGISTRY, REST, WAITING

_json = msgspec.json.Encoder(enc_hook=str)


class Working(Protocol):
    """The state of a destination, as the private port shows it."""

    @property
    def name(self) -> str: ...
    @property
    def is_shadow(self) -> bool: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def latency(self) -> float: ...
    @property
    def holds(self) -> Sequence[Hold]: ...
    @property
    def asks_again_in(self) -> float: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def since(self) -> datetime | None: ...


class Status:
    """Answers from the journal and from the workers."""

    def __init__(
        self,
        journal: Journal,
        workers: Sequence[Working],
        streams: Sequence[Stream],
        book: Rulebook,
        *,
        whereabouts: str,
    ) -> None:
        """Begin with a door that is not open. whereabouts: the place of the journal, as logs name it."""
        self._journal = journal
        self._whereabouts = whereabouts
        self._workers = workers
        self._streams = streams
        self._book = book
        self._is_open = False
        self._takes_webhooks = True
        self._shown: frozenset[tuple[str, str]] = frozenset()
        """Destination and name of the rules that the gauge of held rules shows."""

    @asynccontextmanager
    async def opened(self, port: int) -> AsyncIterator[None]:
        """While this is entered the door is open at this port (0: no source takes webhooks), and the service ready."""
        self._is_open, self._takes_webhooks = True, bool(port)
        try:
            yield
        finally:
            self._is_open = False

    async def healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer whether the door is open and the journal takes writes: that is ready. A source or destination that is
        down takes no other out of service."""
        reason = self._refuses()
        return web.Response(text="ok\n") if reason is None else web.Response(status=503, text=f"{reason}\n")

    def _refuses(self) -> str | None:
        """The reason why nothing is taken in now. None: the door takes deliveries."""
        return self._journal.refuses() if self._is_open else _NOT_OPEN

    async def metrics(self, _request: web.Request) -> web.Response:
        await self._refresh()
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _refresh(self) -> None:
        levels = await self._journal.levels()
        for worker in self._workers:
            IN_FLIGHT.labels(worker.name).set(worker.in_flight)
            REST.labels(worker.name).set(worker.asks_again_in)
            WAITING.labels(worker.name).set(levels.waiting.get(worker.name, 0))
            OLDEST.labels(worker.name).set(levels.overdue.get(worker.name, 0))
        for state in ("dead", "uncertain"):
            for dest in ("", *(worker.name for worker in self._workers)):
                PARKED.labels(dest, state).set(levels.parked.get((dest, state), 0))
        if levels.free is not None:
            FREE.set(levels.free)
        self._show_rules(levels.held)

    def _show_rules(self, held: frozenset[tuple[str, str]]) -> None:
        """Show whether each rule is held. The journal says it, also of rules that were held before the start."""
        names = [(worker.name, rule) for worker in self._workers for rule in self._book.rules.names(worker.name)]
        shown = held.union(names)
        for gone in self._shown - shown:
            HELD.remove(*gone)
        for each in shown:
            HELD.labels(*each).set(each in held)
        self._shown = shown

    async def status(self, request: web.Request) -> web.Response:
        """Answer a request. Without arguments the answer is about the process; with source and id it has the states of
        one delivery, or is a 404."""
        source, delivery = request.query.get("source"), request.query.get("id")
        if not source or not delivery:
            return _answer(self.of_process())
        for lane in await self._journal.find_delivery(source, delivery):
            if (story := await self._journal.story(lane)) is not None:
                return _answer(_delivery(story, source, delivery))
        return _answer({"error": "no such delivery is stored"}, status=404)

    def of_process(self) -> Mapping[str, object]:
        """What is known of the process: door, rules, destinations, streams."""
        return {
            "version": version("attribution-bridge"),
            "journal": self._whereabouts,
            "door": {"open": self._is_open, "refuses": self._refuses(), "takes_webhooks": self._takes_webhooks},
            "rules": _rules_state(self._book),
            "destinations": [_worker_state(worker) for worker in self._workers],
            "streams": [_stream_state(stream) for stream in self._streams],
        }


def _rules_state(book: Rulebook) -> Mapping[str, object]:
    """The state of the rules. refused: why a changed configuration was not taken over; empty: what the files say is in
    force."""
    return {
        "generation": book.generation,
        "digest": book.rules.digest[:12],
        "since": book.since,
        "refused": book.refused,
    }


def _worker_state(worker: Working) -> Mapping[str, object]:
    return {
        "name": worker.name,
        "mode": "shadow" if worker.is_shadow else "live",
        "state": worker.state,
        "reason": worker.reason,
        "since": worker.since,
        "in_flight": worker.in_flight,
        "limit": worker.limit,
        "latency_ms": round(worker.latency * 1000, 1),
        "asked_again_in_s": round(worker.asks_again_in, 1),
        "held_rules": [hold.rule for hold in worker.holds],
        "holds": [{"rule": hold.rule, "since": hold.since, "detail": hold.detail} for hold in worker.holds],
    }


def _stream_state(stream: Stream) -> Mapping[str, object]:
    partitions = [
        {"topic": each.place.topic, "partition": each.place.partition, "position": each.position,
         "lag": each.lag, "state": each.state, "records": each.records, "bytes": each.bytes}
        for each in stream.partitions
    ]  # fmt: skip
    return {"name": stream.name, "state": stream.trouble or "reading", "partitions": partitions}


def _delivery(story: Story, source: str, delivery: str) -> Mapping[str, object]:
    """The states of one delivery: its facts, what was skipped and where it waits."""
    documents = [d for d in story.documents if is_delivery(str(d["id"]), delivery) and d["source"] == source]
    numbers = {document["seq"] for document in documents}

    def of_this(rows: Sequence[Mapping[str, object]], *names: str) -> list[dict[str, object]]:
        return [{name: row[name] for name in names} for row in rows if row["seq"] in numbers]

    return {
        "source": source,
        "id": delivery,
        "seq": sorted(str(number) for number in numbers),
        "facts": of_this(story.facts, "dest", "fact", "once", "state", "reason", "settled"),
        "skipped": of_this(story.skips, "dest", "rule", "reason", "at"),
        "waiting": of_this(story.waiting, "dest", "due", "attempt", "held"),
    }


def _answer(body: Mapping[str, object], *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=_json.encode(body), headers={"Content-Type": "application/json"})


_NOT_OPEN = "the door is not open: the service starts, or stops"

_PROBES = frozenset({"/healthz", "/readyz"})
"""The paths that load balancers ask under any name. Their answers say only whether all is well."""

_HOST = re.compile(r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^\[\]:@/\s]*))(?::\d*)?")
_OURS = (".localhost", ".local", ".internal", ".svc", ".home.arpa")
"""Names below these are given by the network itself, never by the public DNS."""

_NOT_THIS_NAME = "not answered under this name: write it into `{section}: {{hosts: [...]}}` if it is yours\n"


def is_ours(host: str, names: Collection[str] = ()) -> bool:
    """Whether a Host header is an address, or a name that no stranger can let lead here.

    A page in a browser may read what answers under the page's own name. The owner of that name can let it lead to
    127.0.0.1 (DNS rebinding). Then the page reads what only this machine may read.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found["address"] or found["name"]).lower().rstrip(".")
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return "." not in name or name.endswith(_OURS) or name in names or name == gethostname().lower()
    return True


def only_ours(names: Collection[str], *, section: str) -> Middleware:
    """Refuse requests under a name that is not ours (421). names: ours, besides those that `is_ours` knows. section: of
    the configuration, where they are written."""
    known = frozenset(name.lower().rstrip(".") for name in names)

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _PROBES or all(is_ours(host, known) for host in request.headers.getall("Host", ())):
            return await handler(request)
        return web.Response(status=421, text=_NOT_THIS_NAME.format(section=section))

    return checked


@asynccontextmanager
async def serving(status: Status, *, host: str, port: int, names: Collection[str] = ()) -> AsyncIterator[int]:
    """The private port is open; gives its number. names: by which it is called, besides its own."""
    app = web.Application(middlewares=[only_ours(names, section="private")])
    for name in ("healthz", "readyz", "metrics", "status"):
        app.router.add_get(f"/{name}", getattr(status, name))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    bound = await listen(runner, host=host, port=port, setting="private: {port: ...}")
    try:
        yield bound
    finally:
        await runner.cleanup()
