"""Terms that choose, compare and calculate. If the left side is empty, the right one is not looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context
from typing import Final

from bridge.mapping import arithmetic, values
from bridge.mapping.codegen import PythonSource
from bridge.mapping.fields import is_list, sort_of
from bridge.mapping.terms import BUDGET, Defined, Literal, Scope, Several, Term
from bridge.mapping.values import Failed, Value


@dataclass(frozen=True, kw_only=True)
class Not(Term):
    of: Term

    def meaning(self, scope: Scope) -> Value:
        return not self.of.value(scope)

    def python(self, writer: PythonSource) -> str:
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

    def python(self, writer: PythonSource) -> str:
        return "(" + f" {self.word} ".join(each.python(writer) for each in self.sides) + ")"

    def parts(self) -> Sequence[Term]:
        return self.sides


def untrue(term: Term, scope: Scope) -> str:
    """The reason why a condition is not true: of parts joined by `and`, the first that is not. Empty if it is true."""
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

    def python(self, writer: PythonSource) -> str:
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
        sides = [left, *(each.value(scope) for each in others)]
        return arithmetic.compared(self.operators, sides, scope[BUDGET])

    def python(self, writer: PythonSource) -> str:
        sources = [each.python(writer) for each in self.sides]
        if len(self.operators) > 1:
            return f"compared({tuple(self.operators)!r}, ({', '.join(sources)}), budget)"
        first, *_ = names = [writer.fresh() for _ in sources]
        if not self._plain() or (writer.loops and self._may_be_long()):
            comparison = f"compared({tuple(self.operators)!r}, ({first}, {sources[1]}), budget)"
            return f"(None if ({first} := {sources[0]}) is None else {comparison})"
        # Constants stand where they are used. All else is calculated from left to right, even what is never empty.
        kept = [
            (name, source) for name, source, side in zip(names, sources, self.sides, strict=True) if not _fixed(side)
        ]
        left, right = (
            source if _fixed(side) else name for name, source, side in zip(names, sources, self.sides, strict=True)
        )
        empty = " or ".join(f"({name} := {source}) is None" for name, source in kept)
        test = f"{left} {self.operators[0]} {right}"
        return f"(None if {empty} else {test})" if empty else f"({test})"

    def _may_be_long(self) -> bool:
        """Whether two texts are compared that come from the document."""
        return sort_of(self.sides[0].shape) == "text" and not any(isinstance(side, Literal) for side in self.sides)

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


def _fixed(side: Term) -> bool:
    return isinstance(side, Literal | Several) and all(
        isinstance(each, Literal) and each.constant is not None for each in (side.parts() or (side,))
    )


_ARITHMETIC: Final = {"+": arithmetic.add, "-": arithmetic.subtract, "*": arithmetic.multiply, "/": arithmetic.divide}


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Term):
    """An operation on two numbers, exact. If a function around it rounds by name, it is as close as 90 digits go."""

    operator: str
    left: Term
    right: Term
    rounded: bool = False

    def meaning(self, scope: Scope) -> Value:
        context = arithmetic.ROUNDED if self.rounded else arithmetic.EXACT
        left = self.left.value(scope)
        if left is None:
            return None
        right = self.right.value(scope)
        try:
            if self._is_decimal():
                return None if right is None else self._of_decimals(context, left, right)
            return values.made(_ARITHMETIC[self.operator](left, right, context), scope[BUDGET])
        except ArithmeticError:
            raise Failed("is beyond the bounds of numbers") from None

    def _is_decimal(self) -> bool:
        """Whether it is a Decimal, whatever the two numbers are, because both are known to be numbers."""
        return self.shape != "integer" and all(sort_of(each.shape) == "number" for each in self.parts())

    def _of_decimals(self, context: Context, left: Value, right: Value) -> Value:
        if self.operator == "/":
            return arithmetic.divide(left, right, context)  # it words its own failures
        return getattr(context, _ARITHMETIC[self.operator].__name__)(left, right)

    def python(self, writer: PythonSource) -> str:
        context = "ROUNDED" if self.rounded else "EXACT"
        name = _ARITHMETIC[self.operator].__name__
        left, right = self.left.python(writer), self.right.python(writer)
        a, b = writer.fresh(), writer.fresh()
        if not self._is_decimal():
            reckoned = f"{name}({a}, {right}, {context})"
            reckoned = f"made({reckoned}, budget)" if writer.loops and self.shape in ("text", "any") else reckoned
            return f"(None if ({a} := {left}) is None else {reckoned})"
        return f"(None if ({a} := {left}) is None or ({b} := {right}) is None else {context}.{name}({a}, {b}))"

    def parts(self) -> Sequence[Term]:
        return (self.left, self.right)


@dataclass(frozen=True, kw_only=True)
class Negative(Term):
    of: Term

    def meaning(self, scope: Scope) -> Value:
        return arithmetic.negative(self.of.value(scope))

    def python(self, writer: PythonSource) -> str:
        return f"negative({self.of.python(writer)})"

    def parts(self) -> Sequence[Term]:
        return (self.of,)
