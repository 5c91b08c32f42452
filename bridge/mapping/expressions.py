"""The `=` language: a small, closed subset of Python expressions, checked node by node when it is loaded.

All other syntax is refused, with a sentence and the cure. Names reach the document and what the rule declares. A dot
reaches a key of a mapping, never an attribute. Calls reach the package functions, and nothing else.
"""

import ast
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from keyword import iskeyword
from typing import Any, Final

from bridge.mapping.calls import Call, Default, Gathered, Has, Walk
from bridge.mapping.codegen import expression_of
from bridge.mapping.fields import HEADERS, Shape, element_of, is_list, is_mapping, joined, nearest, sort_of, spoken
from bridge.mapping.functions import FUNCTIONS, OVER_WALKS, SPECIAL, Function, lists
from bridge.mapping.operations import Arithmetic, Choice, Comparison, Joined, Negative, Not
from bridge.mapping.terms import BUDGET, Defined, Element, Field, Literal, Name, Part, Several, Term
from bridge.mapping.type_check import (
    NotAllowed,
    check_argument,
    check_comparable,
    check_constants,
    check_elements,
    check_tally,
    must_be_number,
    no_function,
    shape_given,
    shape_over,
    shape_reckoned,
)
from bridge.mapping.values import DIGITS, Value, exact, whole_budget

LONGEST: Final = 2_000  # characters of an expression
LONGEST_SHOWN: Final = 100  # characters
DEEPEST: Final = 32  # levels
DEEPEST_MEANT: Final = 60
"""The most levels with all that names stand for. The Python that is made of them is nested alike, and Python reads no
more than 200."""

DEEPEST_WALK: Final = 3  # lists in lists
MOST_TERMS: Final = 5_000
"""The most terms of an expression, with all that its names stand for."""

_WORTH_KEEPING: Final = 4
"""The number of terms from which it takes longer to calculate them again than to look up their value."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Names:
    """The names that an expression may read: each name with its shape, and those that are never empty.

    defined   the expressions that the rule gave names to
    origins   the place in a document of the elements that a name stands for, as `fields:` says it: order.line_items
    elements  the names that stand for something else in the same document again and again

    It remembers what was compiled with it, since rules of one kind say the same things again and again.
    """

    shapes: Mapping[str, Shape]
    sure: frozenset[str] = frozenset()
    defined: Mapping[str, Term] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    elements: frozenset[str] = frozenset()
    _compiled: dict[str, "Expression"] = field(default_factory=dict, repr=False)
    _wider: dict[tuple[str, int, str], "Names"] = field(default_factory=dict, repr=False)

    def with_(self, name: str, shape: Shape, origin: str = "") -> "Names":
        """Add one name to these names, that of an element."""
        key = (name, id(shape), origin)
        if key not in self._wider:
            shapes, origins = {**self.shapes, name: shape}, {**self.origins, name: origin}
            self._wider[key] = Names(
                shapes=shapes,
                sure=self.sure - {name},
                defined=self.defined,
                origins=origins,
                elements=self.elements | {name},
            )
        return self._wider[key]

    def of_element(self, name: str, over: Term) -> "Names":
        """Add to these names that of an element of a list."""
        return self.with_(name, element_of(over.shape), self.origin(over))

    def origin(self, term: Term) -> str:
        """The place of the term in a document, as `fields:` names it. Empty: the value is calculated."""
        if isinstance(term, Name):
            return self.origins.get(term.name, "")
        if isinstance(term, Field):
            of = self.origin(term.of)
            return f"{of}.{term.key}" if of else ""
        if isinstance(term, Walk):
            return self._origin_walked(term)
        inner = _standing_for(term)
        return "" if inner is None else self.origin(inner)

    def _origin_walked(self, walk: Walk) -> str:
        names = self
        for name, over in zip(walk.names, walk.overs, strict=True):
            names = names.of_element(name, over)
        return names.origin(walk.each)

    def defining(self, name: str, term: Term) -> "Names":
        """Add to these names one that stands for an expression."""
        key = (name, id(term), "")
        if key not in self._wider:
            shapes, defined = {**self.shapes, name: term.shape}, {**self.defined, name: term}
            self._wider[key] = Names(
                shapes=shapes, sure=self.sure, defined=defined, origins=self.origins, elements=self.elements
            )
        return self._wider[key]

    def unreadable(self, name: str) -> "Names":
        """Add to these names one whose expression is wrong. The problem was reported, and is not reported again where
        the name is used."""
        return self.defining(name, _UNREADABLE)

    def compiled(self, source: str, make: Callable[[], "Expression"]) -> "Expression":
        if source not in self._compiled:
            self._compiled[source] = make()
        return self._compiled[source]


def _standing_for(term: Term) -> Term | None:
    """The term at the same place in a document as this one. This one may be an element or a part of it."""
    match term:
        case Defined():
            return term.of
        case Part() | Element():
            return None if is_mapping(term.of.shape) else term.of
        case Default():
            return term.options[0]
        case Several() if term.items:
            return term.items[0]
        case Gathered() if term.function.name in ("list", "flat", "first"):
            return term.over
    return None


def _free(term: Term) -> frozenset[str]:
    """The names that it reads and does not give to elements itself."""
    if isinstance(term, Name):
        return frozenset((term.name,))
    if isinstance(term, Walk):
        return _free(term.overs[0]).union(term.free)
    return frozenset[str]().union(*map(_free, term.parts()))


_UNREADABLE: Final = Literal(constant=None, shape="any", text="")


@dataclass(frozen=True, kw_only=True)
class Expression:
    """A checked expression, with its source as it was written."""

    source: str
    term: Term

    @property
    def shape(self) -> Shape:
        return self.term.shape

    def evaluate(self, scope: Mapping[str, Value]) -> Value:
        """The value of the expression. Raises Failed if it has none, with a text that holds no value of the scope."""
        return self.term.value(scope if BUDGET in scope else {**scope, BUDGET: whole_budget()})

    def names(self) -> frozenset[str]:
        """The names in scope that it reads."""
        return self.term.reads


def is_expression(value: object) -> bool:
    return isinstance(value, str) and value.startswith("=")


def compile_expression(text: str, names: Names) -> Expression:
    """Check an expression, with or without its leading `=`, or raise NotAllowed with the reason and the cure."""
    source = text.removeprefix("=").strip()
    if len(source) > LONGEST:
        raise NotAllowed(f"an expression has at most {LONGEST} characters: share its parts among keys")
    if not source:
        raise NotAllowed("there is no expression after the =")
    return names.compiled(source, lambda: _compile(source, names))


def _compile(source: str, names: Names) -> Expression:
    try:
        tree = expression_of(source)
    except SyntaxError as problem:
        raise NotAllowed(_syntax(source, problem)) from None
    term = _Checker(names, source, source.encode()).term(tree.body, 0)
    return Expression(source=f"= {source}", term=term)


_KEYWORD_FIELD: Final = re.compile(r"([\w.\]\[]+)\.([a-zA-Z]+)\b")


def _syntax(source: str, problem: SyntaxError) -> str:
    for match in _KEYWORD_FIELD.finditer(source):
        if iskeyword(match[2]):
            return f"{match[2]} is a word of Python: write {match[1]}['{match[2]}']"
    for wrong, right in (
        ("&&", "and"),
        ("||", "or"),
        ("===", "=="),
        ("?.", "."),
        ("$", "the name alone"),
        ("{{", "= alone"),
    ):
        if wrong in source:
            return f"{wrong} is not in this language: write {right}"
    if re.search(r"(?<![=!<>])=(?!=)", source):
        return "a single = compares nothing: write =="
    if re.search(r"![^=]", source):
        return "! is not in this language: write not"
    return f"not an expression: {problem.msg}"


_REFUSED: Final[Mapping[type[ast.AST], str]] = {
    ast.Lambda: "functions cannot be made here",
    ast.JoinedStr: "f-texts are not in this language: join texts with +, or with join([...], ' ')",
    ast.ListComp: "write list(... for ... in ...)",
    ast.SetComp: "write list(... for ... in ...)",
    ast.DictComp: "mappings are written in YAML: each, as and give",
    ast.Dict: "mappings are written in YAML, one key a line",
    ast.Set: "write a list: [...]",
    ast.Tuple: "write a list: [...]",
    ast.NamedExpr: "names cannot be given here",
    ast.Starred: "* spreads nothing here",
    ast.GeneratorExp: f"`... for ... in ...` stands alone inside {', '.join(sorted(OVER_WALKS))} only",
}
_ARITHMETIC: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS: Final = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_WRONG_NAMES: Final = {
    "true": "write True",
    "false": "write False",
    "null": "write has(...) to ask for empty, None to give it",
    "nil": "write has(...) to ask for empty, None to give it",
    "now": "write received_at: a rule gives the same whenever it is run",
    "self": "write doc for the whole document",
}
_ROUNDING: Final = frozenset(("round", "round_money"))


@dataclass
class _Checker:
    """Turns Python's nodes into terms, and refuses what is not in the language."""

    names: Names
    source: str
    encoded: bytes
    walks: int = 0
    rounded: bool = False
    used: set[str] = field(default_factory=set)
    stood_for: int = 0

    def term(self, node: ast.expr, depth: int) -> Term:
        if depth > DEEPEST:
            raise NotAllowed(f"nested deeper than {DEEPEST} levels: share its parts among keys")
        make: Callable[[Any, int], Term] | None = getattr(self, f"_{type(node).__name__.lower()}", None)
        if make is None:
            raise NotAllowed(_REFUSED.get(type(node), f"{self._shown(node)} is not in this language"))
        return make(node, depth + 1)

    # -- constants and names

    def _constant(self, node: ast.Constant, _depth: int) -> Term:
        value = node.value
        if isinstance(value, str):
            return Literal(constant=_text_constant(value), shape="text", text=self._shown(node))
        if value is None or isinstance(value, bool):
            return Literal(constant=value, shape="any" if value is None else "boolean", text=self._shown(node))
        if not isinstance(value, int | float):
            raise NotAllowed(f"{self._shown(node)} is neither text nor a number")
        number = value if isinstance(value, int) else self._exact(node)
        if isinstance(number, str) or abs(number) >= 10**DIGITS:
            raise NotAllowed(f"a number has at most {DIGITS} digits")
        return Literal(constant=number, shape="integer" if isinstance(number, int) else "number", text=str(number))

    def _exact(self, node: ast.Constant) -> Decimal | str:
        return exact((ast.get_source_segment(self.source, node) or "").replace("_", ""))

    def _name(self, node: ast.Name, depth: int) -> Term:
        shape = self.names.shapes.get(node.id)
        if shape is None:
            raise NotAllowed(self._unknown(node.id))
        if node.id in self.names.defined:
            return self._definition(node.id, self.names.defined[node.id], depth)
        self.used.add(node.id)
        return Name(name=node.id, shape=shape, text=node.id, sure=node.id in self.names.sure)

    def _definition(self, name: str, of: Term, depth: int) -> Term:
        if depth + of.depth > DEEPEST_MEANT:
            beyond = f"it is nested deeper than {DEEPEST_MEANT} levels: use fewer names of names"
            raise NotAllowed(f"with all that {name} stands for {beyond}")
        self.stood_for += of.size
        if self.stood_for > MOST_TERMS:
            raise NotAllowed(f"with all that {name} stands for it is too long: share its parts among keys")
        free = _free(of)
        self.used |= free
        once = () if free & self.names.elements or of.size < _WORTH_KEEPING else tuple(sorted(free))
        # A name of a name stands for what that stands for: however many there are, they do not nest.
        return Defined(of=of.of if isinstance(of, Defined) else of, shape=of.shape, text=name, once=once)

    def _unknown(self, name: str) -> str:
        known = sorted(self.names.shapes)
        if name in FUNCTIONS or name in SPECIAL:
            return f"{name} is a function: write {name}(...)"
        cure = _WRONG_NAMES.get(name)
        hint = (
            f": {cure}"
            if cure
            else nearest(name, known) or f": there are {', '.join(known)}; a text is quoted: '{name}'"
        )
        return f"nothing is named {name} here{hint}"

    # -- looking into things

    def _attribute(self, node: ast.Attribute, depth: int) -> Term:
        return self._field(self.term(node.value, depth), node.attr, node)

    def _field(self, of: Term, key: str, node: ast.expr) -> Term:
        if of.shape == HEADERS:
            return Field(of=of, key=key.lower(), shape="text", text=self._shown(node))
        if of.shape == "any":
            return Field(of=of, key=key, shape="any", text=self._shown(node))
        if is_list(of.shape):
            raise NotAllowed(self._no_field_of_list(of, key))
        if not is_mapping(of.shape):
            raise NotAllowed(f"{of.text} is {spoken(of.shape)}, and has no field {key}")
        if key not in of.shape:
            raise NotAllowed(self._no_field(of, key))
        return Field(of=of, key=key, shape=of.shape[key], text=self._shown(node))

    def _no_field_of_list(self, of: Term, key: str) -> str:
        element = element_of(of.shape)
        if is_mapping(element) and key not in element:
            if {"name", "value"} <= element.keys():
                return f"{of.text} is a list of names and values: write named({of.text}, '{key}')"
            return f"{of.text} is a list, and an element of it has {self._missing_field(of, element, key)}"
        first, walk = f"{of.text}[0].{key}", f"first(x.{key} for x in {of.text})"
        cure = f": write {first}, or {walk}" if is_mapping(element) or element == "any" else ""
        return f"{of.text} is a list, and has no field {key}{cure}"

    def _no_field(self, of: Term, key: str) -> str:
        return f"{of.text} has {self._missing_field(of, of.shape, key)}"

    def _missing_field(self, of: Term, shape: Mapping[str, Shape], key: str) -> str:
        hint = nearest(key, shape)
        origin = self.names.origin(of)
        if not origin:
            known = f": there are {', '.join(shape)}" if shape else ""
            return f"no field {key}{hint or known}"
        declare = f"declare it under fields: {{{origin}.{key}: text}}"
        return f"no field {key}{hint or ','} {'or ' if hint else 'if it is new, '}{declare}"

    def _subscript(self, node: ast.Subscript, depth: int) -> Term:
        of = self.term(node.value, depth)
        if isinstance(node.slice, ast.Slice):
            return self._sliced(of, node, node.slice, depth)
        index = self.term(node.slice, depth)
        if isinstance(index, Literal) and isinstance(index.constant, str) and not is_list(of.shape):
            return self._field(of, index.constant, node)
        if of.shape == HEADERS:
            raise NotAllowed("a header is named by a text: headers['x-name']")
        return self._element(of, index, node)

    def _element(self, of: Term, index: Term, node: ast.expr) -> Term:
        sort = sort_of(of.shape)
        if sort not in ("list", "mapping", "any"):
            cure = f": a part of a text is {of.text}[0:1]" if sort == "text" else ""
            raise NotAllowed(f"{of.text} is {spoken(of.shape)}, and has no elements{cure}")
        if sort == "list" and index.shape not in ("integer", "any"):
            raise NotAllowed(
                f"{of.text} is a list: an element has a number; by name it is named({of.text}, {index.text})"
            )
        if sort == "mapping" and index.shape not in ("text", "any"):
            raise NotAllowed(f"{of.text} is a mapping: its keys are text")
        shape = joined(of.shape.values()) if is_mapping(of.shape) and of.shape else element_of(of.shape)
        return Element(of=of, index=index, shape=shape, text=self._shown(node))

    def _sliced(self, of: Term, node: ast.Subscript, bounds: ast.Slice, depth: int) -> Term:
        if bounds.step is not None:
            raise NotAllowed("a slice has two ends, and no step")
        sort = sort_of(of.shape)
        if sort not in ("list", "text", "any"):
            cure = f": write text({of.text})[...]" if sort in ("number", "time", "boolean") else ""
            raise NotAllowed(f"{of.text} is {spoken(of.shape)}, and slices are of lists and texts{cure}")
        start, stop = (self._bound(each, depth) for each in (bounds.lower, bounds.upper))
        return Part(of=of, start=start, stop=stop, shape=of.shape, text=self._shown(node))

    def _bound(self, node: ast.expr | None, depth: int) -> Term:
        term = self.term(node, depth) if node is not None else Literal(constant=None, shape="any", text="")
        if term.shape not in ("integer", "any"):
            raise NotAllowed(f"{term.text} is {spoken(term.shape)}, and the end of a slice is an integer")
        return term

    def _list(self, node: ast.List, depth: int) -> Term:
        items = [self.term(each, depth) for each in node.elts]
        return Several(
            items=items, shape=[joined([each.shape for each in items]) if items else "any"], text=self._shown(node)
        )

    # -- reckoning and comparing

    def _boolop(self, node: ast.BoolOp, depth: int) -> Term:
        sides = [self.term(each, depth) for each in node.values]
        word = "or" if isinstance(node.op, ast.Or) else "and"
        return Joined(word=word, sides=sides, shape=joined([each.shape for each in sides]), text=self._shown(node))

    def _unaryop(self, node: ast.UnaryOp, depth: int) -> Term:
        of = self.term(node.operand, depth)
        if isinstance(node.op, ast.Not):
            return Not(of=of, shape="boolean", text=self._shown(node))
        if not isinstance(node.op, ast.USub):
            raise NotAllowed(f"{self._shown(node)} is not in this language")
        must_be_number(of)
        return Negative(of=of, shape=of.shape, text=self._shown(node))

    def _binop(self, node: ast.BinOp, depth: int) -> Term:
        operator = _ARITHMETIC.get(type(node.op))
        if operator is None:
            raise NotAllowed(f"{self._shown(node)}: there are + - * and /")
        left, right = self.term(node.left, depth), self.term(node.right, depth)
        shape = shape_reckoned(operator, left, right)
        return Arithmetic(
            operator=operator, left=left, right=right, rounded=self.rounded, shape=shape, text=self._shown(node)
        )

    def _compare(self, node: ast.Compare, depth: int) -> Term:
        sides = [self.term(each, depth) for each in (node.left, *node.comparators)]
        operators = []
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            sign = _COMPARISONS.get(type(operator))
            if sign is None:
                raise NotAllowed("is asks for a Python object: write == or has(...)")
            check_comparable(sign, left, right)
            operators.append(sign)
        return Comparison(operators=operators, sides=sides, shape="boolean", text=self._shown(node))

    def _ifexp(self, node: ast.IfExp, depth: int) -> Term:
        test, yes, no = (self.term(each, depth) for each in (node.test, node.body, node.orelse))
        known = [each.shape for each in (yes, no) if not (isinstance(each, Literal) and each.constant is None)]
        return Choice(test=test, yes=yes, no=no, shape=joined(known) if known else "any", text=self._shown(node))

    # -- calls

    def _call(self, node: ast.Call, depth: int) -> Term:
        if isinstance(node.func, ast.Attribute):
            raise NotAllowed(f"a dot calls nothing here: write {node.func.attr}({self._shown(node.func.value)})")
        if not isinstance(node.func, ast.Name):
            raise NotAllowed("only the named functions can be called")
        if node.keywords:
            raise NotAllowed("arguments are given by place, not by name")
        if node.func.id in SPECIAL:
            return self._special(node.func.id, node, depth)
        function = FUNCTIONS.get(node.func.id)
        if function is None:
            raise NotAllowed(no_function(node.func.id))
        if not function.least <= len(node.args) <= len(function.takes):
            raise NotAllowed(f"{function.name} is called as {function.signature}")
        if function.name in OVER_WALKS:
            return self._gathered(function, node, depth)
        return self._called(function, node, depth)

    def _special(self, name: str, node: ast.Call, depth: int) -> Term:
        given = [self.term(each, depth) for each in node.args]
        if name == "has":
            if len(given) != 1:
                raise NotAllowed(f"has is called as {SPECIAL[name]}")
            return Has(of=given[0], shape="boolean", text=self._shown(node))
        if len(given) < 2:  # noqa: PLR2004 - one to replace and one to replace it with
            raise NotAllowed(f"default is called as {SPECIAL[name]}")
        return Default(options=given, shape=joined([each.shape for each in given]), text=self._shown(node))

    def _called(self, function: Function, node: ast.Call, depth: int) -> Term:
        before, self.rounded = self.rounded, function.name in _ROUNDING
        given = [self.term(each, depth) for each in node.args]
        self.rounded = before
        for needed, term in zip(function.takes, given, strict=False):
            check_argument(function, needed, term)
        check_constants(function, given)
        if function.name == "tally":
            check_tally(given)
        return Call(function=function, given=given, shape=shape_given(function, given), text=self._shown(node))

    def _gathered(self, function: Function, node: ast.Call, depth: int) -> Term:
        over, *others = node.args
        walked = self._walk(over, depth) if isinstance(over, ast.GeneratorExp) else self.term(over, depth)
        check_argument(function, "list", walked)
        given = [self.term(each, depth) for each in others]
        for term in given:
            check_argument(function, "text", term)
        check_elements(function, walked)
        if function.name == "flat":
            walked = _into(walked)
        if function.name == "sum" and self.rounded:
            function = lists.ROUNDED_SUM
        shape = shape_over(function, element_of(walked.shape))
        return Gathered(function=function, over=walked, others=given, shape=shape, text=self._shown(node))

    def _walk(self, node: ast.GeneratorExp, depth: int) -> Term:
        if self.walks + len(node.generators) > DEEPEST_WALK:
            cure = "put the inner lists together, flat(x.parts for x in list), and go through that"
            raise NotAllowed(f"`for` is nested deeper than {DEEPEST_WALK}: {cure}")
        outer_names, outer_used = self.names, self.used
        self.walks += len(node.generators)
        self.used = set()
        names, overs, tests = [], [], []
        for generator in node.generators:
            over, name = self._over(generator, depth)
            overs.append(over)
            names.append(name)
            self.names = self.names.of_element(name, over)
            tests.append([self.term(each, depth) for each in generator.ifs])
        each = self.term(node.elt, depth)
        free = sorted(self.used - set(names))
        self.names, self.used = outer_names, outer_used | set(free)
        self.walks -= len(node.generators)
        return Walk(
            names=names, overs=overs, tests=tests, each=each, free=free, shape=[each.shape], text=self._shown(node)
        )

    def _over(self, generator: ast.comprehension, depth: int) -> tuple[Term, str]:
        if generator.is_async or not isinstance(generator.target, ast.Name):
            raise NotAllowed("`for` gives one name to each element")
        over, name = self.term(generator.iter, depth), generator.target.id
        if sort_of(over.shape) not in ("list", "any"):
            raise NotAllowed(f"{over.text} is {spoken(over.shape)}, and `for` goes through lists")
        complaint = unusable(name, self.names)
        if complaint:
            raise NotAllowed(complaint)
        return over, name

    def _shown(self, node: ast.expr) -> str:
        """The part of the source that this node stands for."""
        text = (
            self.encoded[node.col_offset : node.end_col_offset].decode() if node.lineno == node.end_lineno == 1 else ""
        )
        text = text or ast.unparse(node)
        return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def _into(over: Term) -> Walk:
    """A walk through the lists that this one holds. Its names are those of functions, which no element can have."""
    element: Shape = element_of(element_of(over.shape))
    each = Name(name="flat", shape=element, text="flat")
    if isinstance(over, Walk):
        names, overs, tests = [*over.names, each.name], [*over.overs, over.each], [*over.tests, []]
        return Walk(names=names, overs=overs, tests=tests, each=each, free=over.free, shape=[element], text=over.text)
    part = Name(name="list", shape=element_of(over.shape), text=f"an element of {over.text}")
    return Walk(
        names=[part.name, each.name], overs=[over, part], tests=[[], []], each=each, free=[],
        shape=[element], text=over.text,
    )  # fmt: skip


def unusable(name: str, names: Names) -> str:
    """Why this cannot be the name of an element, or nothing."""
    if not name.isidentifier() or iskeyword(name) or name != unicodedata.normalize("NFKC", name):
        return f"{name} cannot be a name: letters, digits and _ make one"
    if name in names.shapes:
        return f"{name} is the name of something else already"
    return f"{name} is the name of a function" if name in FUNCTIONS or name in SPECIAL else ""


def _text_constant(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotAllowed("a text holds half of a character (a surrogate)") from None
    return value
