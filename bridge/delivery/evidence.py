"""Decide whom a refusal is about: everybody, one rule, or one fact. Pure: the clock is an argument, in seconds.

One refusal alone does not say it. A revoked token refuses every fact. An action that the account may not use refuses
the facts of one rule. So refusals are compared with what is accepted between them.

A refusal is about the rule after five refusals of the rule over at least five seconds. After each of them, facts of
other rules must have been begun and accepted before the next. It is about the one fact after ten such refusals of the
fact, if other facts of its rule were accepted. Anything less is about everybody.

A refusal of a fact by itself is about its rule when the same refusal came twenty times running.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bridge.contract import Delivered, Outcome, Paused, Reason, Rejected, Retry, Uncertain

_RULE_ROUNDS = 5  # rounds of refusals before it is about the rule
_FACT_ROUNDS = 10  # rounds of refusals before it is about the fact
_SAME_REFUSALS = 20  # facts of one rule with the same refusal in a row
_SPAN = 5.0  # seconds that rounds must span
_MOST_FACTS = 1000  # facts
_LONG_AGO = float("-inf")

Fact: TypeAlias = tuple[Hashable, ...]


class Scope(StrEnum):
    """The facts that a refusal is about."""

    ALL = "all"
    RULE = "rule"
    FACT = "fact"


class _Sort(StrEnum):
    """Refusals that are compared with each other."""

    DENIED = "denied"
    THROTTLED = "throttled"


@dataclass(slots=True)
class _Series:
    """Refusals with acceptances of others between them. first, last: when those came."""

    first: float
    rounds: int = 0
    last: float = _LONG_AGO

    def further(self, accepted: float, *, now: float) -> None:
        """Count one refusal more, if something else was begun after the last one and was accepted before this one."""
        self.rounds += self.last <= accepted
        self.last = now

    def is_enough(self, rounds: int) -> bool:
        """Whether the refusals are so many, and not all in one short trouble."""
        return self.rounds >= rounds and self.last - self.first >= _SPAN


class Evidence:
    """The refusals of a destination, and what was accepted between them."""

    def __init__(self) -> None:
        self._accepted: dict[str, float] = {}
        """Rule to when the last of its facts that were accepted was begun."""
        self._rules: dict[tuple[_Sort, str], _Series] = {}
        self._facts: OrderedDict[tuple[_Sort, Fact], _Series] = OrderedDict()
        self._refusals: dict[str, tuple[str, int]] = {}
        """Rule to its last refusal, and how often it came running."""

    @property
    def denied(self) -> Mapping[str, float]:
        """Rules that were denied since one of their facts was accepted, and when the last time."""
        return {rule: series.last for (sort, rule), series in self._rules.items() if sort is _Sort.DENIED}

    def scope(self, outcome: Outcome, rule: str, fact: Fact, *, began: float, now: float) -> Scope:
        """Note the outcome of a fact. Returns whom it is about, if it is a refusal."""
        match outcome:
            case Delivered():
                self._accept(rule, fact, began)
            case Rejected():
                return self._reject(rule, outcome.detail)
            case Paused() | Uncertain(reason=Reason.NOT_UNDERSTOOD):
                return self._refuse(_Sort.DENIED, rule, fact, now)
            case Retry(reason=Reason.THROTTLED):
                return self._refuse(_Sort.THROTTLED, rule, fact, now)
        return Scope.ALL

    def forget(self, rule: str) -> None:
        """Forget the refusals of a rule: it has changed, or a person says that it may be tried again."""
        self._refusals.pop(rule, None)
        for sort in _Sort:
            self._rules.pop((sort, rule), None)

    def _accept(self, rule: str, fact: Fact, began: float) -> None:
        self._accepted[rule] = max(began, self._accepted.get(rule, _LONG_AGO))
        self._refusals.pop(rule, None)
        for sort in _Sort if self._rules or self._facts else ():
            self._rules.pop((sort, rule), None)
            self._facts.pop((sort, fact), None)

    def _reject(self, rule: str, detail: str) -> Scope:
        before, count = self._refusals.get(rule, ("", 0))
        count = count + 1 if before == detail else 1
        self._refusals[rule] = (detail, count)
        return Scope.RULE if count >= _SAME_REFUSALS else Scope.ALL

    def _refuse(self, sort: _Sort, rule: str, fact: Fact, now: float) -> Scope:
        others = max((at for other, at in self._accepted.items() if other != rule), default=_LONG_AGO)
        of_rule = self._rules.setdefault((sort, rule), _Series(now))
        of_fact = self._facts.setdefault((sort, fact), _Series(now))
        of_rule.further(others, now=now)
        of_fact.further(self._accepted.get(rule, _LONG_AGO), now=now)
        self._facts.move_to_end((sort, fact))
        if len(self._facts) > _MOST_FACTS:
            self._facts.popitem(last=False)
        if of_fact.is_enough(_FACT_ROUNDS):
            return Scope.FACT
        return Scope.RULE if of_rule.is_enough(_RULE_ROUNDS) else Scope.ALL
