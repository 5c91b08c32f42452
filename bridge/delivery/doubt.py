"""After a journal was put back: which facts may have been sent by the journal that was lost.

A fact without a key that happened before the journal was served again may be one of them. So may one of which nobody
knows when it happened (`at: {assumed: ...}`, or a time to come), unless all else that its document tells is younger.
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
    """Its time is the time at which it happened."""
    return event.rule not in rules.assumed and event.at <= claim.envelope.received_at + _CLOCKS_APART
