"""How much may be sent to a destination now. Pure: the clock is an argument.

well         as many lanes in flight as configured
suspicious   after silence or a server's error: one in flight, until an answer comes
down         after five troubles running: nothing, until a harmless read is answered
paused       after a 401 or 403: nothing but one fact now and then, which is the probe: reads can succeed while writes
             are refused
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bridge.contract import Delivered, Outcome, Paused, Reason, Retry, Skipped, Uncertain

_TROUBLES = 5
_FIRST_PROBE = timedelta(seconds=1)
_LONGEST_PROBE = timedelta(minutes=1)
_LARGEST_EXPONENT = 16
_TROUBLESOME = frozenset({Reason.UNREACHABLE, Reason.TIMED_OUT, Reason.NO_ANSWER, Reason.SERVER_ERROR})
_UNHEARD = frozenset({Reason.RULE_FAILED, Reason.CONNECTOR_FAILED, Reason.RESTORED})
"""Outcomes that are made here, whatever the other side would say."""


class Mood(StrEnum):
    """How a destination is thought of."""

    WELL = "well"
    SUSPICIOUS = "suspicious"
    DOWN = "down"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """troubles counts what went wrong running; probes counts those answered badly while down or paused."""

    mood: Mood = Mood.WELL
    troubles: int = 0
    probes: int = 0
    probe_at: datetime | None = None
    reason: str = ""


_WELL = Health()


def after(health: Health, outcome: Outcome, now: datetime) -> Health:
    """The health that follows from the outcome of one fact. Where nothing was heard of the other side, it stays."""
    if isinstance(outcome, Skipped) or (not isinstance(outcome, Delivered) and outcome.reason in _UNHEARD):
        return health
    if isinstance(outcome, Paused) or (isinstance(outcome, Uncertain) and outcome.reason is Reason.NOT_UNDERSTOOD):
        return _waiting(health, Mood.PAUSED, now, outcome.detail or outcome.reason)
    if isinstance(outcome, (Retry, Uncertain)) and outcome.reason in _TROUBLESOME:
        return _troubled(health, outcome.reason, now)
    return _WELL


def after_probe(health: Health, *, answered: bool, now: datetime) -> Health:
    """The health that follows from the harmless read that is sent while a destination is down."""
    if answered:
        return Health(mood=Mood.SUSPICIOUS, troubles=1)
    return _waiting(health, Mood.DOWN, now, health.reason)


def allowed(health: Health, *, in_flight: int, concurrency: int, now: datetime) -> int:
    """How many more lanes may start. While down the probe is no lane: see probe_is_due."""
    match health.mood:
        case Mood.WELL:
            return max(0, concurrency - in_flight)
        case Mood.SUSPICIOUS:
            return 1 if in_flight == 0 else 0
        case Mood.PAUSED:
            return 1 if in_flight == 0 and _due(health, now) else 0
        case Mood.DOWN:
            return 0


def probe_is_due(health: Health, now: datetime) -> bool:
    """Time for the harmless read."""
    return health.mood is Mood.DOWN and _due(health, now)


def _due(health: Health, now: datetime) -> bool:
    return health.probe_at is None or now >= health.probe_at


def _troubled(health: Health, reason: Reason, now: datetime) -> Health:
    if health.mood in (Mood.PAUSED, Mood.DOWN):
        return _waiting(health, health.mood, now, reason)
    troubles = health.troubles + 1
    if troubles < _TROUBLES:
        return replace(health, mood=Mood.SUSPICIOUS, troubles=troubles, reason=reason)
    return _waiting(replace(health, troubles=troubles), Mood.DOWN, now, reason)


def _waiting(health: Health, mood: Mood, now: datetime, reason: str) -> Health:
    probes = health.probes if health.mood is mood else 0
    wait = min(_FIRST_PROBE * 2 ** min(probes, _LARGEST_EXPONENT), _LONGEST_PROBE)
    return replace(health, mood=mood, probes=probes + 1, probe_at=now + wait, reason=reason)
