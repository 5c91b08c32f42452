"""Find the facts that a lost journal may have sent already, after an older copy of it was put back.

A fact whose key is not held may be one of them if it happened before the journal was served again. So may a fact whose
time nobody knows (`at: {assumed: ...}`, or a time to come). It is safe only if all else that its document tells is
younger.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, TypeAlias

from bridge.contract import Event, Reason
from bridge.journal import Claim
from bridge.mapping.rules import Passed, Rules, Step

_CLOCKS_APART: Final = timedelta(minutes=5)
_OLD: Final = frozenset({Reason.TOO_OLD, Reason.BEFORE_SINCE})

Key: TypeAlias = tuple[str, str]
NONE: Final[frozenset[Key]] = frozenset()


def doubted(claim: Claim, rules: Rules, steps: Sequence[Step]) -> frozenset[Key]:
    """The keys of the facts among these that may have been sent."""
    restored = claim.restored
    if restored is None or claim.envelope.received_at - restored > rules.longest_max_age:
        # What happened before it was put back is too old for every rule by now.
        return _keys(steps) if claim.doubtful else NONE
    if claim.doubtful or any(isinstance(step, Passed) and step.reason in _OLD for step in steps):
        is_young = False
    else:
        sure = [step.at for step in steps if isinstance(step, Event) and _is_sure(claim, rules, step)]
        is_young = bool(sure) and min(sure) > restored
    return frozenset(
        (step.fact, step.once)
        for step in steps
        if isinstance(step, Event)
        and (claim.doubtful or step.at <= restored or not (is_young or _is_sure(claim, rules, step)))
    )


def _keys(steps: Sequence[Step]) -> frozenset[Key]:
    return frozenset((step.fact, step.once) for step in steps if isinstance(step, Event))


def _is_sure(claim: Claim, rules: Rules, event: Event) -> bool:
    """Whether the event's time is the time at which the fact happened."""
    return event.rule not in rules.assumed and event.at <= claim.envelope.received_at + _CLOCKS_APART
