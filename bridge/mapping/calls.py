"""Terms that call functions, and go through lists for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.mapping import values
from bridge.mapping.codegen import PythonSource, compiled, variable
from bridge.mapping.fields import element_of, is_list, is_mapping, sort_of
from bridge.mapping.functions import NEEDS, Function
from bridge.mapping.terms import BUDGET, Literal, Scope, Term, told, typed, typed_python, weight_of
from bridge.mapping.values import Value


@dataclass(frozen=True, kw_only=True)
class Has(Term):
    """`has(x)`: whether x is not empty."""

    of: Term

    def meaning(self, scope: Scope) -> Value:
        return self.of.never_empty() or self.of.value(scope) is not None

    def python(self, writer: PythonSource) -> str:
        return "True" if self.of.never_empty() else f"({self.of.python(writer)} is not None)"

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

    def python(self, writer: PythonSource) -> str:
        name = writer.fresh()
        *others, last = (each.python(writer) for each in self.options)
        found = " or ".join(f"({name} := {source}) is not None" for source in others)
        return f"({name} if {found} else {last})"

    def parts(self) -> Sequence[Term]:
        return self.options

    def never_empty(self) -> bool:
        return self.options[-1].never_empty()


@dataclass(frozen=True, kw_only=True)
class Call(Term):
    """A call of a named function. What is not known to be of the right type is checked on the way in."""

    function: Function
    given: Sequence[Term]

    def meaning(self, scope: Scope) -> Value:
        budget = scope[BUDGET]
        arguments = []
        cost = self.function.cost
        for needed, term in zip(self.function.needs(len(self.given)), self.given, strict=True):
            value = term.value(scope)
            arguments.append(values.spent(NEEDS[needed](value), budget, cost))
            cost = 1
        if self.function.unfolds:
            values.unfolded(arguments[0], budget)
        found = self.function.run(*arguments)
        return values.made(found, budget) if self.function.makes else found

    def python(self, writer: PythonSource) -> str:
        arguments, cost = [], self.function.cost
        for needed, term in zip(self.function.needs(len(self.given)), self.given, strict=True):
            source = term.python(writer)
            if not isinstance(term, Literal):
                source = source if _fits(term, needed) else f"{writer.known(NEEDS[needed])}({source})"
                source = f"spent({source}, budget, {cost})" if _costs(writer, term) else source
                cost = 1
            arguments.append(source)
        if self.function.unfolds:
            arguments[0] = f"unfolded({arguments[0]}, budget)"
        call = f"{writer.known(self.function.run)}({', '.join(arguments)})"
        if self.function.name == "text" and self.given[0].shape == "integer":
            name = writer.fresh()
            call = f"(str({name}) if ({name} := {arguments[0]}) is not None else None)"
        return f"made({call}, budget)" if self.function.makes and writer.loops else call

    def parts(self) -> Sequence[Term]:
        return self.given


def _fits(term: Term, needed: str) -> bool:
    """Whether the shape alone proves it: lists and mappings are proven only when they are looked into."""
    sort = sort_of(term.shape)
    return needed in ("any", term.shape) or needed == sort == "number"


def _costs(writer: PythonSource, term: Term) -> bool:
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
        return None if held is None else (self.each.value(inner) for inner in self._level(0, held, dict(scope)))

    def _level(self, level: int, held: Value, scope: dict[str, Value]) -> Iterator[Scope]:
        """The scope again and again, with each of the innermost elements in it."""
        name, over = self.names[level], self.overs[level]
        for item in told(over.text, values.walk, held, scope[BUDGET], self._weight()):
            scope[name] = told(f"an element of {over.text}", typed, item, element_of(over.shape))
            if not all(test.value(scope) for test in self.tests[level]):
                continue
            if level + 1 == len(self.names):
                yield scope
            else:
                yield from self._level(level + 1, self.overs[level + 1].value(scope), scope)

    def python(self, writer: PythonSource) -> str:
        """Call a generator function of its own, with the first list, which Python too evaluates outside."""
        inner, name = PythonSource(writer.space), writer.fresh("w")
        inner.loops = 1
        self._loops(inner, 0)
        parameters = "".join(f", {variable(each)}" for each in self.free)
        compiled(f"def {name}(budget, items{parameters}):", inner, writer.space)
        items = writer.fresh()
        return f"(None if ({items} := {self.overs[0].python(writer)}) is None else {name}(budget, {items}{parameters}))"

    def _loops(self, writer: PythonSource, level: int) -> None:
        if level == len(self.names):
            writer.line(f"yield {self.each.python(writer)}")
            return
        name, over = variable(self.names[level]), self.overs[level]
        with writer.looping(
            f"for {name} in walk({over.python(writer) if level else 'items'}, budget, {self._weight()}):"
        ):
            element = typed_python(name, element_of(over.shape), writer)
            if element != name:
                writer.line(f"{name} = {element}")
            for test in self.tests[level]:
                writer.line(f"if not {test.python(writer)}: continue")
            self._loops(writer, level + 1)

    def _weight(self) -> int:
        """The steps of an element: one, and more if much is calculated for it."""
        return weight_of([self.each, *(test for tests in self.tests for test in tests)])

    def parts(self) -> Sequence[Term]:
        return (*self.overs, *(test for tests in self.tests for test in tests), self.each)

    def why_empty(self, scope: Scope) -> str:
        over = self.overs[0]
        held = over.value(scope)
        if held is None:
            return over.why_empty(scope)
        reasons = (self.each.why_empty(inner) for inner in self._level(0, held, dict(scope)) if self._is_empty(inner))
        return next(reasons, f"{self.text} gives nothing")

    def _is_empty(self, scope: Scope) -> bool:
        return self.each.value(scope) is None


@dataclass(frozen=True, kw_only=True)
class Gathered(Term):
    """`any(... for ...)` and its like: a function over a walk, or over a list."""

    function: Function
    over: Term
    others: Sequence[Term] = ()

    def meaning(self, scope: Scope) -> Value:
        over = self.over.value(scope)
        if not isinstance(self.over, Walk):
            over = values.spent(NEEDS["list"](over), scope[BUDGET], self.function.cost)
        others = [NEEDS["text"](each.value(scope)) for each in self.others]
        found = self.function.run(over, *others)
        return values.made(found, scope[BUDGET]) if self.function.makes else found

    def python(self, writer: PythonSource) -> str:
        over = self.over.python(writer)
        if not isinstance(self.over, Walk):
            over = f"spent({writer.known(NEEDS['list'])}({over}), budget, {self.function.cost})"
        others = (f"{writer.known(NEEDS['text'])}({each.python(writer)})" for each in self.others)
        call = f"{writer.known(self.function.run)}({', '.join((over, *others))})"
        return f"made({call}, budget)" if self.function.makes and writer.loops else call

    def parts(self) -> Sequence[Term]:
        return (self.over, *self.others)

    def why_empty(self, scope: Scope) -> str:
        if isinstance(self.over, Walk):
            return self.over.why_empty(scope)
        return super().why_empty(scope)
