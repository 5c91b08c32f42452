"""Structures that a rule gives: mappings, lists, `each` and `first_of` in YAML, with expressions and literals as
leaves.

Each is written twice, as in terms.py: its meaning, which words every failure, and the Python that does the same fast.
The Python assigns to a name, None if the structure is empty, and raises if the meaning fails.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from bridge.contract import Json
from bridge.mapping import values
from bridge.mapping.codegen import PythonSource, variable
from bridge.mapping.expressions import Expression
from bridge.mapping.fields import element_of, is_list
from bridge.mapping.terms import BUDGET, KEPT, Scope, typed, typed_python, weight_of
from bridge.mapping.values import Beyond, Failed, Value

DOCUMENT: Final = "v_doc, v_topic, v_shop, v_key, v_headers, v_received_at, v_source, v_told"
"""The parameters of generated functions: all that they know of a document."""

TOLD: Final = "told"
"""The name of the numbers by which the rule's own fact was sent before: another list for every rule."""

FAILURES: Final = ":failures"
"""The name in a scope of structures (by identity) that failed for this document, each with its failure."""

LEFT_OUT: Final = ":left out"
"""The name in a scope of the list of reasons why optional keys were left out.

The Python keeps no reasons. It uses this name as the key under which it notes for a document that there was one.
"""


class Unmapped(Failed):
    """A key that could not be given: its path in the rule, the expression if there is one, and the reason."""

    def __init__(self, path: Sequence[str], expression: str, reason: str, *, of_shape: bool = False) -> None:
        super().__init__(": ".join(each for each in (".".join(path), expression, reason) if each), of_shape=of_shape)


def evaluated(expression: Expression, path: Sequence[str], scope: Scope) -> Value:
    """The value of an expression. Raises Unmapped with the path of its key."""
    try:
        return expression.evaluate(scope)
    except Beyond:
        raise
    except values.WHAT_DATA_CAN_RAISE as failure:
        if isinstance(failure, Failed):
            raise Unmapped(path, expression.source, str(failure), of_shape=failure.of_shape) from None
        raise Unmapped(path, expression.source, f"cannot be calculated ({type(failure).__name__})") from None


def missing(expression: Expression, path: Sequence[str], scope: Scope) -> Unmapped:
    """The error for an expression that gave nothing and had to give something."""
    try:
        reason = expression.term.why_empty(scope)
    except Beyond:
        raise
    except values.WHAT_DATA_CAN_RAISE:
        reason = "gives nothing"
    return Unmapped(path, expression.source, reason)


@dataclass(frozen=True, kw_only=True)
class Structure:
    path: Sequence[str]

    def value(self, scope: Scope) -> Value:
        """The value that it gives for this document. None: it is empty. Raises Unmapped."""
        raise NotImplementedError

    def why_empty(self, scope: Scope) -> Unmapped:
        """The error to raise if it is empty and must not be."""
        raise NotImplementedError

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:
        """Write the lines that assign to target. strict: where it would be empty, they may raise at once."""
        raise NotImplementedError

    def weigh(self, writer: PythonSource, name: str) -> None:
        """Write the line that takes what it gave, which is not None, from the bytes that are left.

        What is made here (a mapping, a list) was weighed when it was made.
        """

    def never_empty(self) -> bool:
        return False

    def may_be_an_empty_list(self) -> bool:
        return False

    def expressions(self) -> Sequence[Expression]:
        return ()


@dataclass(frozen=True, kw_only=True)
class Fixed(Structure):
    """A literal."""

    constant: Json

    def value(self, scope: Scope) -> Value:
        return values.plain(self.constant, scope[BUDGET])

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:  # noqa: ARG002 - never empty
        if isinstance(self.constant, str | bool | int):
            writer.line(f"{target} = {self.constant!r}")
        else:
            writer.line(f"{target} = plain({writer.known(self.constant)}, budget)")

    def never_empty(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Leaf(Structure):
    """An expression.

    is_number  it stands where money or another number does: what cannot be read there is never left out
    """

    expression: Expression
    is_number: bool = False

    def value(self, scope: Scope) -> Value:
        try:
            found = evaluated(self.expression, self.path, scope)
        except Unmapped as failure:
            failure.of_shape &= not self.is_number
            raise
        try:
            return values.plain(found, scope[BUDGET])
        except Beyond:
            raise
        except values.WHAT_DATA_CAN_RAISE as failure:
            raise Unmapped(self.path, self.expression.source, str(failure)) from None

    def why_empty(self, scope: Scope) -> Unmapped:
        return missing(self.expression, self.path, scope)

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:  # noqa: ARG002 - the caller asks for None
        if not self.is_number:
            self._assign(writer, target)
            return
        with writer.indented("try:"):
            self._assign(writer, target)
        writer.line("except AttributeError: raise Failed")
        with writer.indented("except Failed as problem:"):
            writer.line("problem.of_shape = False")
            writer.line("raise")

    def _assign(self, writer: PythonSource, target: str) -> None:
        source, shape = self.expression.term.python(writer), self.expression.shape
        if shape in ("text", "integer", "number", "money", "boolean"):
            writer.line(f"{target} = {source}")
        elif shape == "time":
            writer.line(f"{target} = iso({target}) if ({target} := {source}) is not None else None")
        else:
            writer.line(f"{target} = plain({source}, budget)")

    def weigh(self, writer: PythonSource, name: str) -> None:
        shape = self.expression.shape
        if shape == "text":
            writer.line(f"budget[1] -= len({name})")
        elif shape in ("integer", "number", "money") and writer.loops:
            writer.line(f"budget[1] -= {name}.__sizeof__()")  # a document can hold numbers of thousands of digits

    def never_empty(self) -> bool:
        return self.expression.term.never_empty()

    def may_be_an_empty_list(self) -> bool:
        return self.expression.shape == "any" or is_list(self.expression.shape)

    def expressions(self) -> Sequence[Expression]:
        return (self.expression,)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A key of a mapping. A key that is written `key?` is left out when empty."""

    key: str
    optional: bool
    of: Structure


@dataclass(frozen=True, kw_only=True)
class Members(Structure):
    """A mapping. It is empty if all its keys are. It fails if some are given and a key is missing that is not
    optional."""

    members: Sequence[Member]

    @property
    def keys(self) -> list[str]:
        """The keys that it may have."""
        return [each.key for each in self.members]

    def value(self, scope: Scope) -> Value:
        values.made(self.keys, scope[BUDGET])
        found: dict[str, Value] = {}
        lacking: Structure | None = None
        for member in self.members:
            value = _unless_left_out(member, scope)
            if value is None or (member.optional and value == []):
                lacking = lacking or (None if member.optional else member.of)
            else:
                found[member.key] = value
        if found and lacking is not None:
            raise lacking.why_empty(scope)
        return found or None

    def why_empty(self, scope: Scope) -> Unmapped:
        required = (member.of for member in self.members if not member.optional)
        for structure in required:
            if structure.value(scope) is None:
                return structure.why_empty(scope)
        return Unmapped(self.path, "", "all its keys are empty")

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:
        result, lacking = writer.fresh("m"), writer.fresh("l")
        defer = not strict and any(not each.optional and not each.of.never_empty() for each in self.members)
        writer.line(f"{result} = {{}}")
        if writer.loops:
            writer.line(f"budget[1] -= {values.size_of(self.keys)}")
        if defer:
            writer.line(f"{lacking} = False")
        for member in self.members:
            self._member(writer, member, result, lacking if defer else "")
        if defer:
            writer.line(f"if {lacking} and {result}: raise Failed")
        surely = any(_is_surely_there(each, strict=strict) for each in self.members)
        writer.line(f"{target} = {result}" if surely else f"{target} = {result} or None")

    def _member(self, writer: PythonSource, member: Member, result: str, lacking: str) -> None:
        place, name = f"{result}[{member.key!r}]", writer.fresh()
        surely = isinstance(member.of, Fixed | Leaf) and member.of.never_empty() and not member.optional
        with _leaving_out(writer, name) if member.optional else nullcontext():
            _remembered(writer, member.of, name, strict=surely or (not lacking and not member.optional))
        if surely:
            self._kept(writer, member.of, place, name)
        elif member.optional:
            full = f"{name} is not None" + (f" and {name} != []" if member.of.may_be_an_empty_list() else "")
            with writer.indented(f"if {full}:"):
                self._kept(writer, member.of, place, name)
        elif lacking:
            writer.line(f"if {name} is None: {lacking} = True")
            with writer.indented("else:"):
                self._kept(writer, member.of, place, name)
        else:
            writer.line(f"if {name} is None: raise Failed")
            self._kept(writer, member.of, place, name)

    def _kept(self, writer: PythonSource, of: Structure, place: str, name: str) -> None:
        writer.line(f"{place} = {name}")
        of.weigh(writer, name)

    def expressions(self) -> Sequence[Expression]:
        return [each for member in self.members for each in member.of.expressions()]


def _remembered(writer: PythonSource, structure: Structure, target: str, *, strict: bool) -> None:
    """Write a structure. One that several rules share is calculated once for a document, by a function of its own."""
    function = writer.shared.get(id(structure))
    if function is None:
        structure.python(writer, target, strict=strict)
        return
    name = writer.known(function)
    writer.line(f"{target} = memo.get({id(structure)}, memo)")
    with writer.indented(f"if {target} is memo:"):
        writer.line(f"{target} = memo[{id(structure)}] = {name}(budget, {DOCUMENT})")


@contextmanager
def _leaving_out(writer: PythonSource, target: str, problem: str = "") -> Iterator[None]:
    """Wrap lines that assign to target: it is None if a value has another shape.

    problem  the name to which that failure is assigned
    """
    failure = writer.fresh()
    with writer.indented("try:"):
        yield
    with writer.indented(f"except (Failed, AttributeError) as {failure}:"):
        writer.line(f"if not is_left_out({failure}): raise")
        writer.line(f"budget[{KEPT}][{LEFT_OUT!r}] = True")
        writer.line(f"{target} = None")
        if problem:
            writer.line(f"{problem} = {failure}")


def _unless_left_out(member: Member, scope: Scope) -> Value:
    """The value of a key. None: it is optional, and what it reads has another shape."""
    try:
        return _looked_at(member.of, scope)
    except Failed as failure:
        if not (member.optional and failure.of_shape):
            raise
        if (said := scope.get(LEFT_OUT)) is not None:
            said.append(str(failure))
        return None


def _is_surely_there(member: Member, *, strict: bool) -> bool:
    """Whether the mapping has this key whenever the lines behind it are reached."""
    if member.optional:
        return member.of.never_empty() and not member.of.may_be_an_empty_list()
    return strict or member.of.never_empty()


@dataclass(frozen=True, kw_only=True)
class Items(Structure):
    """A list that is written out: every element must have a value."""

    items: Sequence[Structure]

    def value(self, scope: Scope) -> Value:
        found = [each.value(scope) for each in self.items]
        if None in found and any(each is not None for each in found):
            raise self.items[found.index(None)].why_empty(scope)
        return None if found and None in found else found

    def why_empty(self, scope: Scope) -> Unmapped:
        return next(each.why_empty(scope) for each in self.items if each.value(scope) is None)

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:  # noqa: ARG002 - decided by the elements
        names = [writer.fresh() for _ in self.items]
        for name, each in zip(names, self.items, strict=True):
            each.python(writer, name, strict=False)
        writer.line(f"{target} = [{', '.join(names)}]")
        nothing = " and ".join(f"{name} is None" for name in names) or "False"
        writer.line(f"if {nothing}: {target} = None")
        writer.line(f"elif {' or '.join(f'{name} is None' for name in names) or 'False'}: raise Failed")
        with writer.indented("else:"):
            writer.line(f"budget[1] -= {8 * len(names)}")
            for name, each in zip(names, self.items, strict=True):
                each.weigh(writer, name)

    def may_be_an_empty_list(self) -> bool:
        return not self.items

    def expressions(self) -> Sequence[Expression]:
        return [each for item in self.items for each in item.expressions()]


@dataclass(frozen=True, kw_only=True)
class Level:
    """A list that is gone through, and the name of its elements."""

    over: Expression
    name: str
    path: Sequence[str]
    """The place of the list in the rule."""


@dataclass(frozen=True, kw_only=True)
class Each(Structure):
    """`each`, `as`, `when`, `give`: one element for each element of a list. Empty only if the list itself is.

    levels  the list, or several, each of which may be said by the elements of those before it
    by      elements of which it says the same are one: `as` is the first of them, and `group` is all of them
    """

    levels: Sequence[Level]
    when: Expression | None
    give: Structure
    by: Expression | None = None
    group: str = ""

    @property
    def name(self) -> str:
        """The name of the innermost elements."""
        return self.levels[-1].name

    def value(self, scope: Scope) -> Value:
        scopes = self._walked(scope)
        if scopes is None:
            return None
        wanted = (inner for inner in scopes if self.is_wanted(inner))
        return [self._given(inner) for inner in (wanted if self.by is None else self._grouped(self.by, wanted))]

    def _grouped(self, by: Expression, scopes: Iterable[Scope]) -> Sequence[Scope]:
        groups: dict[str, list[Scope]] = {}
        path = (*self.path, "by")
        for scope in scopes:
            value = evaluated(by, path, scope)
            if value is None:
                raise missing(by, path, scope)
            try:
                groups.setdefault(values.canonical(values.spent(value, scope[BUDGET])), []).append(scope)
            except Beyond:
                raise
            except Failed as failure:
                raise Unmapped(path, by.source, str(failure), of_shape=failure.of_shape) from None
        return [{**same[0], self.group: [scope[self.name] for scope in same]} for same in groups.values()]

    def scopes(self, scope: Scope) -> Sequence[Scope] | None:
        """A scope for each innermost element. None: the outermost list is empty."""
        walked = self._walked(scope)
        return None if walked is None else list(walked)

    def _walked(self, scope: Scope) -> Iterator[Scope] | None:
        """Walk the list as scopes, one after the other. The values of one element are calculated before the next is
        looked at."""
        outermost = self.levels[0]
        over = evaluated(outermost.over, outermost.path, scope)
        return None if over is None else self._within(0, over, scope)

    def _within(self, at: int, over: Value, scope: Scope) -> Iterator[Scope]:
        for inner in self._elements(self.levels[at], over, scope, self._weights()[at]):
            if at + 1 == len(self.levels):
                yield inner
            else:
                level = self.levels[at + 1]
                yield from self._within(at + 1, evaluated(level.over, level.path, inner), inner)

    def _elements(self, level: Level, over: Value, scope: Scope, weight: int) -> Iterator[Scope]:
        shape = element_of(level.over.shape)
        try:
            items = values.walk(over, scope[BUDGET], weight)
            values.look(len(items), scope[BUDGET])
            for item in items:
                yield {**scope, level.name: typed(item, shape), FAILURES: None}
        except Beyond:
            raise
        except Failed as failure:
            raise Unmapped(level.path, level.over.source, str(failure), of_shape=failure.of_shape) from None

    def is_wanted(self, scope: Scope) -> bool:
        return self.when is None or bool(evaluated(self.when, (*self.path, "when"), scope))

    def _given(self, scope: Scope) -> Value:
        value = self.give.value(scope)
        if value is None:
            raise self.give.why_empty(scope)
        return value

    def why_empty(self, scope: Scope) -> Unmapped:
        return missing(self.levels[0].over, self.levels[0].path, scope)

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:  # noqa: ARG002 - the caller asks for None
        over, result, groups = writer.fresh(), writer.fresh("m"), writer.fresh("g")
        writer.line(f"{over} = {self.levels[0].over.term.python(writer)}")
        if self.by is not None:
            writer.line(f"{groups} = {{}}")
        writer.line(f"{result} = None if {over} is None else []")
        name = variable(self.name)
        with ExitStack() as loops:
            for level, weight in zip(self.levels, self._weights(), strict=True):
                source = over if level is self.levels[0] else level.over.term.python(writer)
                loops.enter_context(writer.looping(f"for {variable(level.name)} in walk({source}, budget, {weight}):"))
                element = typed_python(variable(level.name), element_of(level.over.shape), writer)
                if element != variable(level.name):
                    writer.line(f"{variable(level.name)} = {element}")
            if self.when is not None:
                writer.line(f"if not {self.when.term.python(writer)}: continue")
            if self.by is None:
                self._append(writer, result)
            else:
                _collect(writer, self.by, name, groups)
        if self.by is not None:
            same = variable(self.group) if self.group else writer.fresh()
            with writer.looping(f"for {same} in {groups}.values():"):
                writer.line(f"{name} = {same}[0]")
                self._append(writer, result)
        writer.line(f"{target} = {result}")

    def _append(self, writer: PythonSource, result: str) -> None:
        given = writer.fresh()
        self.give.python(writer, given, strict=True)
        if not self.give.never_empty():
            writer.line(f"if {given} is None: raise Failed")
        writer.line(f"{result}.append({given})")
        self.give.weigh(writer, given)
        writer.line("if budget[1] < 0: refuse(budget)")

    def _weights(self) -> Sequence[int]:
        """The steps of an element of each level: all is calculated at the innermost."""
        inner = weight_of(each.term for each in (*self.give.expressions(), *filter(None, (self.when, self.by))))
        return [*(weight_of([level.over.term]) for level in self.levels[1:]), inner]

    def may_be_an_empty_list(self) -> bool:
        return True

    def expressions(self) -> Sequence[Expression]:
        own = [each for each in (self.when, self.by) if each is not None]
        return [*(level.over for level in self.levels), *own, *self.give.expressions()]


def _collect(writer: PythonSource, by: Expression, name: str, groups: str) -> None:
    key, same = writer.fresh(), writer.fresh()
    writer.line(f"{key} = {by.term.python(writer)}")
    writer.line(f"if {key} is None: raise Failed")
    writer.line(f"{key} = canonical(spent({key}, budget))")
    writer.line(f"{same} = {groups}.get({key})")
    writer.line(f"if {same} is None: {groups}[{key}] = [{name}]")
    writer.line(f"else: {same}.append({name})")


@dataclass(frozen=True, kw_only=True)
class FirstOf(Structure):
    """The first of several that is not empty.

    is_optional  of a key that is left out when it is empty: what has another shape is passed over
    """

    options: Sequence[Structure]
    is_optional: bool = False

    def value(self, scope: Scope) -> Value:
        problem: Failed | None = None
        for each in self.options:
            try:
                found = each.value(scope)
            except Failed as failure:
                if not (self.is_optional and failure.of_shape):
                    raise
                found, problem = None, failure
            if found is not None:
                return found
        if problem is not None:
            raise problem
        return None

    def why_empty(self, scope: Scope) -> Unmapped:
        reasons = [str(each.why_empty(scope)) for each in self.options]
        return Unmapped(self.path, "", f"none has a value ({'; '.join(reasons)})")

    def python(self, writer: PythonSource, target: str, *, strict: bool) -> None:  # noqa: ARG002 - the next one may be full
        problem = writer.fresh() if self.is_optional else ""
        writer.line(f"{target} = {problem + ' = ' if problem else ''}None")
        for each in self.options:
            with ExitStack() as around:
                if each is not self.options[0]:
                    around.enter_context(writer.indented(f"if {target} is None:"))
                if problem:
                    around.enter_context(_leaving_out(writer, target, problem))
                each.python(writer, target, strict=False)
        if problem:
            writer.line(f"if {target} is None and {problem} is not None: raise {problem}")

    def weigh(self, writer: PythonSource, name: str) -> None:
        writer.line(f"weighed({name}, budget)")

    def never_empty(self) -> bool:
        return any(each.never_empty() for each in self.options)

    def may_be_an_empty_list(self) -> bool:
        return any(each.may_be_an_empty_list() for each in self.options)

    def expressions(self) -> Sequence[Expression]:
        return [each for option in self.options for each in option.expressions()]


def _looked_at(structure: Structure, scope: Scope) -> Value:
    """The value of the structure. Rules share structures: what failed for one rule is not calculated again for the
    next."""
    failures = scope.get(FAILURES)
    if failures is None or isinstance(structure, Fixed | Leaf):
        return structure.value(scope)
    if id(structure) not in failures:
        try:
            return structure.value(scope)
        except Unmapped as failure:
            failures[id(structure)] = failure
    before: Failed = failures[id(structure)]
    raise Failed(str(before), of_shape=before.of_shape)


def given_keys(structure: Structure) -> Mapping[str, bool]:
    """The top keys of what is given, each with whether it is optional."""
    return {each.key: each.optional for each in structure.members} if isinstance(structure, Members) else {}


def shareable(structure: Structure) -> Sequence[Structure]:
    """The parts of what is given that are worth calculating once for all rules that share them."""
    return (
        [
            each.of
            for each in structure.members
            if not isinstance(each.of, Fixed | Leaf)
            and not any(TOLD in expression.names() for expression in each.of.expressions())
        ]
        if isinstance(structure, Members)
        else []
    )
