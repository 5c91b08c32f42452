"""The terms of an expression, each written twice side by side: its meaning, and the Python that does the same fast.

`value` is the meaning, and words every failure. Where the meaning fails, the Python may raise whatever it likes, since
the meaning is asked again then. Where the Python does not raise, both give the same: a property test keeps that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, TypeAlias

from bridge.mapping import values
from bridge.mapping.codegen import PythonSource, variable
from bridge.mapping.fields import Shape, is_list
from bridge.mapping.values import Beyond, Failed, Value

Scope: TypeAlias = Mapping[str, Value]
BUDGET: Final = ":budget"
"""The name in a scope of what is left to be spent. No name in a rule can be this. In the Python it is `budget`."""

KEPT: Final = 3
"""The place in a budget of the values of names that stand for the same in the whole document."""


class Told(Failed):
    """A failure that names the part of the expression where it happened."""

    def __init__(self, text: str, failure: Failed) -> None:
        super().__init__(f"{text} {failure}", of_shape=failure.of_shape)


def told(text: str, function: Callable[..., Value], *arguments: Value) -> Value:
    """Call, and let a failure name this text."""
    try:
        return function(*arguments)
    except Beyond:
        raise
    except Failed as failure:
        raise Told(text, failure) from None


@dataclass(frozen=True, kw_only=True)
class Term:
    """A checked part of an expression: its shape, and its text as the user may recognise it."""

    shape: Shape
    text: str

    def value(self, scope: Scope) -> Value:
        """The value in this scope. Raises Told, or Beyond if it would take more than is left."""
        values.look(1, scope[BUDGET])
        try:
            return self.meaning(scope)
        except (Told, Beyond):
            raise
        except Failed as failure:
            raise Told(self.text, failure) from None

    def meaning(self, scope: Scope) -> Value:
        raise NotImplementedError

    def python(self, writer: PythonSource) -> str:
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

    # What names stand for is asked again and again while rules are compiled, so it is counted once.

    @cached_property
    def size(self) -> int:
        """How many terms there are: itself and all below it."""
        return 1 + sum(each.size for each in self.parts())

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names in scope that it reads."""
        return frozenset[str]().union(*(each.reads for each in self.parts()))

    @cached_property
    def depth(self) -> int:
        """The depth of its nesting: 1 for a term without parts. A name is not a level of its own."""
        return (not isinstance(self, Defined)) + max((each.depth for each in self.parts()), default=0)


_TERMS_OF_A_STEP: Final = 100  # terms that weigh one step


def weight_of(terms: Iterable[Term]) -> int:
    """The steps that it takes to calculate these once."""
    return 1 + sum(term.size for term in terms) // _TERMS_OF_A_STEP


@dataclass(frozen=True, kw_only=True)
class Literal(Term):
    constant: Value

    def meaning(self, scope: Scope) -> Value:  # noqa: ARG002 - the same everywhere
        return self.constant

    def python(self, writer: PythonSource) -> str:
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

    @cached_property
    def reads(self) -> frozenset[str]:
        return frozenset((self.name,))

    def meaning(self, scope: Scope) -> Value:
        return scope[self.name]

    def python(self, writer: PythonSource) -> str:  # noqa: ARG002 - a parameter or local of the function
        return variable(self.name)

    def never_empty(self) -> bool:
        return self.sure

    def why_empty(self, scope: Scope) -> str:  # noqa: ARG002 - nothing below a name
        return f"{self.text} is empty"


@dataclass(frozen=True, kw_only=True)
class Defined(Term):
    """A name that the rule gave to an expression. It stands for the expression wherever it is written.

    once  the names that the expression reads, if its value is worth keeping and is the same in the whole document. Then
          it is calculated once for each document, however many of its elements ask for it
    """

    of: Term
    once: Sequence[str] = ()

    def meaning(self, scope: Scope) -> Value:
        if not self.once:
            return self.of.value(scope)
        kept = scope[BUDGET][KEPT]
        if id(self.of) not in kept:
            kept[id(self.of)] = self.of.value(scope)
        return kept[id(self.of)]

    def python(self, writer: PythonSource) -> str:
        if not self.once:
            return self.of.python(writer)
        given, found = ", ".join(("budget", *map(variable, self.once))), writer.fresh()
        function = writer.function(id(self.of), given, self._keep)
        known = f"({found} := budget[{KEPT}].get({id(self.of)}, budget)) is not budget"
        return f"({found} if {known} else {function}({given}))"

    def _keep(self, writer: PythonSource) -> None:
        writer.line(f"found = budget[{KEPT}][{id(self.of)}] = {self.of.python(writer)}")
        writer.line("return found")

    def parts(self) -> Sequence[Term]:
        return (self.of,)

    def never_empty(self) -> bool:
        return self.of.never_empty()


_READERS: Final[dict[str, tuple[str, Any]]] = {
    "text": ("{t} if ({t} := {raw}).__class__ is str else as_text({t})", values.as_text),
    "integer": ("{t} if ({t} := {raw}).__class__ is int else as_whole({t})", values.as_whole),
    "number": ("number_from_text({t}) if ({t} := {raw}).__class__ is str else as_number({t})", values.as_number),
    "money": ("number_from_text({t}) if ({t} := {raw}).__class__ is str else as_number({t})", values.as_number),
    "boolean": ("{t} if ({t} := {raw}) is True or {t} is False else as_boolean({t})", values.as_boolean),
    "time": ("as_time({raw})", values.as_time),
}


def typed(value: Value, shape: Shape) -> Value:
    """A raw value, typed by its description. Mappings and lists are checked when their parts are read."""
    return _READERS[shape][1](value) if isinstance(shape, str) and shape in _READERS else value


def typed_python(raw: str, shape: Shape, writer: PythonSource) -> str:
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
        found = told(self.of.text, values.field, holder, self.key)
        return found if self.raw else typed(found, self.shape)

    def python(self, writer: PythonSource) -> str:
        of = self.of.python(writer)
        if isinstance(self.of, Name) and self.of.never_empty():
            found = f"{of}.get({self.key!r})"
        else:
            holder = writer.fresh()
            found = f"({holder}.get({self.key!r}) if ({holder} := {of}) else None)"
        return found if self.raw else typed_python(found, self.shape, writer)

    def parts(self) -> Sequence[Term]:
        return (self.of,)

    def why_empty(self, scope: Scope) -> str:
        holder = self.of.value(scope)
        if holder is None:
            return self.of.why_empty(scope)
        return f"{self.text} is {'null' if holder and self.key in holder else 'absent'}"


@dataclass(frozen=True, kw_only=True)
class Element(Term):
    """An element by its index, or an entry by a calculated key."""

    of: Term
    index: Term

    def meaning(self, scope: Scope) -> Value:
        return typed(values.element(self.of.value(scope), self.index.value(scope)), self.shape)

    def python(self, writer: PythonSource) -> str:
        return typed_python(f"element({self.of.python(writer)}, {self.index.python(writer)})", self.shape, writer)

    def parts(self) -> Sequence[Term]:
        return (self.of, self.index)

    def why_empty(self, scope: Scope) -> str:
        return super().why_empty(scope).replace("gives nothing", "is absent")


@dataclass(frozen=True, kw_only=True)
class Part(Term):
    """A slice of a list or of a text."""

    of: Term
    start: Term
    stop: Term

    def meaning(self, scope: Scope) -> Value:
        of = self.of.value(scope)
        if is_list(self.of.shape):
            of = told(self.of.text, values.as_list, of)
        return values.part(of, self.start.value(scope), self.stop.value(scope), scope[BUDGET])

    def python(self, writer: PythonSource) -> str:
        of, start, stop = (each.python(writer) for each in self.parts())
        return f"part({f'as_list({of})' if is_list(self.of.shape) else of}, {start}, {stop}, budget)"

    def parts(self) -> Sequence[Term]:
        return (self.of, self.start, self.stop)


@dataclass(frozen=True, kw_only=True)
class Several(Term):
    """A list that is written out."""

    items: Sequence[Term]

    def meaning(self, scope: Scope) -> Value:
        return [each.value(scope) for each in self.items]

    def python(self, writer: PythonSource) -> str:
        return f"[{', '.join(each.python(writer) for each in self.items)}]"

    def parts(self) -> Sequence[Term]:
        return self.items

    def never_empty(self) -> bool:
        return True
