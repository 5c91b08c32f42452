"""One rule for one kind of document, compiled: a fast function for the normal case, and a slow way that explains.

The fast function raises whenever a document is not as the rule needs it. Then the slow way says what happens, in the
same order: when, at, age, once, give.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeAlias

from msgspec import structs

from bridge.contract import Envelope, Event, Json, Reason
from bridge.mapping import values
from bridge.mapping.codegen import PythonSource, compiled, namespace, variable
from bridge.mapping.expressions import Expression
from bridge.mapping.fields import is_list
from bridge.mapping.operations import untrue
from bridge.mapping.structures import (
    DOCUMENT,
    FAILURES,
    LEFT_OUT,
    TOLD,
    Each,
    Fixed,
    Structure,
    Unmapped,
    evaluated,
    missing,
)
from bridge.mapping.terms import BUDGET, Scope
from bridge.mapping.values import WHAT_DATA_CAN_RAISE, Beyond, Failed, Unexplained


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A rule that could not make its fact. The message holds no value of the document but codes of currencies.

    once    canonical, or None where the rule failed before it was known
    """

    rule: str
    fact: str
    once: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Passed:
    """A rule that has nothing to say about this document, and the reason. rule None: there is no rule for such
    documents."""

    rule: str | None
    reason: Reason


Step: TypeAlias = Event | Failure | Passed
Sent: TypeAlias = Collection[tuple[str, str]]
"""Keys of an order that were sent, or may have been: fact and once."""
LONGEST_MESSAGE: Final = 1_000  # characters
_TERMS_OF_A_KEY: Final = 200
"""The most terms that are looked at to find the key of a fact that failed, if nothing is left to explain it."""
_FURTHEST: Final = (Reason.TOO_OLD, Reason.BEFORE_SINCE, Reason.NOT_TRUE, Reason.NOTHING_TO_SEND)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A checked rule for one kind of document."""

    name: str
    kind: str
    destination: str
    fact: str
    when: Expression | None
    each: Each | None
    at: Expression
    is_assumed: bool
    once: Sequence[Expression]
    give: Structure
    uses_stale: bool
    max_age: timedelta
    since: datetime | None
    resend: bool
    variables: Mapping[str, Json]
    told: Mapping[str, Mapping[str, Json]]
    show: Mapping[str, Expression]

    def expressions(self) -> Sequence[Expression]:
        """All expressions by which it reads a document."""
        own = [self.at, *self.once, *self.give.expressions()]
        own += [level.over for level in self.each.levels] if self.each is not None else []
        return own if self.when is None else [*own, self.when]

    def passed(self, reason: Reason) -> Passed:
        return Passed(self.name, reason)

    @cached_property
    def reads_told(self) -> bool:
        """Whether it asks by which numbers its fact was sent before."""
        return any(TOLD in each.names() for each in self.expressions())

    def told_before(self, sent: Sent) -> Sequence[values.Value]:
        """The numbers of its fact among the keys that were sent, or may have been. Empty if the rule does not ask."""
        if not self.reads_told:
            return ()
        numbers = [values.once_number(once) for fact, once in sent if fact == self.fact]
        return [number for number in numbers if number is not None]

    def why_not(self, document: Json, envelope: Envelope) -> str:
        """The part of `when` that is not true of this document. Empty: `when` is not the reason. It holds no value of
        the document."""
        scope = scope_of(self, document, envelope)
        if self.when is None:
            return ""
        try:
            if self.each is None:
                return untrue(self.when.term, scope)
            scopes = self.each.scopes(scope) or []
            found = dict.fromkeys(untrue(self.when.term, each) for each in scopes)
        except WHAT_DATA_CAN_RAISE:
            return ""
        return "; ".join(reason for reason in found if reason)

    def shown(self, document: Json, envelope: Envelope, event: Event) -> Mapping[str, Json]:
        """The values of `show` beside an event that this rule gave for the document."""
        scope = self._scope_of(scope_of(self, document, envelope), event)
        found = {
            label: _shown(each, {**scope, "given": event.give, BUDGET: values.whole_budget()})
            for label, each in self.show.items()
        }
        return {label: value for label, value in found.items() if value is not None}

    def said(self, explained: Scope, event: Event) -> Event:
        """The event with the reasons why optional keys are not in it. explained: the scope of its document."""
        left_out: list[str] = []
        try:
            self.give.value({**self._scope_of(explained, event), LEFT_OUT: left_out})
        except WHAT_DATA_CAN_RAISE:
            left_out.append("some optional keys were left out; the document is too large to look for which")
        return structs.replace(event, left_out=tuple(left_out))

    def _scope_of(self, scope: Scope, event: Event) -> Scope:
        """The scope of the element that the event is about."""
        if self.each is None:
            return scope
        return next((each for each in self.each.scopes(scope) or [] if self._once(each) == event.once), scope)

    # -- the slow way

    def explained(self, scope: Scope) -> Sequence[Step]:
        """The steps for a document, with the reason of every failure. Raises Beyond."""
        if self.each is None:
            return [self.step(scope)]
        try:
            scopes = self.each.scopes(scope) or []
        except Beyond:
            raise
        except Failed as failure:
            return [self._failure(scope, failure)]
        return self.gathered([self.step(each) for each in scopes])

    def gathered(self, steps: Sequence[Step]) -> Sequence[Step]:
        """The steps of all elements; if none sends anything, the reason that came furthest."""
        told = [step for step in steps if not isinstance(step, Passed)]
        reasons = {step.reason for step in steps if isinstance(step, Passed)} | {Reason.NOTHING_TO_SEND}
        return told or [self.passed(next(each for each in _FURTHEST if each in reasons))]

    def step(self, scope: Scope) -> Step:
        """The step of the rule for one document, or for one element of it. Raises Beyond."""
        try:
            if self.when is not None and not evaluated(self.when, ("when",), scope):
                return self.passed(Reason.NOT_TRUE)
            at = self._at(scope)
            reason = self._age(at, scope["received_at"])
            if reason is not None:
                return self.passed(reason)
            at = self._in_at(values.utc, at)
            once = self._once(scope)
            left_out: list[str] = []
            give = self.give.value({**scope, LEFT_OUT: left_out})
            if give is None:
                raise self.give.why_empty(scope)
        except Beyond:
            raise
        except Failed as failure:
            return self._failure(scope, failure)
        except WHAT_DATA_CAN_RAISE as failure:
            return self._failure(scope, Failed(f"cannot be calculated ({type(failure).__name__})"))
        return Event(
            rule=self.name, fact=self.fact, once=once, at=at, give=give, resend=self.resend, left_out=tuple(left_out)
        )

    def unexplained(self, scope: Scope, problem: Exception) -> Failure:
        """The failure of a document that is too large to look for the place: why the fast way stopped."""
        said = str(problem) if isinstance(problem, Failed) else type(problem).__name__
        why = f"cannot be calculated ({said or 'something that must have a value is empty'})"
        return self._failure(scope, Failed(f"{why}; the document is too large to look for the place"))

    def _at(self, scope: Scope) -> datetime:
        found = evaluated(self.at, ("at",), scope)
        moment: datetime | None = self._in_at(values.as_time, found)
        if moment is None:
            raise missing(self.at, ("at",), scope)
        return moment

    def _in_at(self, function: Callable[[Json], Any], given: Json) -> Any:  # noqa: ANN401 - what the function gives
        try:
            return function(given)
        except Failed as failure:
            raise Unmapped(("at",), self.at.source, str(failure)) from None

    def _age(self, at: datetime, received_at: datetime) -> Reason | None:
        if self.since is not None and at < self.since:
            return Reason.BEFORE_SINCE
        return Reason.TOO_OLD if received_at - at > self.max_age else None

    def _once(self, scope: Scope) -> str:
        parts: list[Json] = []
        for expression in self.once:
            value = evaluated(expression, ("once",), scope)
            if value is None or value == [] or (type(value) is list and None in value):
                raise missing(expression, ("once",), scope)
            parts.extend(value if type(value) is list else [value])
        try:
            return values.once_key(parts)
        except Failed as failure:
            raise Unmapped(("once",), ", ".join(each.source for each in self.once), str(failure)) from None

    def _failure(self, scope: Scope, failure: Failed) -> Failure:
        try:
            once = self._once({**scope, BUDGET: [values.STEPS, values.BYTES, _TERMS_OF_A_KEY, {}]})
        except WHAT_DATA_CAN_RAISE:
            once = None
        return self.failed(str(failure), once)

    def failed(self, reason: str, once: str | None = None) -> Failure:
        """A failure for this reason."""
        message = f"rule {self.name}: {reason}"
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[:LONGEST_MESSAGE]}..."
        return Failure(rule=self.name, fact=self.fact, once=once, message=message)


def _shown(expression: Expression, scope: Scope) -> Json:
    try:
        return values.plain(expression.evaluate(scope), scope[BUDGET])
    except WHAT_DATA_CAN_RAISE as failure:
        return f"cannot be calculated: {failure}"


class Explaining:
    """Finds the reasons of failures on one document, and stops where that takes too long.

    What it may look at is shared by all rules and elements: a document with many failures costs what one with few does.
    """

    __slots__ = ("_budget", "_document", "_envelope", "_failures", "_sent")

    def __init__(self, document: Json, envelope: Envelope, sent: Sent = ()) -> None:
        self._document = document
        self._envelope = envelope
        self._sent = sent
        self._budget = values.whole_budget()
        self._failures: dict[int, Failed] = {}

    def steps(self, rule: Rule, problem: Exception) -> Sequence[Step]:
        """The steps of the rule for a document on which its fast way raised this. Never raises."""
        scope = self._scope(rule)
        try:
            return rule.explained(scope)
        except Unexplained:
            return [rule.unexplained(scope, problem)]
        except Beyond as bound:
            return [rule.failed(str(bound))]
        except Exception as bug:  # noqa: BLE001  what a document makes the language raise is no reason to stop for others
            return [rule.failed(f"cannot be calculated ({type(bug).__name__})")]

    def element(self, rule: Rule, elements: Sequence[Json], problem: Exception) -> Step:
        """What the rule says of one element of its `each`, where its fast way raised this.

        elements  that and those it stands in, in the order of the rule's lists
        """
        scope, levels = self._scope(rule), () if rule.each is None else rule.each.levels
        named = {level.name: element for level, element in zip(levels, elements, strict=True)}
        scope = {**scope, **named, FAILURES: None}
        try:
            return rule.step(scope)
        except Unexplained:
            return rule.unexplained(scope, problem)

    def said(self, rule: Rule, event: Event) -> Event:
        """The event with what optional keys were left out of it, and why."""
        return rule.said({**self._scope(rule), FAILURES: None}, event)

    def _scope(self, rule: Rule) -> Scope:
        """The scope for one rule, with steps and bytes of its own. Rules share only what explains their failures."""
        self._budget[:2] = values.STEPS, values.BYTES
        told = rule.told_before(self._sent)
        scope = scope_of(rule, self._document, self._envelope, told)
        return {**scope, BUDGET: self._budget, FAILURES: self._failures}


def scope_of(rule: Rule, document: Json, envelope: Envelope, told: Sequence[values.Value] = ()) -> Scope:
    """What a rule may name, for one document, and all that it may spend on it.

    told  the numbers by which its fact was sent before
    """
    return {
        TOLD: list(told),
        rule.kind: document,
        "doc": document,
        "topic": envelope.topic,
        "shop": envelope.tenant,
        "key": envelope.key,
        "headers": {name.lower(): text for name, text in envelope.headers.items()},
        "received_at": envelope.received_at,
        "vars": rule.variables,
        "source": dict(rule.told.get(envelope.source, {})),
        BUDGET: values.whole_budget(),
    }


# -- the fast way ------------------------------------------------------------------------------------------------------


def generated(rule: Rule, shared: Mapping[int, Callable[..., Any]]) -> Callable[..., None]:
    """Generate `run(out, explaining, memo, budget, document, topic, ...)`, which appends the steps to out, or raises.

    memo holds, for one document, the structures that several rules share. An element of `each` that fails is explained,
    and does not make the others fail.
    """
    writer = _writer(rule)
    writer.shared = shared if rule.each is None else {}
    if rule.each is None:
        _write_step(writer, rule, "return")
    else:
        _write_each(writer, rule, rule.each)
    return compiled(f"def run(out, explaining, memo, budget, {DOCUMENT}):", writer, writer.space)


def generated_part(rule: Rule, structure: Structure) -> Callable[..., Any]:
    """Generate `part(budget, document, topic, ...)`. It gives a structure of this rule, or None if it is empty, or
    raises."""
    writer = _writer(rule)
    structure.python(writer, "found", strict=False)
    writer.line("return found")
    return compiled(f"def part(budget, {DOCUMENT}):", writer, writer.space)


def _writer(rule: Rule) -> PythonSource:
    writer = PythonSource({**namespace(), "Event": Event, "v_vars": rule.variables})
    if rule.kind.isidentifier():
        writer.line(f"{variable(rule.kind)} = v_doc")
    return writer


def _write_each(writer: PythonSource, rule: Rule, each: Each) -> None:
    reason, before, collected = writer.fresh("r"), writer.fresh("n"), writer.fresh()
    writer.line(f"{reason} = []")
    writer.line(f"{before} = out.__len__()")
    shell = Each(
        path=each.path,
        levels=each.levels,
        when=None,
        give=_Body(path=(), rule=rule, reasons=reason, before=before),
    )
    shell.python(writer, collected, strict=True)
    nothing = writer.known(rule.gathered)
    writer.line(f"if out.__len__() == {before}: out.extend({nothing}({reason}))")


@dataclass(frozen=True, kw_only=True)
class _Body(Fixed):
    """The steps of one element, as the `give` of an `each` that makes nothing itself."""

    rule: Rule
    reasons: str
    before: str
    constant: Json = None

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:  # noqa: ARG002 - it gives nothing
        rule, step, failure = self.rule, writer.fresh(), writer.fresh()
        levels = () if rule.each is None else rule.each.levels
        elements = "".join(f"{variable(level.name)}, " for level in levels)
        with writer.indented("try:"):
            _write_step(writer, rule, "continue", self.reasons)
        writer.line("except Beyond: raise")
        with writer.indented(f"except Exception as {failure}:"):
            writer.line(f"{step} = explaining.element({writer.known(rule)}, ({elements}), {failure})")
            passed = f"{step}.__class__ is {writer.known(Passed)}"
            writer.line(f"if {passed}: {self.reasons}.append({step}); continue")
            writer.line(f"out.append({step})")
        writer.line(f"if out.__len__() > {self.before} + {values.FACTS}: too_many_facts()")
        writer.line(f"{target} = None")


def _write_step(writer: PythonSource, rule: Rule, leave: str, reasons: str = "out") -> None:
    def leaving(condition: str, reason: Reason) -> None:
        with writer.indented(f"if {condition}:"):
            writer.line(f"{reasons}.append({writer.known(rule.passed(reason))})")
            writer.line(leave)

    if rule.when is not None:
        leaving(f"not {rule.when.term.python(writer)}", Reason.NOT_TRUE)
    at, once, give = writer.fresh(), writer.fresh(), writer.fresh()
    source = rule.at.term.python(writer)
    writer.line(f"{at} = {source if rule.at.shape == 'time' else f'as_time({source})'}")
    writer.line(f"if {at} is None: raise Failed")
    if rule.since is not None:
        leaving(f"{at} < {writer.known(rule.since)}", Reason.BEFORE_SINCE)
    leaving(f"v_received_at - {at} > {writer.known(rule.max_age)}", Reason.TOO_OLD)
    writer.line(f"{once} = {_once_python(writer, rule.once)}")
    rule.give.python(writer, give, strict=True)
    writer.line(f"if {give} is None: raise Failed")
    writer.line(
        f"out.append(Event(rule={rule.name!r}, fact={rule.fact!r}, once={once}, at=utc({at}), "
        f"give={give}, resend={rule.resend!r}))"
    )


def _once_python(writer: PythonSource, parts: Sequence[Expression]) -> str:
    if not parts:
        return repr("[]")
    sources = [each.term.python(writer) for each in parts]
    if any(each.shape == "any" or is_list(each.shape) for each in parts):
        return f"once_key(flat(({', '.join(sources)},)))"
    return f"once_key(({', '.join(sources)},))"
