"""Compare what other rules would make of the orders that a journal holds: facts added, removed, changed, and what would
leave.

Orders are taken one at a time. The documents of an order are mapped in the order in which they came, as they would be
when they are claimed. Only counts and a few samples are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from bridge.contract import HOLDS, Envelope, Event, Json
from bridge.dry_run.difference import between
from bridge.journal import Kept, Key
from bridge.mapping.former_names import NONE, Pair
from bridge.mapping.rules import Failure, Rules
from bridge.mapping.values import iso

Sort: TypeAlias = Literal["added", "removed", "changed", "sent", "failing"]
Given: TypeAlias = Mapping[Key, Event | Failure]
SORTS: Final[tuple[Sort, ...]] = ("added", "removed", "changed", "sent", "failing")
_SAMPLES: Final = 3  # samples of each difference
_LONGEST: Final = 3  # differences shown of two events


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One fact that differs: the order, its key, and how."""

    order: str
    once: str
    detail: str


@dataclass(slots=True)
class Plan:
    """The differences found so far, by destination, rule and fact.

    added, removed, changed   facts that only the new rules give, that only the old give, and those with other content
    sent                      facts of the new rules whose key nothing holds: they leave when their order comes again
    failing                   facts that the new rules cannot make
    """

    counts: dict[tuple[str, str, str], dict[Sort, int]] = field(default_factory=dict)
    samples: dict[tuple[str, str, str, Sort], list[Sample]] = field(default_factory=dict)
    documents: int = 0
    without_body: int = 0

    def total(self, sort: Sort) -> int:
        return sum(counts.get(sort, 0) for counts in self.counts.values())

    def note(self, sort: Sort, place: tuple[str, str, str], sample: Sample) -> None:
        counts = self.counts.setdefault(place, {})
        counts[sort] = counts.get(sort, 0) + 1
        samples = self.samples.setdefault((*place, sort), [])
        if len(samples) < _SAMPLES:
            samples.append(sample)


class Planner:
    """Compares with the old rules if there are any, else with the keys that are held. united: names that the journal
    remembers as one, by destination."""

    def __init__(
        self,
        new: Rules,
        destinations: Sequence[str],
        old: Rules | None = None,
        *,
        united: Mapping[str, frozenset[Pair]],
    ) -> None:
        self.plan = Plan()
        self._united = united
        self._new = new
        self._destinations = destinations
        self._changed = None if old is None else new.changed(old)
        self._old = None if old is None or self._changed is None else old.only(self._changed)

    def add(self, kept: Kept) -> None:
        """Add one order to the plan."""
        documents = [each for each in kept.documents if each.raw]
        self.plan.documents += len(kept.documents)
        self.plan.without_body += len(kept.documents) - len(documents)
        for dest in self._destinations:
            given = mapped(self._new, documents, dest)
            self._note_sent(dest, kept, given)
            if self._old is None:
                self._against_keys(dest, kept, given)
            else:
                self._against_rules(dest, kept, given, mapped(self._old, documents, dest))

    def _note_sent(self, dest: str, kept: Kept, given: Given) -> None:
        for key, step in given.items():
            if isinstance(step, Failure):
                self._note("failing", dest, kept, key, step, step.message)
            elif not self._is_held(dest, kept, key):
                self._note("sent", dest, kept, key, step, f"at {iso(step.at)}")

    def _is_held(self, dest: str, kept: Kept, key: Key) -> bool:
        fact, once = key
        known = self._united.get(dest, NONE)
        return self._new.is_held(fact, dest, lambda name: kept.held.get((dest, name, once)), united=known)

    def _names(self, dest: str, fact: str) -> Sequence[str]:
        return self._new.names_of(fact, dest, self._united.get(dest, NONE))

    def _against_keys(self, dest: str, kept: Kept, given: Given) -> None:
        for key, step in given.items():
            if isinstance(step, Event) and not self._is_held(dest, kept, key):
                self._note("added", dest, kept, key, step, f"at {iso(step.at)}")
        for to, fact, once in kept.by_these:
            other = {old for name, _ in given for old in self._names(dest, name)[1:]}
            if to == dest and (fact, once) not in given and fact not in other and kept.held[to, fact, once] in HOLDS:
                self.plan.note("removed", (dest, "", fact), _sample(kept, once, str(kept.held[to, fact, once])))

    def _against_rules(self, dest: str, kept: Kept, given: Given, before: Given) -> None:
        for key in dict.fromkeys((*before, *given)):
            old, new = before.get(key), given.get(key)
            step = new or old
            if step is None or (self._changed is not None and step.rule not in self._changed and old is None):
                continue
            if isinstance(new, Event) and not isinstance(old, Event):
                self._note("added", dest, kept, key, new, f"at {iso(new.at)}")
            elif isinstance(old, Event) and not isinstance(new, Event):
                self._note("removed", dest, kept, key, old, f"at {iso(old.at)}")
            elif isinstance(old, Event) and isinstance(new, Event) and (old.give != new.give or old.at != new.at):
                self._note("changed", dest, kept, key, new, "; ".join(_differing(old, new)))

    def _note(self, sort: Sort, dest: str, kept: Kept, key: Key, step: Event | Failure, detail: str) -> None:
        self.plan.note(sort, (dest, step.rule, step.fact), _sample(kept, key[1], detail))


def _sample(kept: Kept, once: str, detail: str) -> Sample:
    order = kept.documents[0].lane if kept.documents else str(kept.lane)
    return Sample(order=order, once="" if once == "[]" else once, detail=detail)


def mapped(rules: Rules, documents: Sequence[Envelope], dest: str) -> Given:
    """The facts of one order. If several documents give a key, the first counts."""
    given: dict[Key, Event | Failure] = {}
    newest: dict[tuple[str, str], datetime] = {}
    for document in documents:
        name = (document.source, document.kind)
        stale = document.is_stale(newest.get(name))
        if document.version is not None and not stale:
            newest[name] = document.version
        for step in rules.apply(
            document, dest, stale=stale, sent=[key for key, step in given.items() if isinstance(step, Event)]
        ):
            if isinstance(step, Event | Failure):
                key = (step.fact, step.once or "")
                if not isinstance(given.get(key), Event):
                    given[key] = step
    return given


def _differing(old: Event, new: Event) -> Iterator[str]:
    left: dict[str, Json] = {**old.give, "at": iso(old.at)}
    right: dict[str, Json] = {**new.give, "at": iso(new.at)}
    for number, line in enumerate(between(left, right)):
        if number == _LONGEST:
            yield "..."
            return
        yield line
