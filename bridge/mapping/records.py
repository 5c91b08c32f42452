"""Expressions of connectors: over a record (doc, key, headers, topic, vars), a delivery (doc, headers, query, vars), an
answer to a request (answer, status, headers, vars), or an event (give, found, fact, rule, vars)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeGuard

from pydantic_core import PydanticCustomError

from bridge.contract import Json
from bridge.errors import Malformed
from bridge.mapping import values
from bridge.mapping.expressions import Expression, Names, compile_expression
from bridge.mapping.fields import HEADERS, Shape, shape_of
from bridge.mapping.projection import Decode, expression_decoder
from bridge.mapping.terms import Field, Name, Term
from bridge.mapping.type_check import NotAllowed
from bridge.mapping.values import WHAT_DATA_CAN_RAISE, Failed
from bridge.setting_types import Compiled

_SHAPES: Final[Mapping[str, Mapping[str, Shape]]] = {
    "record": {"doc": "any", "key": "text", "headers": HEADERS, "topic": "text"},
    "delivery": {"doc": "any", "headers": HEADERS, "query": HEADERS},
    "answer": {"answer": "any", "status": "integer", "headers": HEADERS},
    "event": {"give": "any", "found": "any", "fact": "text", "rule": "text"},
}
_SURE: Final = frozenset({"headers", "topic", "query", "status", "give", "found", "fact", "rule", "vars"})
"""Names that are never empty."""


Over: TypeAlias = Literal["record", "delivery", "answer", "event"]
Gives: TypeAlias = Literal["text", "time", "value", "truth"]


class RecordExpressions:
    """Compiles expressions over a record, a delivery or an answer, and remembers which variables they read.

    variables  of the configuration, tables among them; None: they are not known, and any name of them is taken
    """

    def __init__(self, variables: Mapping[str, Json] | None = None) -> None:
        self._variables: Mapping[str, Json] = {} if variables is None else variables
        shape = "any" if variables is None else shape_of(variables)
        self._names = {
            of: Names(shapes={**names, "vars": shape}, sure=_SURE & {*names, "vars"}) for of, names in _SHAPES.items()
        }
        self._read: set[str] = set()

    @property
    def read(self) -> Mapping[str, Json]:
        """The variables that these expressions read, with their values."""
        return {name: self._variables.get(name) for name in sorted(self._read)}

    def __call__(self, written: str, gives: Gives, of: Over = "record") -> Compiled:
        """Compile a function of the scope. It gives the canonical text, the time in UTC, or a value of JSON, each None
        if it is empty; or whether it is true."""
        try:
            expression = compile_expression(written, self._names[of])
        except NotAllowed as problem:
            raise PydanticCustomError("expression", "{complaint}", {"complaint": str(problem)}) from None
        self._read |= _variables_of(expression, self._variables)
        convert: Any = _CONVERSIONS[gives]
        variables = self._variables

        def evaluated(scope: Mapping[str, Json]) -> Json:
            try:
                return convert(expression.evaluate({**scope, "vars": variables}))
            except Failed as failure:
                raise Malformed(f"{expression.source}: {failure}") from None
            except WHAT_DATA_CAN_RAISE as failure:
                raise Malformed(f"{expression.source}: cannot be calculated ({type(failure).__name__})") from None

        return OfDelivery(expression.term, evaluated) if of == "delivery" else evaluated


class OfDelivery:
    """A compiled expression over a delivery.

    names           the names that it reads of headers and of the query
    reads_document  whether it reads the document
    alone           the header that it is, and nothing else; empty: it is another expression
    """

    __slots__ = ("_evaluated", "_term", "alone", "names", "reads_document")

    def __init__(self, term: Term, evaluated: Compiled) -> None:
        terms = list(term.all_terms())
        self._evaluated = evaluated
        self._term = term
        self.names = {of: frozenset(each.key for each in terms if _is_of(each, of)) for of in ("headers", "query")}
        self.reads_document = any(isinstance(each, Name) and each.name == "doc" for each in terms)
        self.alone = term.key if isinstance(term, Field) and _is_of(term, "headers") else ""

    def __call__(self, scope: Mapping[str, Any]) -> Json:
        return self._evaluated(scope)

    @staticmethod
    def decoder(expressions: "Sequence[OfDelivery]") -> Decode:
        return expression_decoder(each._term for each in expressions)  # noqa: SLF001  its own


def _is_of(term: object, of: str) -> TypeGuard[Field]:
    return isinstance(term, Field) and isinstance(term.of, Name) and term.of.name == of


def _variables_of(expression: Expression, variables: Mapping[str, Json]) -> frozenset[str]:
    """The names of the variables that it reads: all of them where it names none of them by a fixed name."""
    terms = list(expression.term.all_terms())
    named = [each for each in terms if isinstance(each, Field) and _is_vars(each.of)]
    is_whole = sum(map(_is_vars, terms)) > len(named)
    return frozenset(variables) if is_whole else frozenset(each.key for each in named)


def _is_vars(term: object) -> bool:
    return isinstance(term, Name) and term.name == "vars"


def _text(value: Json) -> str | None:
    return None if value is None else values.canonical(value)


def _time(value: Json) -> Json:
    return None if value is None else values.utc(values.as_time(value))


def _value(value: Json) -> Json:
    return values.plain(value, values.whole_budget())


def _truth(value: Json) -> bool:
    return values.as_boolean(value) is True


_CONVERSIONS: Final = {"text": _text, "time": _time, "value": _value, "truth": _truth}
