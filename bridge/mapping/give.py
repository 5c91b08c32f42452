"""Compile the YAML of `give` to structures, checked against the document's shape and the destination's."""

import ast
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Final, TypeAlias

from bridge.contract import EventShape, Json
from bridge.mapping.expressions import Expression, Names, compile_expression, is_expression, unusable
from bridge.mapping.fields import Shape, element_of, is_list, is_mapping, nearest, shape_of, sort_of, spoken
from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.structures import Each, FirstOf, Fixed, Items, Leaf, Level, Member, Members, Structure, given_keys
from bridge.mapping.type_check import NotAllowed

Path: TypeAlias = tuple[str, ...]
Say: TypeAlias = Callable[[Path, str], None]

MOST_LEVELS: Final = 12  # levels
_EACH: Final = frozenset(("each", "as", "when", "by", "group", "give"))


class Builder:
    """Builds the structures of one rule, and says every problem that it finds."""

    def __init__(
        self, names: Names, event: EventShape, say: Say, built: dict[Hashable, Structure], to: str = ""
    ) -> None:
        """Build for a destination. to: its name."""
        self._names = names
        self._event = event
        self._to = to
        self._tell = say
        self._built_before = built
        self._problems_said = 0
        self._level = 0

    @property
    def names(self) -> Names:
        """The names that its expressions may read."""
        return self._names

    def _say(self, path: Path, message: str) -> None:
        self._problems_said += 1
        self._tell(path, message)

    def give(self, written: Json) -> Structure:
        """The whole of what a rule gives."""
        if not isinstance(written, Mapping) or _special(written):
            self._say(("give",), "write a mapping: the keys of the event, each with its value")
            return Fixed(path=("give",), constant={})
        structure = self._mapping(written, ("give",), self._event.fields or "any")
        self._check_keys(given_keys(structure))
        return structure

    def _check_keys(self, keys: Mapping[str, bool]) -> None:
        shape = self._event
        for key in sorted(shape.required):
            if keys.get(key, True):
                self._say(
                    ("give",), f"{key} must be given, and not be optional" if key in keys else f"{key} must be given"
                )
        for group in shape.one_of:
            if not group & keys.keys():
                self._say(("give",), f"one of {', '.join(sorted(group))} must be given")
        for group in shape.at_most_one:
            given = sorted(key for key in group if not keys.get(key, True))
            if len(given) > 1:
                self._say(("give",), f"{' and '.join(given)} exclude each other: give one")

    def build(self, written: Json, path: Path, wanted: Shape) -> Structure:
        self._level += 1
        try:
            if self._level > MOST_LEVELS:
                self._say(path, f"nested deeper than {MOST_LEVELS} levels")
                return Fixed(path=path, constant=None)
            return self._once(written, path, wanted)
        finally:
            self._level -= 1

    def _once(self, written: Json, path: Path, wanted: Shape) -> Structure:
        """Build, or take what the same words at the same place gave before. What had a problem is reported again."""
        if not isinstance(written, Mapping | list):
            return self._built(written, path, wanted)
        key = (id(self._names), id(self._event), path, repr(written))
        found = self._built_before.get(key)
        if found is None:
            before = self._problems_said
            found = self._built(written, path, wanted)
            if self._problems_said == before:
                self._built_before[key] = found
        return found

    def _built(self, written: Json, path: Path, wanted: Shape) -> Structure:
        if isinstance(written, Mapping):
            return self._special(written, path, wanted) if _special(written) else self._mapping(written, path, wanted)
        if isinstance(written, list):
            return self._list(written, path, wanted)
        return (
            self._expression(written, path, wanted) if is_expression(written) else self._literal(written, path, wanted)
        )

    # -- leaves

    def expression(self, written: str, path: Path) -> Expression | None:
        """The checked expression, or None after saying what is wrong with it."""
        try:
            return compile_expression(written, self._names)
        except NotAllowed as problem:
            self._say(path, str(problem))
            return None

    def _expression(self, written: str, path: Path, wanted: Shape) -> Structure:
        found = self.expression(written, path)
        if found is None:
            return Fixed(path=path, constant=None)
        complaint = _unfit(found.shape, wanted, found.source.removeprefix("= "))
        if complaint:
            self._say(path, complaint)
        is_number = "number" in (sort_of(found.shape), sort_of(wanted))
        return Leaf(path=path, expression=found, is_number=is_number)

    def _literal(self, written: Json, path: Path, wanted: Shape) -> Structure:
        if written is None:
            self._say(path, "has no value: write one, or leave the key out")
        elif isinstance(written, str) and path[1:] != (self._event.name,) and self.forgotten(written, path):
            pass
        else:
            self._check_literal(written, path, wanted)
        return Fixed(path=path, constant=written)

    def _check_literal(self, written: Json, path: Path, wanted: Shape) -> None:
        key = path[1].removesuffix("?") if len(path) == 2 else ""  # noqa: PLR2004 - give.key
        choices = self._event.choices.get(key)
        if choices is not None and written not in choices:
            self._say(path, self._no_choice(key, written, choices))
            return
        complaint = _unfit(shape_of(written), wanted, repr(written) if isinstance(written, str) else str(written))
        if complaint:
            self._say(path, complaint)

    def _no_choice(self, key: str, written: Json, choices: Collection[str]) -> str:
        hint = nearest(written, choices) if isinstance(written, str) else ""
        known = hint or f": there are {', '.join(sorted(choices))}."
        setting = self._event.settings.get(key)
        if setting is None or not isinstance(written, str):
            return f"{key} cannot be {written!r}{hint or ': write one of ' + ', '.join(sorted(choices))}"
        cure = f"If it is one of your own, write destinations.{self._to}.{setting}: [{written}]"
        return f"is no {key} that {self._to or 'the destination'} knows{known} {cure}"

    def forgotten(self, written: str, path: Path) -> bool:
        """Whether this text is an expression that lacks its `=`; says so."""
        if not _looks_like_expression(written, self._names):
            return False
        self._say(path, f"this is a text, not the field: write `= {written}`, or `= '{written}'` if the text is meant")
        return True

    # -- structures

    def _mapping(self, written: Mapping[str, Json], path: Path, wanted: Shape) -> Structure:
        if not is_mapping(wanted) and wanted != "any":
            self._say(path, f"is a mapping, and should be {spoken(wanted)}")
            wanted = "any"
        members = []
        for key, value in written.items():
            name, optional = key.removesuffix("?"), key.endswith("?")
            if optional and name in written:
                self._say((*path, key), f"{name} is written twice, once as {key}: keep one")
            inner = self._wanted(name, (*path, key), wanted)
            members.append(Member(key=name, optional=optional, of=self.build(value, (*path, key), inner)))
        if not members:
            self._say(path, "has no keys")
        return Members(path=path, members=members)

    def _wanted(self, name: str, path: Path, wanted: Shape) -> Shape:
        if wanted == "any":
            return "any"
        if name not in wanted:
            hint = nearest(name, wanted) or f": there are {', '.join(wanted)}"
            self._say(path, f"the destination knows no {name} here{hint}")
        return wanted.get(name, "any")

    def _list(self, written: Sequence[Json], path: Path, wanted: Shape) -> Structure:
        inner = self._elements(path, wanted)
        return Items(path=path, items=[self.build(each, (*path, str(at)), inner) for at, each in enumerate(written)])

    def _elements(self, path: Path, wanted: Shape) -> Shape:
        if wanted != "any" and not is_list(wanted):
            self._say(path, f"is a list, and should be {spoken(wanted)}")
            return "any"
        return element_of(wanted)

    def _special(self, written: Mapping[str, Json], path: Path, wanted: Shape) -> Structure:
        if "first_of" in written:
            return self._first_of(written, path, wanted)
        for key in written.keys() - _EACH:
            self._say((*path, key), f"stands beside each, as, when, by, group and give{nearest(key, _EACH)}")
        for key in sorted({"each", "as", "give"} - written.keys()):
            self._say(path, f"{key} is missing: a list is written with each, as and give")
        return self._each(written, path, wanted)

    def _each(self, written: Mapping[str, Json], path: Path, wanted: Shape) -> Structure:
        outer = self._names
        levels = self._levels(written, path)
        if not levels or "give" not in written:
            self._names = outer
            return Fixed(path=path, constant=None)
        when = self.condition(written["when"], (*path, "when")) if "when" in written else None
        by, group = self._by(written, path), written.get("group", "")
        if group and self.name(group, (*path, "group")):
            over = levels[-1].over
            self._names = self._names.with_(group, [element_of(over.shape)], self._names.origin(over.term))
        give = self.build(written["give"], (*path, "give"), self._elements(path, wanted))
        self._names = outer
        return Each(path=path, levels=levels, when=when, give=give, by=by, group=str(group))

    def _levels(self, written: Mapping[str, Json], path: Path) -> Sequence[Level]:
        """The lists of an `each`, whose elements have names from here on; none where something is wrong."""
        levels: list[Level] = []
        lists = lists_of(written, path, self._say)
        for over_, name, over_path, name_path in lists:
            over = self.over(over_, over_path)
            if over is None or not self.name(name, name_path):
                return ()
            levels.append(Level(over=over, name=str(name), path=over_path))
            self._names = self._names.of_element(str(name), over.term)
        return levels

    def _by(self, written: Mapping[str, Json], path: Path) -> Expression | None:
        """The expression of `by`: elements for which it gives the same are one."""
        if "by" not in written:
            if "group" in written:
                self._say((*path, "group"), "group names the elements that are one: say by what, by: = line.product_id")
            return None
        if isinstance(written.get("each"), list):
            self._say(
                (*path, "by"), "by goes over one list: put the lists together, each: = flat(x.parts for x in list)"
            )
            return None
        by = self.needed(written["by"], (*path, "by"))
        if by is not None and sort_of(by.shape) in ("list", "mapping"):
            self._say((*path, "by"), f"is {spoken(by.shape)}: elements are one by a single value")
        return by

    def _first_of(self, written: Mapping[str, Json], path: Path, wanted: Shape) -> Structure:
        options = written["first_of"]
        for key in written.keys() - {"first_of"}:
            self._say((*path, key), "first_of stands alone")
        if not isinstance(options, list) or not options:
            self._say((*path, "first_of"), "write a list: the first that is not empty is taken")
            return Fixed(path=path, constant=None)
        built = [self.build(each, (*path, "first_of", str(at)), wanted) for at, each in enumerate(options)]
        return FirstOf(path=path, options=built, is_optional=any(name.endswith("?") for name in path))

    # -- the parts that rules have too

    def over(self, written: Json, path: Path) -> Expression | None:
        """The list that `each` goes through."""
        found = self.needed(written, path)
        if found is not None and sort_of(found.shape) not in ("list", "any"):
            self._say(path, f"is {spoken(found.shape)}, and each goes through lists")
            return None
        return found

    def needed(self, written: Json, path: Path) -> Expression | None:
        """The expression at a place that takes nothing else."""
        if is_expression(written):
            return self.expression(written, path)
        if not isinstance(written, str) or not self.forgotten(written, path):
            self._say(path, f"write an expression, beginning with =: {path[-1]}: = ...")
        return None

    def condition(self, written: Json, path: Path) -> Expression | None:
        """The expression of `when`, true or false."""
        return self.expression(f"= {written}", path) if isinstance(written, bool) else self.needed(written, path)

    def name(self, name: Json, path: Path) -> bool:
        """Whether an element may have that name. Reports what is wrong."""
        complaint = unusable(name, self._names) if isinstance(name, str) else "write a name for the element"
        if complaint:
            self._say(path, complaint)
        return not complaint


def lists_of(written: Mapping[str, Json], path: Path, say: Say) -> Sequence[tuple[Json, Json, Path, Path]]:
    """Read `each` and `as`: list and name, with their places. There are several if both are written as lists."""
    overs, names = written.get("each"), written.get("as")
    each, as_ = (*path, "each"), (*path, "as")
    if not isinstance(overs, list) and not isinstance(names, list):
        return [(overs, names, each, as_)] if {"each", "as"} <= written.keys() else []
    if not isinstance(overs, list) or not isinstance(names, list) or len(overs) != len(names) or not overs:
        if {"each", "as"} <= written.keys():
            say(
                as_,
                "name the elements of each list: each: [= order.payments, = payment.refunds], as: [payment, refund]",
            )
        return []
    pairs = zip(overs, names, strict=True)
    return [(over, name, (*each, str(at)), (*as_, str(at))) for at, (over, name) in enumerate(pairs)]


def _special(written: Mapping[str, Json]) -> bool:
    return "first_of" in written or "each" in written


def _looks_like_expression(written: str, names: Names) -> bool:
    """A path from a name in scope, or a call of a function we have."""
    try:
        node = ast.parse(written.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
    steps = 0
    while isinstance(node, ast.Attribute | ast.Subscript):
        node, steps = node.value, steps + 1
    return steps > 0 and isinstance(node, ast.Name) and node.id in names.shapes


_MAY_GO_INTO: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset(("text", "time")),
    "integer": frozenset(("integer",)),
    "number": frozenset(("integer", "number", "money")),
    "money": frozenset(("integer", "number", "money")),
    "time": frozenset(("time", "text")),
    "boolean": frozenset(("boolean",)),
}
_CURES: Final[Mapping[tuple[str, str], str]] = {
    ("integer", "text"): "text({})",
    ("number", "text"): "text({})",
    ("money", "text"): "text({})",
    ("boolean", "text"): "text({})",
    ("text", "number"): "number({})",
    ("text", "money"): "number({})",
    ("text", "integer"): "integer({})",
    ("number", "integer"): "integer({})",
    ("money", "integer"): "integer({})",
    ("time", "integer"): "epoch({})",
    ("time", "number"): "epoch({})",
}


def _unfit(shape: Shape, wanted: Shape, text: str) -> str:
    """Why a value of this shape cannot stand where that one is wanted, or nothing."""
    if "any" in (shape, wanted):
        return ""
    if isinstance(wanted, str):
        if isinstance(shape, str) and shape in _MAY_GO_INTO[wanted]:
            return ""
        cure = _CURES.get((shape, wanted), "") if isinstance(shape, str) else ""
        return f"is {spoken(shape)}, and should be {spoken(wanted)}" + (
            f": write = {cure.format(text)}" if cure else ""
        )
    if sort_of(shape) != sort_of(wanted):
        return f"is {spoken(shape)}, and should be {spoken(wanted)}"
    return _unfit(element_of(shape), element_of(wanted), text) if is_list(wanted) else ""
