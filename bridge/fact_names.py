"""Check the names of facts and destinations, which are part of keys. Under another name than before, a fact would be
sent again for every order.

The journal remembers which facts the rules in force can give. So a fact that never came up is told from a new one, and
a rule that was taken out from one that was renamed.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from bridge.config import Settings
from bridge.errors import ConfigurationError, JournalBusy, Problem
from bridge.journal import Journal, Reader
from bridge.mapping.former_names import NONE, Pair
from bridge.telemetry import emit

_MEMORY: Final = "facts in force"
Facts: TypeAlias = Mapping[str, Mapping[str, str]]
"""Facts by destination and rule."""

United: TypeAlias = Mapping[str, frozenset[Pair]]
"""Pairs of united names, by destination."""


class Renamed(ConfigurationError):
    """A fact or a destination seems to have another name than before. Going on would send it again."""


@dataclass(frozen=True, kw_only=True)
class FactNames:
    """The names that a configuration gives its facts, beside those that the journal has keys of and those that were in
    force before.

    before  None where nothing was remembered: a journal that only versions before this memory have served
    united  names that the journal remembers as one
    """

    settings: Settings
    kept: Mapping[str, frozenset[str]]
    before: Facts | None
    united: United

    @property
    def now(self) -> Facts:
        return {dest: dict(self.settings.rules.facts(dest)) for dest in self.settings.destinations}

    @property
    def said(self) -> Sequence[tuple[str, str, str]]:
        """Names, as (destination, fact, former), that the rules give and the journal does not remember yet."""
        return [
            (dest, fact, old)
            for (dest, fact), former in self.settings.rules.formerly.items()
            for old in former
            if old != fact and (fact, old) not in self.united.get(dest, NONE)
        ]

    def renamed(self) -> list[Problem]:
        """Problems for what seems to be renamed, each with its place and cure."""
        return [
            *self._destinations(),
            *(each for dest in self.settings.destinations for each in (*self._facts(dest), *self._parted(dest))),
        ]

    def removed(self) -> Iterator[tuple[str, str, str]]:
        """Destination, rule (as far as it is known) and fact of what has keys, and is made by no rule from now on."""
        for dest in self.settings.destinations:
            rules = _rule_of(self.before, dest)
            for fact in self._gone(dest):
                if self.before is None or fact in rules:
                    yield dest, rules.get(fact, ""), fact

    def _gone(self, dest: str) -> list[str]:
        names = {name for fact in self.now[dest].values() for name in self._names(dest, fact)}
        return sorted(self.kept.get(dest, frozenset()) - names)

    def _names(self, dest: str, fact: str) -> Sequence[str]:
        return self.settings.rules.names_of(fact, dest, self.united.get(dest, NONE))

    def _new(self, dest: str, gone: Collection[str]) -> list[str]:
        """Facts that their rule could not give before: those without keys, and those whose rule gave one that is gone.
        If nothing is remembered, every fact without keys may be one of them. One question too many is better than a
        fact that is sent twice."""
        was, kept = (self.before or {}).get(dest, {}), self.kept.get(dest, frozenset())
        return sorted(
            fact
            for rule, fact in self.now[dest].items()
            if was.get(rule) != fact
            and (fact not in kept or was.get(rule) in gone)
            and (dest, fact) not in self.settings.rules.formerly
            and len(self._names(dest, fact)) == 1
        )

    def _facts(self, dest: str) -> Iterator[Problem]:
        gone = self._gone(dest)
        rules = {fact: rule for rule, fact in self.now[dest].items()}
        for fact in self._new(dest, gone) if gone else ():
            were = ", ".join(_fact_of(old, _rule_of(self.before, dest)) for old in gone)
            is_new = "is new" if self.before is not None else "has no keys yet"
            if fact in self.kept.get(dest, ()):
                is_new = "is made again"
            yield self._problem(
                rules[fact],
                f"{fact} {is_new} for destination {dest}, of which the journal keeps keys of {were}, which no rule "
                f"makes any more. If it was renamed, write `formerly: {gone[0]}` in its rule, or it would be sent "
                "again for every order; if it is another fact, write `formerly: []`",
            )

    def _parted(self, dest: str) -> Iterator[Problem]:
        """Problems for names that were one fact, and that two rules make now. Nobody knows which of the two the keys
        belong to."""
        rules, formerly = {fact: rule for rule, fact in self.now[dest].items()}, self.settings.rules.formerly
        for fact, old in sorted(self.united.get(dest, NONE)):
            if fact in rules and old in rules and (dest, fact) not in formerly and (dest, old) not in formerly:
                yield self._problem(
                    rules[old],
                    f"{old} was another name of {fact} for destination {dest}, and now rule {rules[fact]} makes {fact} "
                    f"beside it. Give one of them a fact of another name, or, if they are two facts from now on, write "
                    "`formerly: []` in its rule",
                )

    def _problem(self, rule: str, message: str) -> Problem:
        written = next(each for each in self.settings.written if each.name == rule)
        file, line, column = written.where(("fact",))
        return Problem(message=message, path=f"rules.{rule}", file=file, line=line, column=column)

    def _destinations(self) -> Iterator[Problem]:
        outlets = self.settings.destinations
        gone = sorted(self.kept.keys() - outlets.keys())
        known = {*self.kept, *(self.before or ())}
        for new in sorted(outlets.keys() - known) if gone else ():
            if not outlets[new].is_another:
                yield Problem(
                    path=f"destinations.{new}",
                    file=str(self.settings.file or ""),
                    message=f"is new, and the journal keeps keys of destination {gone[0]}, which is not configured any "
                    f"more. If it was renamed, call it {gone[0]} again, or every order would be sent again; if it is "
                    "another, write `formerly: []` in it",
                )


def _rule_of(facts: Facts | None, dest: str) -> Mapping[str, str]:
    return {fact: rule for rule, fact in (facts or {}).get(dest, {}).items()}


def _fact_of(fact: str, rules: Mapping[str, str]) -> str:
    return f"{fact} (rule {rules[fact]})" if rules.get(fact, fact) != fact else fact


async def naming(journal: Reader, settings: Settings) -> FactNames:
    """Collect both sides, to be compared."""
    names = await journal.fact_names()
    united = await united_names(journal)
    remembered = await journal.recall(_MEMORY)
    return FactNames(
        settings=settings,
        kept={dest: frozenset(fact for to, fact in names if to == dest) for dest, _ in names},
        before=None if remembered is None else json.loads(remembered),
        united=united,
    )


async def united_names(journal: Reader) -> United:
    """Names that the journal remembers as one."""
    united: dict[str, set[Pair]] = {}
    for dest, fact, former in await journal.united():
        united.setdefault(dest, set()).add((fact, former))
    return {dest: frozenset(pairs) for dest, pairs in united.items()}


async def check_and_remember(journal: Journal, settings: Settings) -> None:
    """Check the names of facts before these rules are in force. Raises Renamed, or logs which facts no rule makes any
    more, and remembers the rest."""
    found = await naming(journal, settings)
    if problems := found.renamed():
        refused = Renamed(problems)
        refused.add_note("nothing was taken over: `attribution-bridge plan` says which facts would be sent")
        raise refused
    for dest, rule, fact in found.removed():
        emit("rule.removed", dest=dest, rule=rule, fact=fact, detail="no rule makes it any more; its keys are kept")
    if found.said:
        # Do this before anything leaves under the new name: a replica that does not know it would use the old.
        await journal.unite(found.said)
    if found.now != found.before:
        # A disk that is full is no reason not to serve: what was in force before stays remembered.
        with suppress(JournalBusy):
            await journal.remember(_MEMORY, json.dumps(found.now, sort_keys=True))
