"""The series of counters whose labels are known before the first event.

Prometheus sees an increase only between two values of a series. A counter that is born with its first event shows none,
so an alert misses what happens once, and a rate misses the first events.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final, TypeAlias

from bridge.config import Settings
from bridge.contract import Keyed, Reason, Source, State, StreamSource, WebhookSource
from bridge.log_events import EVENTS
from bridge.telemetry import begin_at_zero

Series: TypeAlias = tuple[str, Mapping[str, object]]
"""A log event, and the labels by which it is counted."""

_BEFORE_A_SOURCE: Final = (400, 404, 405, 408, 417, 431)
"""Statuses that the door answers before it knows a source."""
_REFUSALS: Final = (413, 500, 503)
"""Statuses that the door answers to requests for a source, besides 401."""

_ENDS: Final = (
    (State.DEAD, Reason.REFUSED),
    (State.DEAD, Reason.RULE_FAILED),
    (State.DEAD, Reason.GAVE_UP),
    (State.DEAD, Reason.NOT_ALLOWED),
    (State.DEAD, Reason.CONNECTOR_FAILED),
    (State.UNCERTAIN, Reason.NO_ANSWER),
    (State.UNCERTAIN, Reason.SERVER_ERROR),
)
"""The usual states of facts that wait for a person, each with its reason."""

_REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "destination.paused": ("paused", "down"),
    "document.skipped": (Reason.NOT_TRUE, Reason.NO_RULE, Reason.STALE, Reason.ALREADY, Reason.TEST_ORDER),
    "fact.postponed": (
        Reason.UNREACHABLE,
        Reason.TIMED_OUT,
        Reason.SERVER_ERROR,
        Reason.THROTTLED,
        Reason.NOT_ALLOWED,
        Reason.NOT_UNDERSTOOD,
        Reason.SESSION_UNKNOWN,
        Reason.RULE_HELD,
    ),
}
"""The usual reasons of events that are counted by destination and reason."""

_OF_STREAMS: Final = frozenset({"stream", "partition", "record"})
"""The first word of events that only a source of Kafka has."""
_RESULTS: Final = ("stored", "known", "dead")


def show_known_series(settings: Settings) -> None:
    """Let each of these counters begin at 0. One that counts already stays as it is."""
    for event, labels in known_series(settings):
        begin_at_zero(event, **labels)


def known_series(settings: Settings) -> Iterator[Series]:
    """The series of these sources, destinations and rules."""
    for status in _BEFORE_A_SOURCE:
        yield "delivery.refused", {"source": "", "status": status}
    for name, source in settings.sources.items():
        yield from _of_source(name, source)
    for name, outlet in settings.destinations.items():
        yield from _of_destination(name, settings, is_shadow=outlet.shadow)


def _of_source(name: str, source: Source) -> Iterator[Series]:
    for event, kind in EVENTS.items():
        is_of_streams = event.partition(".")[0] in _OF_STREAMS
        if kind.metric and kind.labels == ("source",) and is_of_streams is isinstance(source, StreamSource):
            yield event, {"source": name}
    if isinstance(source, WebhookSource):
        yield from _of_door(name, source)
    if isinstance(source, StreamSource):
        for topic in source.subscription().topics:
            yield "record.dead", {"source": name, "topic": topic}
            for result in _RESULTS:
                yield "record.received", {"source": name, "topic": topic, "result": result}


def _of_door(name: str, source: WebhookSource) -> Iterator[Series]:
    for number in range(_secrets(source)):
        yield "delivery.received", {"source": name, "secret_number": number + 1}
    for status in (401, *_REFUSALS):
        yield "delivery.refused", {"source": name, "status": status}


def _secrets(source: WebhookSource) -> int:
    """The largest number of secrets that a shop has."""
    keys = source.signing_keys().values() if isinstance(source, Keyed) else ()
    return max(1, *map(len, keys)) if keys else 1


def _of_destination(name: str, settings: Settings, *, is_shadow: bool) -> Iterator[Series]:
    for event, kind in EVENTS.items():
        if kind.metric and kind.labels == ("dest",):
            yield event, {"dest": name}
    for event, reasons in _REASONS.items():
        for reason in reasons:
            yield event, {"dest": name, "reason": reason}
    facts = settings.rules.facts(name)
    for rule in facts:
        yield "rule.held", {"dest": name, "rule": rule}
    accepted = State.SHADOWED if is_shadow else State.DELIVERED
    for fact, (state, reason) in product(dict.fromkeys(facts.values()), ((accepted, ""), *_ENDS)):
        yield "fact.settled", {"dest": name, "fact": fact, "state": state, "reason": reason}
