"""Terms that choose, compare and reckon. Where the left side is empty, the right one is not looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.mapping import reckoning
from bridge.mapping.fields import is_list, sort_of
from bridge.mapping.terms import Defined, Literal, Scope, Several, Term
from bridge.mapping.values import Failed, Value
from bridge.mapping.writing import Writer


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


def untrue(term: Term, scope: Scope) -> str:
    """Why a condition is not true: of parts joined by `and` the first that is not. Empty where it is true."""
    if isinstance(term, Defined):
        return untrue(term.of, scope)
    if isinstance(term, Joined) and term.word == "and":
        return next((reason for side in term.sides if (reason := untrue(side, scope))), "")
    value = term.value(scope)
    if value:
        return ""
    return f"{term.text} is empty: {term.why_empty(scope)}" if value is None else f"{term.text} is not true"


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
        first, *others = self.sides
        left = first.value(scope)
        if left is None and len(others) == 1:
            return None
        return reckoning.compared(self.operators, [left, *(each.value(scope) for each in others)])

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
        left = self.left.value(scope)
        if left is None:
            return None
        try:
            return _ARITHMETIC[self.operator](left, self.right.value(scope), context)
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
