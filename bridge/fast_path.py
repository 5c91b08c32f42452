"""Choose how the bridge stands on aiohttp: on its inside, which is fast, or on its public interface.

The fast parts are `bridge/delivery/wire.py` and `bridge/intake/connections.py`. Before one is used, all that it needs
of aiohttp's inside is looked for, and then it is tried over a connection to itself. If something is missing its twin is
used, and the event `fast_path.missing` says what (docs/aiohttp.md).
"""

import asyncio
import dis
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FunctionType
from typing import Protocol, cast

import aiohttp

from bridge.contract import Request
from bridge.delivery import plain_wire
from bridge.delivery.http import OpensWire, Timeouts
from bridge.errors import Reply
from bridge.intake import plain_connections
from bridge.intake.responses import STORED
from bridge.intake.webhook import Door, DoorLimits
from bridge.telemetry import emit

_HOST = "127.0.0.1"
_WITHIN = 3.0
"""Seconds for a trial; it takes a few milliseconds."""

_SPAN = timedelta(seconds=_WITHIN)
_TIMEOUTS = Timeouts(connect=_SPAN, read=_SPAN, total=_SPAN, keep_alive=_SPAN)
_CUT = b"HTTP/1.1 422 No\r\nContent-Length: 9\r\n\r\ncut"
_ASKED = b"POST /fast HTTP/1.1\r\nHost: bridge\r\nContent-Length: 2\r\n%b\r\n"


@dataclass(frozen=True, slots=True)
class Inside:
    """The parts of a name in aiohttp that a fast part needs.

    names     attributes: of the class, or set by one of its methods
    takes     parameters with which it, or a method, is called
    replaces  methods of which the fast part has its own, with all their parameters
    """

    name: str
    names: tuple[str, ...] = ()
    takes: Mapping[str, tuple[str, ...]] | None = None
    replaces: Mapping[str, tuple[str, ...]] | None = None


_ERROR = Inside("aiohttp.http_exceptions.HttpProcessingError")
WIRE: Sequence[Inside] = (
    _ERROR,
    Inside(
        "aiohttp.client_proto.ResponseHandler",
        names=("read", "should_close"),
        takes={
            "": ("loop",),
            "set_response_params": ("read_until_eof", "max_line_size", "max_field_size", "max_headers"),
        },
        replaces={"data_received": ("self", "data")},
    ),
    Inside("aiohttp.connector.Connection", names=("close", "protocol", "release", "transport")),
    Inside("aiohttp.http_parser.RawResponseMessage", names=("code", "headers")),
    Inside(
        "aiohttp.ClientRequest",
        names=("headers", "is_ssl", "proxy"),
        takes={"": ("method", "url", "headers", "loop", "proxy", "ssl")},
    ),
    Inside(
        "aiohttp.TCPConnector",
        names=("_factory", "force_close"),
        takes={"connect": ("req", "traces", "timeout")},
    ),
    Inside("aiohttp.StreamReader", names=("at_eof", "is_eof", "read_nowait", "readany")),
)
"""The parts that bridge/delivery/wire.py needs."""

CONNECTIONS: Sequence[Inside] = (
    _ERROR,
    Inside("aiohttp.http_exceptions.LineTooLong"),
    Inside("aiohttp.http_parser.HttpRequestParser", names=("message_consumed",)),
    Inside(
        "aiohttp.http_parser.RawRequestMessage",
        names=("chunked", "headers", "method", "path", "should_close", "upgrade", "version"),
    ),
    Inside(
        "aiohttp.web_protocol.RequestHandler",
        names=(
            "_buffer_paused",
            "_close",
            "_current_request",
            "_force_close",
            "_keepalive_handle",
            "_keepalive_timeout",
            "_loop",
            "_manager",
            "_messages",
            "_next_keepalive_close_time",
            "_parser",
            "_paused",
            "_process_keepalive",
            "_reading_paused",
            "_waiter",
            "force_close",
            "transport",
        ),
        takes={
            "": (
                "manager",
                "loop",
                "auto_decompress",
                "keepalive_timeout",
                "lingering_time",
                "max_field_size",
                "max_line_size",
                "read_bufsize",
            )
        },
        replaces={
            "connection_lost": ("self", "exc"),
            "connection_made": ("self", "transport"),
            "data_received": ("self", "data"),
            "handle_error": ("self", "request", "status", "exc", "message"),
            "log_exception": ("self", "args", "kw"),
            "resume_reading": ("self", "resume_parser"),
            "start": ("self",),
        },
    ),
    Inside("aiohttp.web.Server", names=("_kwargs",), takes={"": ("handler",)}, replaces={"__call__": ("self",)}),
    Inside(
        "aiohttp.web.StreamResponse",
        names=("_keep_alive",),
        replaces={"prepare": ("self", "request"), "write_eof": ("self", "data")},
    ),
    Inside("aiohttp.web.BaseRequest", names=("content", "protocol", "transport", "writer")),
    Inside("aiohttp.StreamReader", names=("is_eof", "read_nowait", "set_exception", "total_bytes")),
)
"""The parts that bridge/intake/connections.py needs."""


class Listens(Protocol):
    """Opens the door; gives its port."""

    def __call__(self, door: Door, *, host: str, port: int) -> AbstractAsyncContextManager[int]: ...


async def wire(*, wanted: bool) -> OpensWire:
    """Choose how requests are sent: the fast way if it is wanted, there, and works."""
    if wanted and await _is_there("delivery", WIRE, _try_wire):
        from bridge.delivery import wire as fast  # noqa: PLC0415  it cannot be imported where a name is missing

        return fast.opened
    return plain_wire.opened


async def listening(*, wanted: bool) -> Listens:
    """Choose how connections to the door are served: the fast way if it is wanted, there, and works."""
    if wanted and await _is_there("door", CONNECTIONS, _try_door):
        from bridge.intake import connections as fast  # noqa: PLC0415  ditto

        return fast.listening
    return plain_connections.listening


# -- what is there -----------------------------------------------------------------------------------------------------

_tried: set[str] = set()
"""Parts that worked: nothing of aiohttp changes while the process lives."""


_COSTS = {
    "delivery": "requests cost more",
    "door": "orders cost more, and a body that is not framed is refused only when its time is over",
}


async def _is_there(part: str, needed: Sequence[Inside], trial: "_Trial") -> bool:
    """Whether a fast part can be used. If not, the reason is logged."""
    problems = missing(needed)
    if not problems and part not in _tried:
        problems = await _tried_out(trial)
    if problems:
        emit(
            "fast_path.missing",
            part=part,
            aiohttp=aiohttp.__version__,
            detail=f"{'; '.join(problems)}; by the public interface {_COSTS[part]} (docs/aiohttp.md)",
        )
        return False
    _tried.add(part)
    return True


def missing(needed: Sequence[Inside]) -> list[str]:
    """The parts that are not there, or are not as the fast parts know them, in words."""
    return [problem for inside in needed for problem in _missing(inside)]


def _missing(inside: Inside) -> Iterator[str]:
    module, _, name = inside.name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        yield f"no {inside.name}"
        return
    yield from (f"no {inside.name}.{name}" for name in inside.names if not _has(found, name))
    for method, parameters in {**(inside.takes or {}), **(inside.replaces or {})}.items():
        called = f"{inside.name}.{method}".rstrip(".")
        given = _parameters(getattr(found, method, None) if method else found)
        if given is None:
            yield f"no {called}"
        elif method in (inside.replaces or {}):
            if given != parameters:
                yield f"{called} takes {', '.join(given)}"
        else:
            yield from (f"{called} takes no {one}" for one in parameters if one not in given)


def _has(found: type, name: str) -> bool:
    """Whether a class has this name, as its own attribute or as one that a method of it sets."""
    methods = (method for kind in found.__mro__ for method in vars(kind).values())
    return hasattr(found, name) or any(_sets(method, name) for method in methods)


def _sets(method: object, name: str) -> bool:
    if not isinstance(method, FunctionType) or name not in method.__code__.co_names:
        return False
    return any(step.opname == "STORE_ATTR" and step.argval == name for step in dis.get_instructions(method))


def _parameters(called: object) -> tuple[str, ...] | None:
    return tuple(inspect.signature(called).parameters) if callable(called) else None


# -- whether it works --------------------------------------------------------------------------------------------------


class _Trial(Protocol):
    async def __call__(self) -> str: ...


async def _tried_out(trial: _Trial) -> list[str]:
    try:
        async with asyncio.timeout(_WITHIN):
            said = await trial()
    except Exception as problem:  # noqa: BLE001  whatever a change in aiohttp raises
        return [f"its trial failed ({type(problem).__name__})"]
    return [f"its trial failed ({said})"] if said else []


async def _try_wire() -> str:
    """Two requests over one connection: an answer after an informational one, and a no that is cut. What is wrong."""
    from bridge.delivery.wire import FastWire  # noqa: PLC0415  see wire

    answers = [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", _CUT]
    connector = aiohttp.TCPConnector(limit_per_host=1)
    async with _answering(answers) as (port, came), connector:
        made = FastWire(connector, _TIMEOUTS, user_agent="trial", proxy_of=lambda _: None)
        request = Request(method="POST", url=f"http://{_HOST}:{port}/fast", body=b"{}", repeatable=True)
        first, second = [await made.answer(request) for _ in range(2)]
    if (first.status, first.body, first.is_whole) != (200, b"ok", True):
        return "an answer was not understood"
    if (second.status, second.is_whole) != (422, False):
        return "the status of an answer that is cut was not kept"
    if len(came) != 1 or not came[0].startswith(b"POST /fast HTTP/1.1\r\n") or not came[0].endswith(b"\r\n\r\n{}"):
        return "requests were not sent as they should be"
    return ""


@asynccontextmanager
async def _answering(answers: Sequence[bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port at which each request of a connection gets the next answer; and what came over each connection."""
    came: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(b"")
        for answer in answers:
            came[-1] += await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2)
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, _HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came


class _TrialDoor:
    """A door that says 200 to everything, and how it came."""

    limits = DoorLimits(
        max_body=1024,
        max_bodies_in_flight=1024,
        max_headers=8192,
        max_connections=8,
        answer_within=timedelta(seconds=1),
    )

    def __init__(self) -> None:
        self.came: list[str] = []

    def take(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        payload: aiohttp.StreamReader,
        answered: Callable[[Reply], None],
    ) -> bool:
        self.came.append(f"taken: {method} {path} {headers.get('Host')} {payload.read_nowait().decode()}")
        asyncio.get_running_loop().call_soon(answered, STORED)
        return True

    async def handle(self, request: aiohttp.web.BaseRequest) -> Reply:
        self.came.append(f"handled: {request.method} {request.path} {(await request.content.read()).decode()}")
        return STORED


async def _try_door() -> str:
    """Three requests over one connection: two are taken at once, the last is left to aiohttp. What is wrong."""
    from bridge.intake import connections  # noqa: PLC0415  see listening

    door = _TrialDoor()
    async with connections.listening(cast("Door", door), host=_HOST, port=0) as port:
        reader, writer = await asyncio.open_connection(_HOST, port)
        try:
            heads = []
            for _ in range(2):
                writer.write(_ASKED % b"" + b"{}")
                heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(_ASKED % b"Connection: close\r\n" + b"[]")
            heads.append(await reader.read())
        finally:
            writer.close()
    taken = ["taken: POST /fast bridge {}"] * 2
    if door.came != [*taken, "handled: POST /fast []"]:
        return "requests came otherwise than they should"
    if not all(head.startswith(b"HTTP/1.1 200 OK\r\nDate: ") for head in heads):
        return "answers were not the door's"
    return ""
