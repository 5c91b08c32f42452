"""Names are part of keys: a fact or a destination with another name than before would be sent again for every order.

The journal remembers which facts the rules in force can give. So a fact that never came up is told from a new one, and
a rule that was taken out from one that was renamed.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from bridge.config import Settings
from bridge.errors import ConfigurationError, JournalBusy, Problem
from bridge.journal import Feeding, Reading
from bridge.telemetry import emit

_MEMORY: Final = "facts in force"
Facts: TypeAlias = Mapping[str, Mapping[str, str]]
"""Destination, rule and its fact."""


class Renamed(ConfigurationError):
    """A fact or a destination seems to have another name than before: going on would send it again."""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What a configuration calls its facts, beside what the journal has keys of and what was in force before.

    before  None where nothing was remembered: a journal that only versions before this memory have served
    """

    settings: Settings
    kept: Mapping[str, frozenset[str]]
    before: Facts | None

    @property
    def now(self) -> Facts:
        return {dest: dict(self.settings.rules.facts(dest)) for dest in self.settings.destinations}

    @property
    def agreed(self) -> Facts:
        """What is remembered of it: not what is only let through by its `formerly`, which must stay until there are
        keys of it."""
        formerly = self.settings.rules.formerly
        return {
            dest: {
                rule: fact
                for rule, fact in facts.items()
                if not formerly.get((dest, fact)) or fact in self.kept.get(dest, ())
            }
            for dest, facts in self.now.items()
        }

    def renamed(self) -> list[Problem]:
        """What seems to be renamed, each with its place and cure."""
        return [*self._destinations(), *(each for dest in self.settings.destinations for each in self._facts(dest))]

    def removed(self) -> Iterator[tuple[str, str, str]]:
        """Destination, rule (as far as it is known) and fact of what has keys, and is made by no rule from now on."""
        for dest in self.settings.destinations:
            rules = _rule_of(self.before, dest)
            for fact in self._gone(dest):
                if self.before is None or fact in rules:
                    yield dest, rules.get(fact, ""), fact

    def _gone(self, dest: str) -> list[str]:
        facts = set(self.now[dest].values())
        former = {old for fact in facts for old in self.settings.rules.formerly.get((dest, fact), ())}
        return sorted(self.kept.get(dest, frozenset()) - facts - former)

    def _new(self, dest: str) -> list[str]:
        """Facts without keys that their rule could not give before. With nothing remembered, any without keys may be
        one of them: that one too many is asked about is better than that one is sent twice."""
        was = (self.before or {}).get(dest, {})
        known = {*self.kept.get(dest, ()), *(fact for rule, fact in self.now[dest].items() if was.get(rule) == fact)}
        explained = {fact for to, fact in self.settings.rules.formerly if to == dest}
        return sorted(set(self.now[dest].values()) - known - explained)

    def _facts(self, dest: str) -> Iterator[Problem]:
        gone = self._gone(dest)
        rules = {fact: rule for rule, fact in self.now[dest].items()}
        for fact in self._new(dest) if gone else ():
            were = ", ".join(_fact_of(old, _rule_of(self.before, dest)) for old in gone)
            is_new = "is new" if self.before is not None else "has no keys yet"
            yield self._problem(
                rules[fact],
                f"{fact} {is_new} for destination {dest}, of which the journal keeps keys of {were}, which no rule "
                f"makes any more. If it was renamed, write `formerly: {gone[0]}` in its rule, or it would be sent "
                "again for every order; if it is another fact, write `formerly: []`",
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
                    file=str(self.settings.files[0]) if self.settings.files else "",
                    message=f"is new, and the journal keeps keys of destination {gone[0]}, which is not configured any "
                    f"more. If it was renamed, call it {gone[0]} again, or every order would be sent again; if it is "
                    "another, write `formerly: []` in it",
                )


def _rule_of(facts: Facts | None, dest: str) -> Mapping[str, str]:
    return {fact: rule for rule, fact in (facts or {}).get(dest, {}).items()}


def _fact_of(fact: str, rules: Mapping[str, str]) -> str:
    return f"{fact} (rule {rules[fact]})" if rules.get(fact, fact) != fact else fact


async def naming(journal: Reading, settings: Settings) -> Naming:
    """Both sides, to be compared."""
    names = await journal.fact_names()
    remembered = await journal.recall(_MEMORY)
    return Naming(
        settings=settings,
        kept={dest: frozenset(fact for to, fact in names if to == dest) for dest, _ in names},
        before=None if remembered is None else json.loads(remembered),
    )


async def take_names(journal: Feeding, settings: Settings) -> None:
    """Before these rules are in force: raises Renamed, or says which facts are made no more, and remembers the rest."""
    found = await naming(journal, settings)
    if problems := found.renamed():
        refused = Renamed(problems)
        refused.add_note("nothing was taken over: `attribution-bridge plan` says which facts would be sent")
        raise refused
    for dest, rule, fact in found.removed():
        emit("rule.removed", dest=dest, rule=rule, fact=fact, detail="no rule makes it any more; its keys are kept")
    if found.agreed != found.before:
        # A disk that is full is no reason not to serve: what was in force before stays remembered.
        with suppress(JournalBusy):
            await journal.remember(_MEMORY, json.dumps(found.agreed, sort_keys=True))
