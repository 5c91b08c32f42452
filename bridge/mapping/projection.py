"""Find the parts of a document that rules look at. The rest is skipped in decoding, which costs a quarter of reading it
whole.

An order of 10 kB has 700 values, of which rules read some twenty. What is found here may be too much, never too little:
elements of different lists that have the same name in different rules count as one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypedDict

import msgspec

from bridge.contract import Json
from bridge.mapping.calls import Call, Default, Gathered, Has, Walk
from bridge.mapping.fields import is_list
from bridge.mapping.rule import Rule
from bridge.mapping.structures import Each, FirstOf, Fixed, Items, Leaf, Members, Structure
from bridge.mapping.terms import Defined, Element, Field, Literal, Name, Part, Term
from bridge.mapping.values import exact
from bridge.surrogates import decoded

Decode: TypeAlias = Callable[[bytes], Json]
_decode_all: Final[Decode] = msgspec.json.Decoder(float_hook=exact).decode


def _whole(raw: bytes) -> Json:
    return decoded(_decode_all, raw)


@dataclass(slots=True)
class _Use:
    """The use of one place in a document. is_whole: all of it is read. If neither that nor parts, only the place itself
    is looked at."""

    is_whole: bool = False
    keys: dict[str, "_Use"] = field(default_factory=dict)
    elements: "_Use | None" = None

    def key(self, name: str) -> "_Use":
        return self.keys.setdefault(name, _Use())

    def element(self) -> "_Use":
        if self.elements is None:
            self.elements = _Use()
        return self.elements

    def type(self) -> Any:  # noqa: ANN401  a type for msgspec
        """The type for msgspec. JSON may have null instead of anything."""
        if self.is_whole or (self.keys and self.elements is not None):
            return Any
        if self.keys:
            return TypedDict("Part", {name: use.type() for name, use in self.keys.items()}, total=False) | None  # type: ignore[operator]
        return list[self.elements.type()] | None if self.elements is not None else Any  # type: ignore[misc]


Places: TypeAlias = Sequence[_Use]


def decoder(rules: Iterable[Rule]) -> Decode:
    """Make a decoder that reads as much of a document as these rules look at. It reads all of a document that is not
    built as they expect.

    The decoder raises ValueError, ArithmeticError and RecursionError for what is no JSON.
    """
    uses = _Uses()
    for rule in rules:
        uses.of_rule(rule)
    return _decoder_of(uses)


def _decoder_of(uses: "_Uses") -> Decode:
    if uses.root.is_whole:
        return _whole
    parts: Decode = msgspec.json.Decoder(uses.root.type(), float_hook=exact).decode

    def decode(raw: bytes) -> Json:
        if not raw.isascii():
            raw.decode()  # text that is skipped is not looked at
        try:
            return decoded(parts, raw)
        except msgspec.ValidationError:
            return _whole(raw)

    return decode


def expression_decoder(terms: Iterable[Term]) -> Decode:
    """Make a decoder, as `decoder` does, of as much as these expressions look at in `doc`."""
    uses = _Uses()
    for term in terms:
        uses.of_term(term)
    return _decoder_of(uses)


class _Uses:
    """Goes through rules and notes what they read."""

    def __init__(self) -> None:
        self.root = _Use()
        self._named: dict[str, list[_Use]] = {}
        """Names of elements, to where such elements stand."""
        self._noted: set[int] = set()
        self._found: dict[int, Places | None] = {}
        """Terms (by identity) that were gone through, as long as no name has a new place: many terms stand in many
        others."""
        self._finders: Mapping[type[Term], Callable[[Any], Places | None]] = {
            Name: self._name,
            Defined: self._defined,
            Field: self._field,
            Element: self._element,
            Part: self._part,
            Default: self._default,
            Gathered: self._gathered,
        }

    def of_term(self, term: Term) -> None:
        self._documents = ("doc", "doc")
        self._term(term)

    def of_rule(self, rule: Rule) -> None:
        self._documents = (rule.kind, "doc")
        for level in () if rule.each is None else rule.each.levels:
            self._bind(level.name, level.over.term)
        for expression in (rule.when, rule.at, *rule.once, *rule.show.values()):
            if expression is not None:
                self._term(expression.term)
        self._structure(rule.give)

    def _structure(self, structure: Structure) -> None:
        match structure:
            case Leaf():
                self._term(structure.expression.term)
            case Members():
                self._structures([member.of for member in structure.members])
            case Items():
                self._structures(structure.items)
            case FirstOf():
                self._structures(structure.options)
            case Each():
                self._each(structure)
            case Fixed():
                pass
            case _:
                raise TypeError(f"what is read of {type(structure).__name__} is not known")

    def _structures(self, structures: Sequence[Structure]) -> None:
        for structure in structures:
            self._structure(structure)

    def _each(self, each: Each) -> None:
        for level in each.levels:
            self._bind(level.name, level.over.term)
        if each.group:
            self._add(each.group, self._places(each.levels[-1].over.term) or ())
        for expression in (each.when, each.by):
            if expression is not None:
                self._term(expression.term)
        self._structure(each.give)

    def _bind(self, name: str, over: Term) -> None:
        """Bind a name to the elements of what is gone through."""
        places = self._places(over)
        if places is None:
            self._term(over)
        self._add(name, [place.element() for place in places or ()])

    def _add(self, name: str, places: Places) -> None:
        named = self._named.setdefault(name, [])
        new = [place for place in places if all(place is not other for other in named)]
        if new:
            named.extend(new)
            self._noted = set()
            self._found = {}

    def _term(self, term: Term) -> None:
        """Note all that a term needs to have a value."""
        if id(term) in self._noted:
            return
        self._noted.add(id(term))
        places = self._places(term)
        if places is not None:
            for place in places:
                place.is_whole = True
        elif isinstance(term, Call) and term.function.name == "tally":
            self._tally(*term.given)
        elif isinstance(term, Walk):
            self._walk(term)
            self._term(term.each)
        elif not isinstance(term, Has) or self._places(term.of) is None:  # else it is looked at, not into
            self._terms(term.parts())

    def _tally(self, over: Term, *fields: Term) -> None:
        """Mark two fields of the elements as read, if they are written out."""
        places = self._places(over)
        if places is None:
            self._term(over)
        for place in places or ():
            for each in fields:
                if isinstance(each, Literal):
                    place.element().key(str(each.constant)).is_whole = True

    def _terms(self, terms: Iterable[Term]) -> None:
        for term in terms:
            self._term(term)

    def _walk(self, walk: Walk) -> None:
        """Note all that a walk needs to come to its elements."""
        for name, over in zip(walk.names, walk.overs, strict=True):
            self._bind(name, over)
        self._terms(test for tests in walk.tests for test in tests)

    # -- where a term stands in the document -----------------------------------------------------------------------

    def _places(self, term: Term) -> Places | None:
        """The places of the term, with all that is read on the way there. None: its value is calculated."""
        known = self._found
        if id(term) not in known:
            find = self._finders.get(type(term))
            known[id(term)] = None if find is None else find(term)
        return known[id(term)]

    def _name(self, term: Name) -> Places:
        return [self.root] if term.name in self._documents else self._named.get(term.name, [])

    def _defined(self, term: Defined) -> Places | None:
        return self._places(term.of)

    def _field(self, term: Field) -> Places | None:
        places = self._places(term.of)
        return None if places is None else [place.key(term.key) for place in places]

    def _element(self, term: Element) -> Places | None:
        places = self._places(term.of) if is_list(term.of.shape) else None
        if places is None:
            return None
        self._term(term.index)
        return [place.element() for place in places]

    def _part(self, term: Part) -> Places | None:
        places = self._places(term.of)
        if places is not None:
            self._terms((term.start, term.stop))
        return places

    def _default(self, term: Default) -> Places | None:
        found = [self._places(option) for option in term.options]
        return None if None in found else [place for places in found for place in places or ()]

    def _gathered(self, term: Gathered) -> Places | None:
        """The places of a gathered list: `list(x for x in xs if ...)` is some of what it goes through last."""
        walk = term.over
        if term.function.name not in ("list", "flat") or not isinstance(walk, Walk):
            return None
        if not isinstance(walk.each, Name) or walk.each.name != walk.names[-1]:
            return None
        self._walk(walk)
        return self._places(walk.overs[-1])
