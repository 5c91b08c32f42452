"""Rules: compiled once, with every problem said at once, then applied to documents.

rules = compile_rules(written, kinds=..., topics=..., destinations=...)
for step in rules.apply(envelope, "hellotext"): ...
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from itertools import islice
from typing import Final, TypeAlias

import msgspec

from bridge.contract import HOLDS, Envelope, Event, EventShape, Fields, Json, Reason, State
from bridge.errors import ConfigurationError, Problem
from bridge.mapping import values
from bridge.mapping.compiler import MOST_SAID, Context, EnoughSaid, RuleCompiler, Written, digest_of
from bridge.mapping.fields import merged
from bridge.mapping.former_names import NONE, Pair, family
from bridge.mapping.projection import decoder
from bridge.mapping.rule import Explaining, Failure, Passed, Rule, Sent, Step, generated, generated_part
from bridge.mapping.structures import LEFT_OUT, shareable

__all__ = ["Failure", "Passed", "Rules", "Step", "Written", "compile_rules"]

_NOTHING: Final[Mapping[str, Json]] = {}

_Families: TypeAlias = dict[tuple[str, frozenset[Pair]], Mapping[str, Sequence[str]]]


class Rules:
    """All rules of a configuration. Applying them is pure: the same envelope gives the same steps."""

    def __init__(
        self, rules: Sequence[Rule], digests: Mapping[str, str], formerly: Mapping[tuple[str, str], Sequence[str]]
    ) -> None:
        found: dict[tuple[str, str], list[Rule]] = defaultdict(list)
        for rule in rules:
            found[rule.kind, rule.destination].append(rule)
        self._groups = {key: _Group(tuple(group)) for key, group in found.items()}
        self.digest = digest_of([digests])
        self._digests = digests
        self.formerly = formerly
        """(destination, fact) to the names that the fact had before; none where its rule says `formerly: []`."""
        self._families: _Families = {}

    def names(self, destination: str) -> Sequence[str]:
        """The names of the rules for a destination."""
        return tuple(dict.fromkeys(rule.name for rule in self._for(destination)))

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of document that there are rules for."""
        return frozenset(kind for kind, _ in self._groups)

    @property
    def longest_max_age(self) -> timedelta:
        """The oldest that a fact may be and still be sent."""
        return max((rule.max_age for group in self._groups.values() for rule in group.rules), default=timedelta())

    @cached_property
    def reads_told(self) -> bool:
        """Whether a rule asks what was sent before: then `apply` wants to know it."""
        return any(rule.reads_told for group in self._groups.values() for rule in group.rules)

    @cached_property
    def assumed(self) -> frozenset[str]:
        """The rules that do not know when their fact happened."""
        return frozenset(rule.name for group in self._groups.values() for rule in group.rules if rule.is_assumed)

    def digest_of(self, rule: str) -> str:
        """A digest that changes when the rule does, or what it may read of variables and declared fields. Empty: there
        is no such rule."""
        return self._digests.get(rule, "")

    def facts(self, destination: str) -> Mapping[str, str]:
        """The rules for a destination, each with the name of its fact."""
        return {rule.name: rule.fact for rule in self._for(destination)}

    def names_of(self, fact: str, destination: str, united: frozenset[Pair] = NONE) -> Sequence[str]:
        """The names under which the fact may have been sent, its own first. united: what the journal remembers."""
        families = self._families.get((destination, united))
        if families is None:
            made = frozenset(self.facts(destination).values())
            written = {name: former for (to, name), former in self.formerly.items() if to == destination}
            families = {name: family(name, made=made, written=written, united=united) for name in made}
            self._families = {(destination, united): families, **_newest(self._families)}
        return families.get(fact, (fact,))

    def is_held(
        self, fact: str, destination: str, state_of: Callable[[str], State | None], *, united: frozenset[Pair] = NONE
    ) -> bool:
        """Whether the key of the fact is held, under its name or under one that was ever said to be the same.

        state_of  the state that the journal has for a name of the fact
        """
        return any(state_of(name) in HOLDS for name in self.names_of(fact, destination, united))

    def known_name(
        self, fact: str, destination: str, state_of: Callable[[str], State | None], *, united: frozenset[Pair] = NONE
    ) -> str | None:
        """The name under which the journal has the fact: one that holds its key goes first. None: it is not known."""
        known = [name for name in self.names_of(fact, destination, united) if state_of(name) is not None]
        return next((name for name in known if state_of(name) in HOLDS), known[0] if known else None)

    def _for(self, destination: str) -> Sequence[Rule]:
        return [rule for (_, to), group in self._groups.items() if to == destination for rule in group.rules]

    @property
    def written(self) -> Sequence[str]:
        """The names of all rules."""
        return tuple(self._digests)

    def only(self, names: AbstractSet[str]) -> "Rules":
        """Keep only the rules with these names."""
        kept = [rule for group in self._groups.values() for rule in group.rules if rule.name in names]
        return Rules(kept, {name: self._digests[name] for name in names & self._digests.keys()}, self.formerly)

    def changed(self, other: "Rules") -> frozenset[str]:
        """The names of rules that the two do not have alike."""
        names = {*self._digests, *other.written}
        return frozenset(name for name in names if self.digest_of(name) != other.digest_of(name))

    def knows(self, kind: str, destination: str) -> bool:
        """Whether there is a rule for such documents."""
        return (kind, destination) in self._groups

    def apply(self, envelope: Envelope, destination: str, *, stale: bool = False, sent: Sent = ()) -> tuple[Step, ...]:
        """The steps of the rules for a document, in their order. Never raises, whatever the document is.

        Events of one document may share parts of what they give: these are for reading only.

        stale  a newer document of the lane was mapped already; only rules with `stale: use` look at this one
        sent   the keys of the order that other documents sent, or may have sent: `told` of each rule
        """
        group = self._groups.get((envelope.kind, destination))
        if group is None:
            return (Passed(None, Reason.NO_RULE),)
        try:
            document = group.decode(envelope.raw)
        except (ValueError, ArithmeticError, RecursionError):
            return tuple(rule.failed("the body is not JSON that can be read") for rule in group.rules)
        except MemoryError:
            return tuple(rule.failed("there is not enough memory to read the body") for rule in group.rules)
        if type(document) is not dict:
            return tuple(rule.failed("the body is not a JSON object") for rule in group.rules)
        return tuple(group.steps(document, envelope, stale=stale, sent=sent))

    def unmapped(self, envelope: Envelope, destination: str, reason: str) -> tuple[Step, ...]:
        """The steps of the rules for a document that must not be mapped, for this reason."""
        group = self._groups.get((envelope.kind, destination))
        if group is None:
            return (Passed(None, Reason.NO_RULE),)
        return tuple(rule.failed(reason) for rule in group.rules)

    def why_not(self, envelope: Envelope, destination: str, rule: str) -> str:
        """The part of the rule's `when` that is not true of a document. Empty: `when` is not the reason."""
        group = self._groups.get((envelope.kind, destination))
        found = [each for each in group.rules if each.name == rule] if group is not None else []
        return found[0].why_not(group.decode(envelope.raw), envelope) if group is not None and found else ""

    def shown(self, envelope: Envelope, destination: str, event: Event) -> Mapping[str, Json]:
        """The values that the rule of this event shows beside it, to people only."""
        group = self._groups[envelope.kind, destination]
        rule = next(each for each in group.rules if each.name == event.rule)
        return rule.shown(group.decode(envelope.raw), envelope, event) if rule.show else _NOTHING


class _Group:
    """The rules for one kind of document and one destination."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        shared = _shared(rules)
        self.decode = decoder(rules)
        self._runs = [(rule, generated(rule, shared)) for rule in rules]
        self._source_settings = rules[0].told
        self._reads_headers = any("headers" in each.names() for rule in rules for each in rule.expressions())

    def steps(self, document: Json, envelope: Envelope, *, stale: bool, sent: Sent = ()) -> Sequence[Step]:
        out: list[Step] = []
        memo: dict[int, Json] = {}
        named: dict[int | str, Json] = {}
        explaining = Explaining(document, envelope, sent)
        topic, shop, at = envelope.topic, envelope.tenant, envelope.received_at
        source = self._source_settings.get(envelope.source, _NOTHING)
        headers = {name.lower(): text for name, text in envelope.headers.items()} if self._reads_headers else _NOTHING
        least = values.BYTES
        for rule, run in self._runs:
            if stale and not rule.uses_stale:
                out.append(rule.passed(Reason.STALE))
                continue
            before, budget = len(out), values.whole_budget(named)
            try:
                told = rule.told_before(sent)
                run(out, explaining, memo, budget, document, topic, shop, envelope.key, headers, at, source, told)
                least = min(least, budget[1])  # of a part that rules share, the first of them has paid
                if least < _SURELY_SMALL:
                    _check_size(out[before:], budget)
            except values.Beyond as bound:
                out[before:] = [rule.failed(str(bound))]
            except Exception as problem:  # noqa: BLE001  whatever a document makes generated code raise, one rule failed
                out[before:] = explaining.steps(rule, problem)
        return self._said(out, explaining) if LEFT_OUT in named else out

    def _said(self, steps: Sequence[Step], explaining: Explaining) -> Sequence[Step]:
        """The steps with what optional keys were left out of the events, and why."""
        rules = {rule.name: rule for rule in self.rules}
        return [explaining.said(rules[step.rule], step) if isinstance(step, Event) else step for step in steps]


_SURELY_SMALL: Final = values.BYTES - values.BYTES // 8
"""The bytes that are left if even the longest way to write what was given (six bytes for a character) is within the
bound."""


_FAMILIES: Final = 64
"""The most destinations, with what a journal remembers of each. That changes at a start and at a reload, so few are in
use."""


def _newest(families: _Families) -> _Families:
    return dict(islice(families.items(), _FAMILIES))


def _check_size(steps: Sequence[Step], budget: values.Budget) -> None:
    """Check the size of events. Raises if one is larger as JSON than all that a rule may make."""
    values.refuse(budget)
    for step in steps:
        if isinstance(step, Event) and len(_encode(step.give)) > values.BYTES:
            raise values.Beyond(f"gives an event of more than {values.BYTES} bytes")


_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def _shared(rules: Sequence[Rule]) -> Mapping[int, Callable[..., Json]]:
    """Structures that several rules give alike, each with the function that calculates it."""
    parts = [(rule, part) for rule in rules if rule.each is None for part in shareable(rule.give)]
    seen = Counter(id(part) for _, part in parts)
    first = {id(part): (rule, part) for rule, part in parts if seen[id(part)] > 1}
    return {key: generated_part(rule, part) for key, (rule, part) in first.items()}


def compile_rules(  # noqa: PLR0913 - one for each part of a configuration that rules are checked against
    written: Sequence[Written],
    *,
    kinds: Mapping[str, Fields],
    topics: Mapping[str, str],
    destinations: Mapping[str, EventShape],
    variables: Mapping[str, Json] = _NOTHING,
    fields: Mapping[str, Json] = _NOTHING,
    told: Mapping[str, Mapping[str, Json]] = _NOTHING,
) -> Rules:
    """Check and compile, or raise ConfigurationError with every problem.

    kinds   the shapes of the documents that sources bring
    topics  the topics that sources know, each with its kind
    fields  what the configuration adds to the shapes: `{order.new_field: text}`
    told    what sources say of themselves to rules, by the source's name
    """
    shapes, problems = merged(kinds, fields)
    world = Context(kinds=shapes, topics=topics, destinations=destinations, variables=variables, told=told)
    rules: dict[_Apart, Rule] = {}
    found: list[Problem] = list(problems)
    formerly: dict[tuple[str, str], Sequence[str]] = {}
    for each in written:
        reading = RuleCompiler(each, world)
        with suppress(EnoughSaid):
            made = reading.rules()
            former = reading.formerly()
            if isinstance(each.body, dict) and "formerly" in each.body:
                formerly |= {(rule.destination, rule.fact): former for rule in made}
            _check_apart(rules, made, reading)
            rules.update(((rule.kind, rule.destination, rule.fact), rule) for rule in made)
        found.extend(reading.problems)
        if len(found) >= MOST_SAID:
            break
    if found:
        raise ConfigurationError(found)
    around = digest_of([variables, fields, told])
    digests = {each.name: digest_of([each.body, around]) for each in written}
    try:
        return Rules([*rules.values()], digests, formerly)
    except _BEYOND_PYTHON:
        raise ConfigurationError(_beyond_python([*rules.values()], written)) from None


_BEYOND_PYTHON: Final = (SyntaxError, RecursionError, MemoryError, OverflowError)
"""Errors of Python for code that is nested deeper or is larger than it reads."""


def _beyond_python(rules: Sequence[Rule], written: Sequence[Written]) -> Sequence[Problem]:
    """Problems for the rules that are beyond Python, or for all of them together."""
    message = "is larger or nested deeper than can be compiled: make several rules of it, or use fewer names of names"
    places = {each.name: each.where(()) for each in written}
    found = []
    for rule in rules:
        try:
            generated(rule, {})
        except _BEYOND_PYTHON:
            file, line, column = places[rule.name]
            found.append(Problem(message=message, path=f"rules.{rule.name}", file=file, line=line, column=column))
    return found or [Problem(message=f"the rules together: {message}", path="rules")]


_Apart: TypeAlias = tuple[str, str, str]
"""Kind, destination and fact of a rule: no two have the same."""


def _check_apart(rules: Mapping[_Apart, Rule], made: Sequence[Rule], reading: RuleCompiler) -> None:
    """Check that no two rules make one fact: each would hold the other's key."""
    for rule in made:
        if (other := rules.get((rule.kind, rule.destination, rule.fact))) is not None:
            twice = f"makes the fact {rule.fact} of {rule.kind} documents, as rule {other.name} does"
            reading.say((), f"{twice}: one would hold the other's key. Merge them, or give one a fact: of its own")
