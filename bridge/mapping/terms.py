"""The terms of an expression. Each is said twice, side by side: what it means, and the Python that does the same fast.

`value` is the meaning, and words every failure. The Python may raise whatever it likes where the meaning fails, since
the meaning is asked again then; where it does not raise, both give the same: a property test keeps that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from bridge.mapping import reckoning, values
from bridge.mapping.fields import Shape, element_of, is_list, is_mapping, sort_of
from bridge.mapping.functions import NEEDS, Function
from bridge.mapping.values import Failed, Value
from bridge.mapping.writing import Writer, compiled, variable

Scope: TypeAlias = Mapping[str, Value]
STEPS: Final = "steps"
"""The name in a scope, and in the Python, of the steps that are left."""


class Told(Failed):
    """A failure that names the part of the expression where it happened."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A checked part of an expression: its shape, and its text as the user may recognise it."""

    shape: Shape
    text: str

    def value(self, scope: Scope) -> Value:
        """What it is in this scope, or Told."""
        try:
            return self.meaning(scope)
        except Told:
            raise
        except Failed as failure:
            raise Told(f"{self.text} {failure}") from None

    def meaning(self, scope: Scope) -> Value:
        raise NotImplementedError

    def python(self, writer: Writer) -> str:
        raise NotImplementedError

    def parts(self) -> Sequence["Term"]:
        return ()

    def why_empty(self, scope: Scope) -> str:
        """Name the fields that made it empty."""
        reasons = [each.why_empty(scope) for each in self.parts() if each.value(scope) is None]
        return ", ".join(dict.fromkeys(reasons)) or f"{self.text} gives nothing"

    def never_empty(self) -> bool:
        return False

    def all_terms(self) -> Iterator["Term"]:
        """Itself and all below it."""
        yield self
        for each in self.parts():
            yield from each.all_terms()


@dataclass(frozen=True, kw_only=True)
class Literal(Term):
    constant: Value

    def meaning(self, scope: Scope) -> Value:  # noqa: ARG002 - the same everywhere
        return self.constant

    def python(self, writer: Writer) -> str:
        if isinstance(self.constant, Decimal):
            return writer.known(self.constant)
        return repr(self.constant)

    def never_empty(self) -> bool:
        return self.constant is not None


@dataclass(frozen=True, kw_only=True)
class Name(Term):
    """A name in scope: the document, `topic`, an `as` name, ..."""

    name: str
    sure: bool = False

    def meaning(self, scope: Scope) -> Value:
        return scope[self.name]

    def python(self, writer: Writer) -> str:  # noqa: ARG002 - a parameter or local of the function
        return variable(self.name)

    def never_empty(self) -> bool:
        return self.sure

    def why_empty(self, scope: Scope) -> str:  # noqa: ARG002 - nothing below a name
        return f"{self.text} is empty"


_READERS: Final[dict[str, tuple[str, Any]]] = {
    "text": ("{t} if ({t} := {raw}).__class__ is str else as_text({t})", values.as_text),
    "integer": ("{t} if ({t} := {raw}).__class__ is int else as_integer({t})", values.as_integer),
    "number": ("number_from_text({t}) if ({t} := {raw}).__class__ is str else as_number({t})", values.as_number),
    "money": ("number_from_text({t}) if ({t} := {raw}).__class__ is str else as_number({t})", values.as_number),
    "boolean": ("{t} if ({t} := {raw}) is True or {t} is False else as_boolean({t})", values.as_boolean),
    "time": ("as_time({raw})", values.as_time),
}


def typed(value: Value, shape: Shape) -> Value:
    """A raw value as its description says it is. Mappings and lists are looked at when they are looked into."""
    return _READERS[shape][1](value) if isinstance(shape, str) and shape in _READERS else value


def typed_python(raw: str, shape: Shape, writer: Writer) -> str:
    if not isinstance(shape, str) or shape not in _READERS:
        return raw
    return "(" + _READERS[shape][0].format(t=writer.fresh(), raw=raw) + ")"


@dataclass(frozen=True, kw_only=True)
class Field(Term):
    """A field of a mapping, typed by its description."""

    of: Term
    key: str
    raw: bool = False

    def meaning(self, scope: Scope) -> Value:
        holder = self.of.value(scope)
        found = _told(self.of.text, values.field, holder, self.key)
        return found if self.raw else typed(found, self.shape)

    def python(self, writer: Writer) -> str:
        of = self.of.python(writer)
        if self.of.never_empty():
            found = f"{of}.get({self.key!r})"
        else:
            holder = writer.fresh()
            found = f"({holder}.get({self.key!r}) if ({holder} := {of}) is not None else None)"
        return found if self.raw else typed_python(found, self.shape, writer)

    def parts(self) -> Sequence[Term]:
        return (self.of,)

    def why_empty(self, scope: Scope) -> str:
        holder = self.of.value(scope)
        if holder is None:
            return self.of.why_empty(scope)
        return f"{self.text} is {'null' if self.key in holder else 'absent'}"


@dataclass(frozen=True, kw_only=True)
class Element(Term):
    """An element by its index, or an entry by a reckoned key."""

    of: Term
    index: Term

    def meaning(self, scope: Scope) -> Value:
        return typed(values.element(self.of.value(scope), self.index.value(scope)), self.shape)

    def python(self, writer: Writer) -> str:
        return typed_python(f"element({self.of.python(writer)}, {self.index.python(writer)})", self.shape, writer)

    def parts(self) -> Sequence[Term]:
        return (self.of, self.index)

    def why_empty(self, scope: Scope) -> str:
        return super().why_empty(scope).replace("gives nothing", "is absent")


@dataclass(frozen=True, kw_only=True)
class Part(Term):
    """A slice of a list."""

    of: Term
    start: Term
    stop: Term

    def meaning(self, scope: Scope) -> Value:
        return values.part(self.of.value(scope), self.start.value(scope), self.stop.value(scope))

    def python(self, writer: Writer) -> str:
        return f"part({', '.join(each.python(writer) for each in self.parts())})"

    def parts(self) -> Sequence[Term]:
        return (self.of, self.start, self.stop)


@dataclass(frozen=True, kw_only=True)
class Several(Term):
    """A list that is written out."""

    items: Sequence[Term]

    def meaning(self, scope: Scope) -> Value:
        return [each.value(scope) for each in self.items]

    def python(self, writer: Writer) -> str:
        return f"[{', '.join(each.python(writer) for each in self.items)}]"

    def parts(self) -> Sequence[Term]:
        return self.items

    def never_empty(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Not(Term):
    of: Term

    def meaning(self, scope: Scope) -> Value:
        return not self.of.value(scope)

    def python(self, writer: Writer) -> str:
        return f"(not {self.of.python(writer)})"

    def parts(self) -> Sequence[Term]:
        return (self.of,)

    def never_empty(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Joined(Term):
    """`and` and `or`, which give one of their sides, as in Python."""

    word: str
    sides: Sequence[Term]

    def meaning(self, scope: Scope) -> Value:
        for side in self.sides[:-1]:
            value = side.value(scope)
            if bool(value) == (self.word == "or"):
                return value
        return self.sides[-1].value(scope)

    def python(self, writer: Writer) -> str:
        return "(" + f" {self.word} ".join(each.python(writer) for each in self.sides) + ")"

    def parts(self) -> Sequence[Term]:
        return self.sides


@dataclass(frozen=True, kw_only=True)
class Choice(Term):
    """`yes if test else no`."""

    test: Term
    yes: Term
    no: Term

    def meaning(self, scope: Scope) -> Value:
        return (self.yes if self.test.value(scope) else self.no).value(scope)

    def python(self, writer: Writer) -> str:
        return f"({self.yes.python(writer)} if {self.test.python(writer)} else {self.no.python(writer)})"

    def parts(self) -> Sequence[Term]:
        return (self.test, self.yes, self.no)

    def why_empty(self, scope: Scope) -> str:
        return (self.yes if self.test.value(scope) else self.no).why_empty(scope)


@dataclass(frozen=True, kw_only=True)
class Comparison(Term):
    """One comparison or a chain of them."""

    operators: Sequence[str]
    sides: Sequence[Term]

    def meaning(self, scope: Scope) -> Value:
        return reckoning.compared(self.operators, [each.value(scope) for each in self.sides])

    def python(self, writer: Writer) -> str:
        sources = [each.python(writer) for each in self.sides]
        if len(self.operators) > 1 or not self._plain():
            return f"compared({tuple(self.operators)!r}, ({', '.join(sources)}))"
        names = [writer.fresh() for _ in sources]
        empty = [
            f"({name} := {source}) is None"
            for name, source, side in zip(names, sources, self.sides, strict=True)
            if not side.never_empty()
        ]
        left, right = (
            source if side.never_empty() else name
            for name, source, side in zip(names, sources, self.sides, strict=True)
        )
        test = f"{left} {self.operators[0]} {right}"
        return f"(None if {' or '.join(empty)} else {test})" if empty else f"({test})"

    def _plain(self) -> bool:
        """Whether Python's own operator means the same, because both types are known."""
        left, right = (sort_of(each.shape) for each in self.sides)
        operator = self.operators[0]
        if operator in ("in", "not in"):
            container = self.sides[1]
            literals = isinstance(container, Several) and all(isinstance(each, Literal) for each in container.items)
            return literals and left == sort_of(container.shape[0]) != "any" if is_list(container.shape) else False
        ordered = ("number", "time") if operator not in ("==", "!=") else ("number", "time", "text", "boolean")
        return left == right and left in ordered

    def parts(self) -> Sequence[Term]:
        return self.sides


_ARITHMETIC: Final = {"+": reckoning.add, "-": reckoning.subtract, "*": reckoning.multiply, "/": reckoning.divide}


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Term):
    """Two numbers, exactly; or as closely as 90 digits go where a function around it rounds by name."""

    operator: str
    left: Term
    right: Term
    rounded: bool = False

    def meaning(self, scope: Scope) -> Value:
        context = reckoning.ROUNDED if self.rounded else reckoning.EXACT
        try:
            return _ARITHMETIC[self.operator](self.left.value(scope), self.right.value(scope), context)
        except ArithmeticError:
            raise Failed("is beyond the bounds of numbers") from None

    def python(self, writer: Writer) -> str:
        context = "ROUNDED" if self.rounded else "EXACT"
        name = _ARITHMETIC[self.operator].__name__
        left, right = self.left.python(writer), self.right.python(writer)
        if any(each.shape not in ("number", "money", "integer") for each in self.parts()) or self.shape == "integer":
            return f"{name}({left}, {right}, {context})"
        a, b = writer.fresh(), writer.fresh()
        return f"(None if ({a} := {left}) is None or ({b} := {right}) is None else {context}.{name}({a}, {b}))"

    def parts(self) -> Sequence[Term]:
        return (self.left, self.right)


@dataclass(frozen=True, kw_only=True)
class Negative(Term):
    of: Term

    def meaning(self, scope: Scope) -> Value:
        return reckoning.negative(self.of.value(scope))

    def python(self, writer: Writer) -> str:
        return f"negative({self.of.python(writer)})"

    def parts(self) -> Sequence[Term]:
        return (self.of,)


@dataclass(frozen=True, kw_only=True)
class Has(Term):
    """`has(x)`: whether x is not empty."""

    of: Term

    def meaning(self, scope: Scope) -> Value:
        return self.of.value(scope) is not None

    def python(self, writer: Writer) -> str:
        return f"({self.of.python(writer)} is not None)"

    def parts(self) -> Sequence[Term]:
        return (self.of,)

    def never_empty(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Default(Term):
    """`default(x, y, ...)`: the first that is not empty."""

    options: Sequence[Term]

    def meaning(self, scope: Scope) -> Value:
        return next((value for each in self.options if (value := each.value(scope)) is not None), None)

    def python(self, writer: Writer) -> str:
        source = self.options[-1].python(writer)
        for each in reversed(self.options[:-1]):
            name = writer.fresh()
            source = f"({name} if ({name} := {each.python(writer)}) is not None else {source})"
        return source

    def parts(self) -> Sequence[Term]:
        return self.options

    def never_empty(self) -> bool:
        return self.options[-1].never_empty()


@dataclass(frozen=True, kw_only=True)
class Call(Term):
    """A named function; what is not known to be of the right type is checked on the way in."""

    function: Function
    given: Sequence[Term]

    def meaning(self, scope: Scope) -> Value:
        steps = scope[STEPS]
        arguments = []
        for needed, term in zip(self.function.needs(len(self.given)), self.given, strict=True):
            value = term.value(scope)
            arguments.append(values.spent(NEEDS[needed](value), steps, self.function.cost))
        return self.function.run(*arguments)

    def python(self, writer: Writer) -> str:
        arguments = []
        for needed, term in zip(self.function.needs(len(self.given)), self.given, strict=True):
            source = term.python(writer)
            if not isinstance(term, Literal):
                source = source if _fits(term, needed) else f"{writer.known(NEEDS[needed])}({source})"
                source = f"spent({source}, steps, {self.function.cost})" if _costs(writer, term) else source
            arguments.append(source)
        if self.function.name == "text" and self.given[0].shape == "integer":
            name = writer.fresh()
            return f"(str({name}) if ({name} := {arguments[0]}) is not None else None)"
        return f"{writer.known(self.function.run)}({', '.join(arguments)})"

    def parts(self) -> Sequence[Term]:
        return self.given


def _fits(term: Term, needed: str) -> bool:
    """Whether the shape alone proves it: lists and mappings are proven only when they are looked into."""
    sort = sort_of(term.shape)
    return needed in ("any", term.shape) or needed == sort == "number"


def _costs(writer: Writer, term: Term) -> bool:
    return bool(writer.loops) or is_list(term.shape) or is_mapping(term.shape) or term.shape == "any"


@dataclass(frozen=True, kw_only=True)
class Walk(Term):
    """`element for name in over if test`, given to a function that goes through it."""

    names: Sequence[str]
    overs: Sequence[Term]
    tests: Sequence[Sequence[Term]]
    each: Term
    free: Sequence[str]

    def meaning(self, scope: Scope) -> Value:
        held = self.overs[0].value(scope)
        return None if held is None else self._level(0, held, dict(scope))

    def _level(self, level: int, held: Value, scope: dict[str, Value]) -> Iterator[Value]:
        name, over = self.names[level], self.overs[level]
        for item in _told(over.text, values.walk, held, scope[STEPS]):
            scope[name] = _told(f"an element of {over.text}", typed, item, element_of(over.shape))
            if not all(test.value(scope) for test in self.tests[level]):
                continue
            if level + 1 == len(self.names):
                yield self.each.value(scope)
            else:
                yield from self._level(level + 1, self.overs[level + 1].value(scope), scope)

    def python(self, writer: Writer) -> str:
        """Call a generator function of its own, with the first list, which Python too evaluates outside."""
        inner, name = Writer(writer.space), writer.fresh("w")
        inner.loops = 1
        self._loops(inner, 0)
        parameters = "".join(f", {variable(each)}" for each in self.free)
        compiled(f"def {name}(steps, items{parameters}):", inner, writer.space)
        items = writer.fresh()
        return f"(None if ({items} := {self.overs[0].python(writer)}) is None else {name}(steps, {items}{parameters}))"

    def _loops(self, writer: Writer, level: int) -> None:
        if level == len(self.names):
            writer.line(f"yield {self.each.python(writer)}")
            return
        name, over = variable(self.names[level]), self.overs[level]
        with writer.looping(f"for {name} in walk({over.python(writer) if level else 'items'}, steps):"):
            element = typed_python(name, element_of(over.shape), writer)
            if element != name:
                writer.line(f"{name} = {element}")
            for test in self.tests[level]:
                writer.line(f"if not {test.python(writer)}: continue")
            self._loops(writer, level + 1)

    def parts(self) -> Sequence[Term]:
        return (*self.overs, *(test for tests in self.tests for test in tests), self.each)

    def why_empty(self, scope: Scope) -> str:
        over = self.overs[0]
        return over.why_empty(scope) if over.value(scope) is None else f"{self.text} gives nothing"


def _told(text: str, function: Callable[..., Value], *arguments: Value) -> Value:
    """Call, and let a failure name this text."""
    try:
        return function(*arguments)
    except Failed as failure:
        raise Told(f"{text} {failure}") from None


@dataclass(frozen=True, kw_only=True)
class Gathered(Term):
    """`any(... for ...)` and its like: a function over a walk, or over a list."""

    function: Function
    over: Term
    others: Sequence[Term] = ()

    def meaning(self, scope: Scope) -> Value:
        over = self.over.value(scope)
        if not isinstance(self.over, Walk):
            over = values.spent(NEEDS["list"](over), scope[STEPS], self.function.cost)
        others = [NEEDS["text"](each.value(scope)) for each in self.others]
        return self.function.run(over, *others)

    def python(self, writer: Writer) -> str:
        over = self.over.python(writer)
        if not isinstance(self.over, Walk):
            over = f"spent({writer.known(NEEDS['list'])}({over}), steps, {self.function.cost})"
        others = (f"{writer.known(NEEDS['text'])}({each.python(writer)})" for each in self.others)
        return f"{writer.known(self.function.run)}({', '.join((over, *others))})"

    def parts(self) -> Sequence[Term]:
        return (self.over, *self.others)

    def why_empty(self, scope: Scope) -> str:
        if isinstance(self.over, Walk):
            return self.over.why_empty(scope)
        return super().why_empty(scope)
