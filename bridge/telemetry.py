"""Logs and metrics from the same events. The list of events is closed, and an event is counted before any level is
looked at.

`emit(name, **fields)` counts and logs one event. No field is personal or a secret. Tracebacks are logged without the
messages of their exceptions, which may quote a document.
"""

import asyncio
import atexit
import logging
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, BinaryIO, Literal, TextIO, TypeAlias, cast

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge import clock
from bridge.log_events import EVENTS, Kind
from bridge.log_stream import LogStream

REGISTRY = CollectorRegistry()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITE_ON_AFTER = 0.25
"""Seconds after which lines that a stream did not take are tried again."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400)  # seconds


_LIBRARIES: Mapping[str, Kind] = {level: Kind(level) for level in ("debug", "info", "warning", "error")}

_COUNTERS = {
    name: Counter(f"bridge_{kind.metric}", kind.help, kind.labels, registry=REGISTRY)
    for name, kind in EVENTS.items()
    if kind.metric
}
_CHILDREN: dict[tuple[str, ...], Counter] = {}
SECONDS = Histogram(
    "bridge_fact_seconds",
    "Seconds from the arrival of a document to the final state of its fact",
    ("dest",),
    buckets=_BUCKETS,
    registry=REGISTRY,
)
LOST = Counter("bridge_lost_log_lines", "Lines of the log that could not be written", registry=REGISTRY)
WAITING = Gauge("bridge_waiting_lanes", "Orders with work that is not done", ("dest",), registry=REGISTRY)
PARKED = Gauge(
    "bridge_parked_facts", "Facts that wait for a person, dead or uncertain", ("dest", "state"), registry=REGISTRY
)
UP = Gauge(
    "bridge_destination_up", "1: facts are sent to it; 0: it is paused, down or resting", ("dest",), registry=REGISTRY
)
REST = Gauge(
    "bridge_destination_retry_in_seconds",
    "Seconds until it is tried again; 0: facts are sent to it",
    ("dest",),
    registry=REGISTRY,
)
BREAKER = Gauge(
    "bridge_destination_breaker",
    "Circuit breaker: 0 closed, 1 half open (one order at a time), 2 open (nothing is sent)",
    ("dest",),
    registry=REGISTRY,
)
LIMIT = Gauge("bridge_concurrency_limit", "Orders that may be on their way at once", ("dest",), registry=REGISTRY)
IN_FLIGHT = Gauge("bridge_in_flight_lanes", "Orders on their way", ("dest",), registry=REGISTRY)
STREAM_UP = Gauge("bridge_stream_up", "1: the brokers are read; 0: they cannot be used", ("source",), registry=REGISTRY)
_PARTITION = ("source", "topic", "partition")
LAG = Gauge(
    "bridge_stream_lag_records", "Records of a partition that are not stored yet", _PARTITION, registry=REGISTRY
)
POSITION = Gauge("bridge_stream_position", "Offset of the next record to be stored", _PARTITION, registry=REGISTRY)
STOPPED = Gauge(
    "bridge_stream_partition_stopped",
    "1: nothing more of the partition is read, and a person is needed",
    _PARTITION,
    registry=REGISTRY,
)
GENERATION = Gauge(
    "bridge_rules_generation",
    "Number of the rules in force; it grows with each change that was taken over",
    registry=REGISTRY,
)
RULES_UP_TO_DATE = Gauge(
    "bridge_rules_up_to_date", "1: what the files say is in force; 0: a change was refused", registry=REGISTRY
)
FREE = Gauge("bridge_journal_free_bytes", "Free bytes on the disk of the SQLite journal", registry=REGISTRY)
HELD = Gauge(
    "bridge_rule_held", "1: the rule is held, and its orders wait; 0: it is not", ("dest", "rule"), registry=REGISTRY
)
OLDEST = Gauge(
    "bridge_oldest_due_seconds",
    "Seconds that the order that waits the longest is overdue; one behind a held rule is overdue",
    ("dest",),
    registry=REGISTRY,
)


def emit(name: str, **fields: object) -> None:
    """Count and log one event. Raises KeyError for a name that is not on the list, at every level, and nothing else.

    Its fields are looked at when the turn of the event loop ends: give values that nobody changes.
    """
    _batch.add((name, EVENTS[name], clock.seconds(), fields))


def begin_at_zero(name: str, **labels: object) -> None:
    """Show the counter of an event with these labels from now on. A series that begins with its first event has not
    increased by it, as Prometheus sees it, and no alert would hear of it."""
    _counter(name, EVENTS[name], labels)


def counted(name: str, **labels: str) -> float:
    """How often an event with these labels was counted since the process began. A label that is not named may have any
    value."""
    return sum(
        sample.value
        for metric in _COUNTERS[name].collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
    )


def _counter(name: str, kind: Kind, fields: Mapping[str, Any]) -> Counter:
    """The counter of an event, with its labels."""
    key = (name, *[str(fields.get(label) or "") for label in kind.labels])
    child = _CHILDREN.get(key)
    if child is None:
        counter = _COUNTERS[name]
        child = _CHILDREN[key] = counter.labels(*key[1:]) if kind.labels else counter
    if name == "fact.settled" and fields.get("seconds") is not None:
        _seconds(fields["dest"]).observe(fields["seconds"])
    return child


@cache
def _seconds(dest: str) -> Histogram:
    return SECONDS.labels(dest)


# -- set-up ------------------------------------------------------------------------------------------------------------


class _Line(structlog.BoundLoggerBase):
    """The narrowest logger of structlog: one call, no level methods."""

    def msg(self, event: str, level: str, at: float, fields: Mapping[str, object]) -> object:
        """Write a line without the copies that a bound context would need. Nothing is bound: every line brings all its
        fields."""
        line: Any = {"at": _instant(int(at * 1000)), "level": level, "event": event, **fields}
        for processor in self._processors:
            line = processor(self._logger, "msg", line)
        return self._logger.msg(line)


@lru_cache(maxsize=64)
def _instant(milliseconds: int) -> str:
    """The instant as text. It is remembered, since many lines have the same one."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")


_json = msgspec.json.Encoder(enc_hook=str)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    try:
        return _json.encode(event)
    except UnicodeEncodeError:  # a lone surrogate from an undecodable header
        return _json.encode({name: repr(value) for name, value in event.items()})


_COLUMNS = 120
"""Columns of a line for people at the most. What is left out stands in the JSON of the same event."""

_BARE = ("fact", "state")
"""Fields whose value says what it is."""
_FIRST = ("lane", "dest", "rule", "source", "count", "reason", "detail")
"""Fields that stand before all others, so that they are not cut off."""
_OF_MACHINES = frozenset({"at", "level", "event", "id", "seq", "tenant", "topic", "generation", "attempt"})
"""Fields that a person at a terminal does not read: the story of the order has them."""
_COLORS = {"warning": "\x1b[33m", "error": "\x1b[1;31m"}
_PLAIN = "\x1b[0m"


class _AsText:
    """The format for people at a terminal: one line of at most 120 columns."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = _COLORS if colors else {}

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
        level = event["level"]
        bare = [str(event[name]) for name in _BARE if event.get(name)]
        names = dict.fromkeys([*_FIRST, *event])
        rest = [
            f"{name}={_shown(event[name])}"
            for name in names
            if name not in _BARE and name not in _OF_MACHINES and event.get(name) not in (None, "", "[]")
        ]
        line = "  ".join(filter(None, [f"{event['event']:<22}", *bare, *rest]))
        head = f"{event['at'][11:19]} {level:<7} "
        room = _COLUMNS - len(head)
        line = _printable(line if len(line) <= room else f"{line[: room - 1]}…").rstrip()
        color = self._colors.get(level, "")
        return f"{color}{head}{_PLAIN if color else ''}{line}".encode(errors="replace")


def _shown(value: object) -> str:
    """A value within a line: in quotes if it has blanks."""
    if isinstance(value, list | tuple):
        return " < ".join(str(each) for each in reversed(value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    text = str(value)
    return f'"{text}"' if " " in text else text


def _printable(text: str) -> str:
    """Replace what would act on a terminal: what is logged may come from anybody."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in text)


class _Lines:
    """A stream that is written to when the lines of a turn are together, with one call that does not wait."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = LogStream(stream)
        self._lines: list[bytes] = []
        self._lost = 0
        self._is_scheduled = False

    def write(self, line: bytes) -> None:
        self._lines.append(line)

    def flush(self) -> None:
        """Flush nothing after a single line: more may come."""

    def write_out(self) -> None:
        """Write the lines, and count those that cannot be written. A log on a full disk, or one that nobody reads, must
        not end the work that it is about."""
        lines, self._lines = self._lines, []
        was_behind = self._stream.is_behind
        if not lines and not was_behind:
            return
        self._count(self._stream.put(lines))
        if self._stream.is_behind:
            self._write_on_later()
        elif was_behind and self._lost:
            lost, self._lost = self._lost, 0
            emit("log.resumed", lost=lost)

    def _write_on_later(self) -> None:
        if self._is_scheduled:
            return
        try:
            asyncio.get_running_loop().call_later(_WRITE_ON_AFTER, self._again)
        except RuntimeError:
            return
        self._is_scheduled = True

    def _again(self) -> None:
        self._is_scheduled = False
        _batch.end()

    def end(self) -> None:
        """End with the process: the last lines have a moment to be written."""
        self._count(self._stream.end())

    def _count(self, lost: int) -> None:
        if lost:
            LOST.inc(lost)
            self._lost += lost


Emitted: TypeAlias = tuple[str, Kind, float, Mapping[str, Any]]
"""An event: its name, its kind, when it was (seconds since 1970), its fields."""


class _Batch:
    """Counts and logs the events of one turn of the event loop at its end, and events from elsewhere at once.

    Events that are handled together cost half as much: the code and data for it stay in the processor's caches.
    """

    def __init__(self) -> None:
        self._events: deque[Emitted] = deque()
        self._ending = threading.RLock()
        self._scheduled: asyncio.AbstractEventLoop | None = None

    def add(self, event: Emitted) -> None:
        self._events.append(event)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.end()
            return
        if self._scheduled is not loop:
            self._scheduled = loop
            loop.call_soon(self.end)

    def end_for_good(self) -> None:
        self.end()
        _output.lines.end()

    def end(self) -> None:
        self._scheduled = None
        with self._ending:
            counted: dict[Counter, int] = {}
            while self._events:
                name, kind, at, fields = self._events.popleft()
                if kind.metric:
                    counter = _counter(name, kind, fields)
                    counted[counter] = counted.get(counter, 0) + 1
                level = kind.level_of(fields)
                if _LEVELS[level] >= _output.level:
                    try:
                        _output.logger.msg(name, level, at, fields)
                    except Exception:  # noqa: BLE001  one line that cannot be made takes no other with it
                        LOST.inc()
            for counter, times in counted.items():
                counter.inc(times)
            _output.lines.write_out()


@dataclass(slots=True)
class _Output:
    level: int
    logger: Any
    lines: _Lines


def _output_to(stream: TextIO, *, level: str, text: bool) -> _Output:
    last: Processor = _AsText(colors=stream.isatty()) if text else _as_json
    lines = _Lines(stream.buffer)
    logger = structlog.wrap_logger(
        structlog.BytesLogger(cast("BinaryIO", lines)),
        processors=[last],
        wrapper_class=_Line,
    ).bind()
    return _Output(_LEVELS[level], logger, lines)


def set_up(
    *, level: str = "info", style: Literal["auto", "json", "text"] = "auto", stream: TextIO | None = None
) -> None:
    """Send events to the stream (default: stderr) from now on, and what libraries log and warn too."""
    global _output  # noqa: PLW0603  one for the process
    target = stream or sys.stderr
    _batch.end_for_good()
    _output = _output_to(target, level=level, text=style == "text" or (style == "auto" and target.isatty()))
    logging.basicConfig(handlers=[_FromLibraries()], level=max(_LEVELS[level], logging.WARNING), force=True)
    warnings.showwarning = _warned


def frames(problem: BaseException) -> list[str]:
    """The places at which it was raised, innermost last. The message of an exception may quote a document and is left
    out."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(problem.__traceback__)]


class _FromLibraries(logging.Handler):
    """Logs what libraries log: the template without its arguments, which may be anything, and only its first line."""

    def emit(self, record: logging.LogRecord) -> None:
        problem = record.exc_info[1] if record.exc_info else None
        _library(
            record.levelname.lower(),
            logger=record.name,
            message=str(record.msg).partition("\n")[0][:200],
            problem=type(problem).__name__ if problem else None,
            frames=frames(problem) if problem else None,
        )


def _library(level: str, **fields: object) -> None:
    _batch.add(("log", _LIBRARIES.get(level, _LIBRARIES["error"]), clock.seconds(), fields))


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    about_code = issubclass(category, (DeprecationWarning, ResourceWarning, PendingDeprecationWarning))
    _library(
        "warning",
        logger="warnings",
        message=str(message)[:200] if about_code else "",
        problem=category.__name__,
        frames=[f"{filename}:{lineno}"],
    )


_output = _output_to(sys.stderr, level="warning", text=True)
_batch = _Batch()
atexit.register(_batch.end_for_good)
