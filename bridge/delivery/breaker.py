"""How much may be sent to a destination now. Pure: the clock is an argument, in seconds that nobody can set.

well         as many lanes in flight as configured
suspicious   after silence or a server's error: one in flight, until an answer comes
resting      it asked to be left alone: nothing until then, or for ten minutes at the most; then one fact is the probe
down         after five troubles running: nothing, until a harmless read is answered
paused       after a no to everything, or an answer that nobody understands: nothing but one fact now and then, which is
             the probe: reads can succeed while writes are refused. Where such a fact was left uncertain, a harmless
             read is sent before each, and facts are tried ever more rarely: each may cost one.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from bridge.contract import Delivered, Effect, Outcome, Paused, Reason, Retry, Skipped, Uncertain
from bridge.delivery.policy import LONGEST_REST

_TROUBLES = 5  # troubles in a row: then it is down
_FIRST_PROBE = 1.0  # seconds
_LONGEST_PROBE = 60.0  # seconds between two probes
_LONGEST_COSTLY_PROBE = 3600.0  # seconds between two probes that may leave a fact uncertain
_LARGEST_EXPONENT = 16  # doublings: more would overflow


class BreakerState(StrEnum):
    """The states of a destination."""

    WELL = "well"
    SUSPICIOUS = "suspicious"
    RESTING = "resting"
    DOWN = "down"
    PAUSED = "paused"

    @property
    def sends_nothing(self) -> bool:
        """Whether nothing but probes is sent."""
        return self in (BreakerState.RESTING, BreakerState.DOWN, BreakerState.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The state of a destination.

    since     when it became so
    troubles  counts what went wrong running
    probes    counts those answered badly while nothing is sent
    probe_at  when it is asked again
    is_costly a probe may leave a fact uncertain: a harmless read comes first
    has_read  that read was answered: the next probe is a fact
    """

    state: BreakerState = BreakerState.WELL
    since: float = 0.0
    troubles: int = 0
    probes: int = 0
    probe_at: float = 0.0
    reason: str = ""
    is_costly: bool = False
    has_read: bool = False

    def rest(self, now: float) -> float:
        """Seconds until it is asked again. 0.0 if it is asked anyway."""
        return max(0.0, self.probe_at - now) if self.state.sends_nothing else 0.0


def after(breaker: Breaker, outcome: Outcome, *, began: float, now: float) -> Breaker:
    """The breaker that follows from the outcome of one fact. If nothing was heard of the other side, it stays as it is.

    began  when the fact was begun. A fact that began before sending stopped says nothing of the time since. A fact that
           was on its way then, or that is tried before the probe is due, is no probe: a no to it makes nobody wait
           longer
    """
    is_old = breaker.state.sends_nothing and began < breaker.since
    is_no_probe = breaker.state.sends_nothing and began < breaker.probe_at
    match outcome:
        case Paused() | Uncertain(reason=Reason.NOT_UNDERSTOOD):
            return _refused(breaker, outcome, now, is_no_probe=is_no_probe)
        case Retry(reason=Reason.THROTTLED) | Retry(after=timedelta()) | Uncertain(after=timedelta()):
            return _throttled(breaker, outcome, now, is_no_probe=is_no_probe)
        case Retry() | Uncertain() if Effect.TROUBLE in outcome.reason.effect:
            return breaker if is_no_probe else _troubled(breaker, outcome.reason, now)
        case _ if is_old or not _is_heard(outcome):
            return breaker
        case _:
            return Breaker(since=breaker.since if breaker.state is BreakerState.WELL else now)


def _is_heard(outcome: Outcome) -> bool:
    """Whether the other side has said something."""
    return isinstance(outcome, Delivered) or not (
        isinstance(outcome, Skipped) or Effect.UNHEARD in outcome.reason.effect
    )


def after_probe(breaker: Breaker, *, answered: bool, now: float) -> Breaker:
    """The breaker that follows from the harmless read."""
    if not answered:
        return _waiting(breaker, breaker.state, now, breaker.reason)
    if breaker.state is BreakerState.PAUSED:
        return replace(breaker, has_read=True)
    return Breaker(state=BreakerState.SUSPICIOUS, since=now, troubles=1)


def allowed(breaker: Breaker, *, in_flight: int, concurrency: int, now: float) -> int:
    """The number of lanes that may start now. While the destination is down the probe is no lane: see probe_is_due."""
    match breaker.state:
        case BreakerState.WELL:
            return max(0, concurrency - in_flight)
        case BreakerState.SUSPICIOUS:
            return 1 if in_flight == 0 else 0
        case BreakerState.PAUSED | BreakerState.RESTING:
            may_try = now >= breaker.probe_at and (breaker.has_read or not breaker.is_costly)
            return 1 if in_flight == 0 and may_try else 0
        case BreakerState.DOWN:
            return 0


def probe_is_due(breaker: Breaker, now: float) -> bool:
    """Whether it is time for the harmless read."""
    reads = breaker.state is BreakerState.DOWN or (
        breaker.state is BreakerState.PAUSED and breaker.is_costly and not breaker.has_read
    )
    return reads and now >= breaker.probe_at


def _refused(breaker: Breaker, outcome: Paused | Uncertain, now: float, *, is_no_probe: bool) -> Breaker:
    is_costly = breaker.is_costly or isinstance(outcome, Uncertain)
    if is_no_probe and breaker.state is BreakerState.PAUSED:
        return replace(breaker, is_costly=is_costly)
    return _waiting(replace(breaker, is_costly=is_costly), BreakerState.PAUSED, now, outcome.detail or outcome.reason)


def _throttled(breaker: Breaker, outcome: Retry | Uncertain, now: float, *, is_no_probe: bool) -> Breaker:
    """The breaker after the other side asked for less. If it does not say for how long, the concurrency limit alone
    answers. A probe waits as any other request does."""
    if Effect.TROUBLE in outcome.reason.effect and not is_no_probe:
        breaker = _troubled(breaker, outcome.reason, now)
    if outcome.after:
        rest = min(outcome.after, LONGEST_REST).total_seconds()
        asked = f"asks to be left alone for {outcome.after}"
        return _resting(breaker, now, max(breaker.rest(now), rest), f"{outcome.detail or outcome.reason}: {asked}")
    if breaker.state in (BreakerState.RESTING, BreakerState.PAUSED) and not is_no_probe:
        return _waiting(breaker, breaker.state, now, breaker.reason)
    return breaker


def _resting(breaker: Breaker, now: float, rest: float, reason: str) -> Breaker:
    if breaker.state in (BreakerState.DOWN, BreakerState.PAUSED):
        return replace(breaker, probe_at=now + rest, has_read=False)
    is_new = breaker.state is not BreakerState.RESTING
    since, probes = (now, 0) if is_new else (breaker.since, breaker.probes)
    return replace(breaker, state=BreakerState.RESTING, since=since, probes=probes, probe_at=now + rest, reason=reason)


def _troubled(breaker: Breaker, reason: Reason, now: float) -> Breaker:
    if breaker.state in (BreakerState.DOWN, BreakerState.PAUSED):
        return _waiting(breaker, breaker.state, now, reason if breaker.state is BreakerState.DOWN else breaker.reason)
    troubles = breaker.troubles + 1
    if troubles < _TROUBLES:
        since = breaker.since if breaker.state is BreakerState.SUSPICIOUS else now
        return replace(breaker, state=BreakerState.SUSPICIOUS, since=since, troubles=troubles, reason=reason)
    return _waiting(replace(breaker, troubles=troubles), BreakerState.DOWN, now, reason)


def _waiting(breaker: Breaker, state: BreakerState, now: float, reason: str) -> Breaker:
    """The breaker with its next probe. Probes come ever more rarely, but at least once a minute; once an hour if a fact
    is the price."""
    same = breaker.state is state
    probes = breaker.probes if same else 0
    longest = _LONGEST_COSTLY_PROBE if breaker.is_costly and breaker.has_read else _LONGEST_PROBE
    wait = min(_FIRST_PROBE * 2 ** min(probes, _LARGEST_EXPONENT), longest)
    return replace(
        breaker,
        state=state,
        since=breaker.since if same else now,
        probes=probes + 1,
        probe_at=max(now + wait, breaker.probe_at if same else 0.0),
        reason=reason,
        has_read=False,
    )
