"""Compile a rule as it is written to the rules that run, one for each kind of document. Every problem is reported."""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bridge.contract import EventShape, Fields, Json
from bridge.errors import Problem
from bridge.mapping import values
from bridge.mapping.calls import Call
from bridge.mapping.expressions import Expression, Names, unusable
from bridge.mapping.fields import HEADERS, nearest, shape_of, sort_of, spoken
from bridge.mapping.give import Builder, Path, Say, lists_of
from bridge.mapping.operations import Comparison
from bridge.mapping.rule import Rule
from bridge.mapping.structures import TOLD, Each, Fixed, Level, Structure
from bridge.mapping.terms import Field, Literal, Name, Several, Term

KEYS: Final = (
    *("for", "to", "when", "each", "as", "let", "at", "once", "fact", "give", "show"),
    *("stale", "max_age", "since", "uncertain", "formerly"),
)
MOST_SAID: Final = 100
"""The most problems of a rule. After them the rest of it is not looked at: to find all problems of a long rule takes
minutes."""
MOST_NAMES: Final = 200
"""The most names that one rule gives to expressions."""
_LONGEST_INDEX: Final = 9  # digits
_LONGEST_NAME: Final = 200  # characters
_DURATION: Final = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhd])")
_WORD: Final = re.compile(r"[^\W\d]\w*")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MAX_AGE: Final = timedelta(days=30)
_CHANGING: Final = frozenset(("updated_at",))
_PERSONAL: Final = frozenset(
    [
        "email",
        "contact_email",
        "phone",
        "first_name",
        "last_name",
        "address1",
        "address2",
        "zip",
        "latitude",
        "longitude",
        "browser_ip",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One rule as it stands in the files; `where` gives file, line and column of a path inside it."""

    name: str
    body: Json
    where: Callable[[Sequence[str | int]], tuple[str, int, int]]


@dataclass(frozen=True, kw_only=True)
class Context:
    """The context that rules are checked against."""

    kinds: Mapping[str, Fields]
    topics: Mapping[str, str]
    destinations: Mapping[str, EventShape]
    variables: Mapping[str, Json]
    told: Mapping[str, Mapping[str, Json]]
    names: dict[str, Names] = field(default_factory=dict)
    structures: dict[Hashable, Structure] = field(default_factory=dict)
    """Structures that are built already. Rules share parts, by YAML's aliases or by saying the same."""


class EnoughSaid(Exception):
    """A rule has so many problems that the rest of it is not looked at."""


class RuleCompiler:
    """One written rule on its way to the rules that run; problems gather in `problems`."""

    def __init__(self, written: Written, world: Context) -> None:
        self._written = written
        self._world = world
        self._body: Mapping[str, Json] = written.body if isinstance(written.body, Mapping) else {}
        self._to = ""
        self.problems: list[Problem] = []

    def say(self, path: Path, message: str) -> None:
        if len(self.problems) >= MOST_SAID:
            raise EnoughSaid
        is_index = [each.isdecimal() and len(each) < _LONGEST_INDEX for each in path]
        steps = [int(each) if known else each for each, known in zip(path, is_index, strict=True)]
        file, line, column = self._written.where(steps)
        where = ".".join(("rules", self._written.name, *path))
        problem = Problem(message=message, path=where, file=file, line=line, column=column)
        if problem not in self.problems:
            self.problems.append(problem)

    def rules(self) -> Sequence[Rule]:
        """The rules that run. They are good only if `problems` stayed empty."""
        if not isinstance(self._written.body, Mapping):
            self.say((), f"a rule is a mapping with the keys {', '.join(KEYS)}")
            return []
        for key in self._body.keys() - set(KEYS):
            self.say((key,), f"a rule has no key {key}{nearest(key, KEYS) or ': there are ' + ', '.join(KEYS)}")
        destination = self._destination()
        self._to = destination or ""
        kinds = self._kinds()
        for key in _MISSING.keys() - self._body.keys():
            self.say((), _MISSING[key])
        return [rule for kind in kinds if (rule := self._rule(kind, destination)) is not None]

    def _rule(self, kind: str, destination: str | None) -> Rule | None:
        """Compile for one kind and destination. Missing parts are reported already, and the rest is checked all the
        same."""
        event = self._world.destinations[destination] if destination is not None else self._any_event()
        each, names = self._each(self._names(kind), event)
        inner = self._builder(self._let(names, event, self.say), event)
        when = inner.condition(self._body["when"], ("when",)) if "when" in self._body else None
        at = self._at(inner) if "at" in self._body else None
        once = self._once(inner, each)
        give = inner.give(self._body["give"]) if "give" in self._body else None
        show = self._show(inner.names, event)
        fact = self._fact(event) if destination is not None and give is not None else None
        options = self._options()
        if (
            at is None
            or fact is None
            or give is None
            or destination is None
            or (each is None and ("each" in self._body or "as" in self._body))
        ):
            return None
        if self.problems:
            return None
        rule = Rule(
            name=self._written.name, kind=kind, destination=destination, fact=fact, when=when, each=each, at=at,
            is_assumed=isinstance(self._body["at"], Mapping) or "received_at" in at.names(),
            once=once, give=give, variables=self._world.variables, told=self._world.told, show=show, **options,
        )  # fmt: skip
        self._check_reads(rule)
        return rule

    def _any_event(self) -> EventShape:
        name = next((shape.name for shape in self._world.destinations.values() if shape.name is not None), None)
        return EventShape(fields={}, name=name)

    # -- for, to

    def _destination(self) -> str | None:
        known = self._world.destinations
        to = self._body.get("to", next(iter(known)) if len(known) == 1 else None)
        if isinstance(to, str) and to in known:
            return to
        if "to" not in self._body:
            self.say((), f"say where it goes: to: {' or '.join(known) or 'a destination'}")
        else:
            hint = nearest(str(to), known) or f": there are {', '.join(known)}"
            self.say(("to",), f"there is no destination {to}{hint}")
        return None

    def _kinds(self) -> Sequence[str]:
        written = self._body.get("for", [])
        kinds = written if isinstance(written, list) else [written]
        for kind in kinds:
            if not isinstance(kind, str) or kind not in self._world.kinds:
                known = self._world.kinds
                hint = nearest(str(kind), known) or (f": there are {', '.join(known)}" if known else "")
                self.say(("for",), f"no source brings {kind} documents{hint}")
        if "for" in self._body and not kinds:
            self.say(("for",), "name at least one kind of document")
        return [kind for kind in dict.fromkeys(map(str, kinds)) if kind in self._world.kinds]

    def _names(self, kind: str) -> Names:
        if kind not in self._world.names:
            self._world.names[kind] = self._named(kind)
        return self._world.names[kind]

    def _named(self, kind: str) -> Names:
        shape = self._world.kinds[kind] or "any"
        shapes: dict[str, Any] = {
            "doc": shape,
            "topic": "text",
            "shop": "text",
            "key": "text",
            "headers": HEADERS,
            "received_at": "time",
            TOLD: ["number"],
            "vars": shape_of(self._world.variables),
            "source": shape_of({key: value for told in self._world.told.values() for key, value in told.items()})
            or "any",
        }
        if kind.isidentifier():
            shapes[kind] = shape
        origins = dict.fromkeys(("doc", kind), kind)
        return Names(shapes=shapes, sure=frozenset(shapes) - {"key"}, origins=origins, elements=frozenset({TOLD}))

    # -- each, at, once

    def _each(self, names: Names, event: EventShape) -> tuple[Each | None, Names]:
        """The `each` of the rule, and the names with those of its elements."""
        if "each" not in self._body:
            if "as" in self._body:
                self.say(("as",), "as names the elements of each: write each as well, or leave it out")
            return None, names
        for key, said in _BESIDE_EACH.items():
            if key not in self._body:
                self.say(("each",), said)
        return self._levels(names, event)

    def _levels(self, names: Names, event: EventShape) -> tuple[Each | None, Names]:
        lists, levels = lists_of(self._body, (), self.say), list[Level]()
        for written, name, path, name_path in lists:
            over = self._over(written, path, names, event, name)
            if not self._builder(names, event).name(name, name_path):
                return None, names
            if over is not None:
                levels.append(Level(over=over, name=str(name), path=path))
            names = names.unreadable(str(name)) if over is None else names.of_element(str(name), over.term)
        if not lists or len(levels) < len(lists):
            return None, names
        return Each(path=(), levels=levels, when=None, give=Fixed(path=(), constant=None)), names

    def _over(self, written: Json, path: Path, names: Names, event: EventShape, name: Json) -> Expression | None:
        """The list that `each` goes through. Names of `let` may say it if they need no element of it."""
        known = self._let(names, event, _silent)
        later = self._let(names.unreadable(name), event, _silent) if isinstance(name, str) else known
        late = [each for each in _WORD.findall(str(written)) if each in later.defined.keys() - known.defined.keys()]
        if late and late[0] != name:
            self.say(
                path,
                f"{late[0]} in let reads {name}, an element: in each, use a name that needs none",
            )
            return None
        return self._builder(known, event).over(written, path)

    def _builder(self, names: Names, event: EventShape) -> Builder:
        return Builder(names, event, self.say, self._world.structures, self._to)

    def _let(self, names: Names, event: EventShape, say: Say) -> Names:
        """The names with those that the rule gives to expressions, each of which may use those before it."""
        written = self._body.get("let", {})
        parts = (
            [((), written)]
            if not isinstance(written, list)
            else [((str(at),), each) for at, each in enumerate(written)]
        )
        for path, part in parts:
            if isinstance(part, Mapping):
                names = self._defined(part, ("let", *path), names, event, say)
            else:
                say(("let", *path), "write names, each with its expression: {paid: = order.total_price}")
        return names

    def _defined(self, part: Mapping[str, Json], path: Path, names: Names, event: EventShape, say: Say) -> Names:
        for name, expression in part.items():
            if len(names.defined) >= MOST_NAMES:
                say(path, f"gives more than {MOST_NAMES} names")
                return names
            found, complaint = None, unusable(name, names)
            if complaint:
                say((*path, name), complaint)
            else:
                found = Builder(names, event, say, self._world.structures).needed(expression, (*path, name))
            if found is not None:
                names = names.defining(name, found.term)
            elif say is not _silent and name not in names.shapes:
                names = names.unreadable(name)
        return names

    def _show(self, names: Names, event: EventShape) -> Mapping[str, Expression]:
        """The expressions of `show`, which `preview` shows beside an event: for the reader, not for the destination."""
        written = self._body.get("show", {})
        if not isinstance(written, Mapping):
            self.say(("show",), "write labels, each with its expression: {items: = count(given.items)}")
            return {}
        builder = self._builder(names.with_("given", "any"), event)
        found = {label: builder.needed(expression, ("show", label)) for label, expression in written.items()}
        return {label: expression for label, expression in found.items() if expression is not None}

    def _at(self, builder: Builder) -> Expression | None:
        """The expression of `at`: a time that no later document changes or, written {assumed: ...}, the best that there
        is."""
        written, is_assumed = self._body["at"], isinstance(self._body["at"], Mapping)
        path: Path = ("at", "assumed") if is_assumed else ("at",)
        if is_assumed and list(written) != ["assumed"]:
            self.say(("at",), "write the time, or {assumed: = ...} where none is known for sure")
            return None
        found = builder.needed(written["assumed"] if is_assumed else written, path)
        if found is not None:
            self._check_at(found, path, is_assumed=is_assumed)
        return found

    def _check_at(self, found: Expression, path: Path, *, is_assumed: bool) -> None:
        if found.shape not in ("time", "any"):
            cure = f": write = time({found.term.text})" if found.shape == "text" else ""
            self.say(path, f"is {spoken(found.shape)}, and should be a time{cure}")
        for term in () if is_assumed else found.term.all_terms():
            if isinstance(term, Field) and term.key in _CHANGING:
                self.say(path, f"{term.text} changes with every update: take the time at which the fact became true, "
                               f"or write at: {{assumed: {found.source}}} to take it all the same")  # fmt: skip

    def _once(self, builder: Builder, each: Each | None) -> Sequence[Expression]:
        if "once" not in self._body:
            return []
        written = self._body["once"]
        paths: list[tuple[Json, Path]] = [(written, ("once",))]
        if isinstance(written, list):
            paths = [(part, ("once", str(at))) for at, part in enumerate(written)]
        found = [expression for part, path in paths if (expression := builder.needed(part, path)) is not None]
        names = frozenset[str]().union(*(each.names() for each in found))
        if len(found) == len(paths):
            self._check_once(found, names, each)
        return found

    def _check_once(self, found: Sequence[Expression], names: frozenset[str], each: Each | None) -> None:
        if each is not None and each.name not in names:
            self.say(("once",), f"is the same for every {each.name}: write = {each.name}.id, or what tells them apart")
        elif not names and "each" not in self._body:
            self.say(("once",), "is the same for every document: leave it out for once per order")
        for expression in found:
            sort = sort_of(expression.shape)
            if sort == "mapping":
                self.say(("once",), f"{expression.term.text} is a mapping: a key is made of single values")
            for text in _personal(expression.term):
                self.say(
                    ("once",), f"{text} is personal data, and keys are kept for years: write sha256({text}), or an id"
                )

    # -- the rest

    def _fact(self, event: EventShape) -> str | None:
        if "fact" in self._body:
            fact = self._body["fact"]
            if isinstance(fact, str) and fact and not fact.startswith("=") and len(fact) <= _LONGEST_NAME:
                return fact
            self.say(("fact",), f"the name of a fact is a fixed text of at most {_LONGEST_NAME} characters")
            return None
        give = self._body["give"]
        named = give.get(event.name) if isinstance(give, Mapping) and event.name is not None else None
        if isinstance(named, str) and named and not named.startswith("="):
            return named
        literal = f", or give {event.name} as a fixed text" if event.name else ""
        self.say((), f"name the fact: fact: order.placed{literal}")
        return None

    def _options(self) -> dict[str, Any]:
        return {
            "uses_stale": self._choice("stale", ("skip", "use")) == "use",
            "resend": self._choice("uncertain", ("park", "resend")) == "resend",
            "max_age": self._max_age(),
            "since": self._since(),
        }

    def _choice(self, key: str, choices: tuple[str, str]) -> str:
        written = self._body.get(key, choices[0])
        if written not in choices:
            self.say((key,), f"write {' or '.join(choices)}")
        return str(written)

    def _max_age(self) -> timedelta:
        written = self._body.get("max_age")
        if written is None and "max_age" not in self._body:
            return _MAX_AGE
        match = _DURATION.fullmatch(written) if isinstance(written, str) else None
        if match is None:
            self.say(("max_age",), "write a number and a unit: 12h or 30d")
            return _MAX_AGE
        return timedelta(**{_UNITS[match["unit"]]: int(match["number"])})

    def _since(self) -> datetime | None:
        if "since" not in self._body:
            return None
        try:
            moment = values.as_time(self._body["since"])
            return None if moment is None else values.utc(moment)
        except values.Failed:
            self.say(("since",), "write an instant with its zone: 2026-11-01T00:00:00Z")
            return None

    def formerly(self) -> Sequence[str]:
        """Names that the fact had before."""
        written = self._body.get("formerly", [])
        names = written if isinstance(written, list) else [written]
        if not all(isinstance(name, str) and name for name in names):
            self.say(("formerly",), "write the fact's former name, or a list of them")
            return []
        return names

    def _check_reads(self, rule: Rule) -> None:
        names = frozenset[str]().union(*(each.names() for each in rule.expressions()))
        if TOLD in names and (len(rule.once) != 1 or sort_of(rule.once[0].shape) not in ("number", "any")):
            self.say((), f"{TOLD} holds the numbers that `once` was: write once: = order.total_refunded, or what runs")
        read = names & {"topic", "headers"}
        if read and "stale" not in self._body:
            reads = f"it reads {' and '.join(sorted(read))}, which an older document may have too"
            path = ("when",) if "when" in self._body else ()
            self.say(path, f"{reads}: say stale: skip (most often right) or stale: use")
        for expression in rule.expressions():
            for text in _topics(expression.term):
                if self._world.topics and text not in self._world.topics:
                    self.say(("when",), f"no source brings the topic {text}{nearest(text, self._world.topics)}")


_BESIDE_EACH: Final = {
    "as": "name its elements: as: refund",
    "once": "say what makes each element one fact: once: = refund.id",
}
_MISSING: Final = {
    "for": "say for which kind of document it is: for: order",
    "at": "say when the fact became true: at: = order.created_at",
    "give": "say what it gives: give: {...}",
}


def _silent(_path: Path, _message: str) -> None:
    """Report nothing: the expression is only tried."""


def _personal(term: Term) -> Iterator[str]:
    if isinstance(term, Call) and term.function.name == "sha256":
        return
    if isinstance(term, Field) and term.key in _PERSONAL:
        yield term.text
        return
    for part in term.parts():
        yield from _personal(part)


def _topics(term: Term) -> Iterator[str]:
    """The texts with which `topic` is compared."""
    for each in term.all_terms() if "topic" in term.reads else ():
        if isinstance(each, Comparison) and any(isinstance(side, Name) and side.name == "topic" for side in each.sides):
            for side in each.sides:
                literals = side.items if isinstance(side, Several) else [side]
                yield from (
                    part.constant for part in literals if isinstance(part, Literal) and isinstance(part.constant, str)
                )


def digest_of(parts: Sequence[Json]) -> str:
    """A stable hash of what was written."""
    return hashlib.sha256(repr(_ordered(parts)).encode("utf-8", "surrogatepass")).hexdigest()


def _ordered(value: Json) -> Json:
    if isinstance(value, Mapping):
        return [[key, _ordered(each)] for key, each in sorted(value.items())]
    return [_ordered(each) for each in value] if isinstance(value, list | tuple) else value
