"""YAML as people expect it: exact numbers, no surprises, and a line and column for every node.

The types are the core of YAML 1.2. `NO`, `on` and `yes` are texts. There are no dates, octals or sexagesimals. A number
with leading zeros (a postcode) stays text. Numbers are int or Decimal, never float.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, ScalarEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from bridge.contract import Json
from bridge.errors import ConfigurationError, Problem
from bridge.mapping import traps

MOST_NODES: Final = 100_000  # nodes of one file
DEEPEST: Final = 60  # levels

_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?")
_WORDS: Final[dict[str, Json]] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))


_Loader: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""PyYAML up to its nodes, in C if it was built with that. This module decides what the nodes mean."""


def _compose(text: str) -> Node | None:
    _check_depth(text)
    node: Node | None = _Loader(text).get_single_node()
    return node


def _check_depth(text: str) -> None:
    """Check the depth in the flat events first: composing goes as deep and makes as much as the text says, without a
    bound."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_Loader):
        nodes += isinstance(event, CollectionStartEvent | ScalarEvent)
        if nodes > 2 * MOST_NODES:
            raise _TooMuch(event.start_mark, _TOO_BIG)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise _TooMuch(event.start_mark, f"nested deeper than {DEEPEST} levels")


_LIBRARY_TOO_DEEP = "exceeded maximum nesting depth"
"""The words of newer versions of the library for nested flow collections, before their levels can be counted here."""


class _TooMuch(yaml.MarkedYAMLError):
    def __init__(self, mark: Any, problem: str) -> None:  # noqa: ANN401 - C and Python have a Mark each
        super().__init__(problem=problem, problem_mark=mark)


@dataclass(frozen=True)
class Document:
    """The content of a file, and where each part of it stands."""

    value: Json
    file: str
    node: Node | None

    def where(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Line and column (from 1) of the node at that path, or of its nearest parent that exists."""
        node, place = self.node, (1, 1)
        if node is None:
            return place
        place = _place(node)
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            key, node = found
            place = _place(key if key is not None and node.start_mark.line != key.start_mark.line else node)
        return place

    def renamed(self, names: Mapping[str, str]) -> "Document":
        """Rename keys at the top of the document. What stands there keeps its place."""
        if not names or not isinstance(self.node, MappingNode):
            return self
        for key, _ in self.node.value:
            key.value = names.get(key.value, key.value)
        return replace(self, value={names.get(key, key): value for key, value in self.value.items()})


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _child(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
        return None, node.value[step]
    return None


def load(text: str, file: str) -> Document:
    """Read one YAML document, or raise ConfigurationError with every problem that can be found at once."""
    try:
        node = _compose(text)
    except yaml.YAMLError as problem:
        wrong = ConfigurationError([_syntax(problem, text, file)])
        wrong.add_note("the text after it was not read: there may be more problems once this is right")
        raise wrong from None
    reading = _YamlReader(text, file)
    value = None if node is None else reading.value(node, ())
    if reading.problems:
        raise ConfigurationError(sorted(dict.fromkeys(reading.problems), key=lambda each: (each.line, each.column)))
    return Document(value, file, node)


def _syntax(problem: yaml.YAMLError, text: str, file: str) -> Problem:
    mark: Any = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
    said = getattr(problem, "problem", None) or getattr(problem, "reason", None) or str(problem)
    if said == _LIBRARY_TOO_DEEP:
        said = f"nested deeper than {DEEPEST} levels"
    if mark is None:
        position = getattr(problem, "position", 0)
        before = text[: position if isinstance(position, int) else 0]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    else:
        line, column = mark.line, mark.column
    context: Any = getattr(problem, "context_mark", None) or mark
    return traps.syntax(said, text, file, (line, column), context.line if context is not None else line)


class _YamlReader:
    """One pass over the nodes of a document that gathers its value and everything that is wrong with it."""

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self._lines = text.splitlines()
        self._file = file
        self._nodes = 0
        self._cures = _MOST_CURES

    def value(self, node: Node, path: tuple[str, ...]) -> Json:
        self._nodes += 1
        if self._nodes > MOST_NODES or len(path) > DEEPEST:
            if self._nodes <= MOST_NODES + 1 or len(path) == DEEPEST + 1:
                self._say(node, path[:8], _TOO_BIG)
            self._nodes = max(self._nodes, MOST_NODES + 1)
            return None
        if node.tag not in _PLAIN_TAGS and node.tag != "!":
            self._say(node, path, f"tags such as {_tag(node.tag)} are not used here: leave it out")
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, MappingNode):
            return dict(self._pairs(node, path))
        return [self.value(each, (*path, str(index))) for index, each in enumerate(node.value)]

    def _scalar(self, node: ScalarNode, path: tuple[str, ...]) -> Json:
        if not _is_plain(node):
            return node.value
        if node.value.startswith("=") and not traps.parses(node.value) and self._cures:
            self._cures -= 1
            complaint = traps.cut(node, self._lines)
            if complaint:
                self._say(node, path, complaint)
        return scalar(node.value)

    def _pairs(self, node: MappingNode, path: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
        seen: dict[str, Node] = {}
        for key, value in node.value:
            complaint = self._complaint(key, seen)
            if complaint:
                self._say(key, path, complaint)
                continue
            seen[key.value] = key
            yield key.value, self.value(value, (*path, key.value))

    def _complaint(self, key: Node, seen: dict[str, Node]) -> str:
        if not isinstance(key, ScalarNode) or not key.value:
            return "a key must be a word; braces { } or brackets [ ] that belong to a text must be quoted"
        if _is_plain(key) and key.value == "<<":
            return "merge keys (<<) are not used here: write the keys out, or share a whole value with an alias (*name)"
        if _is_plain(key) and key.value.startswith("="):
            return traps.broken(key, self._lines)
        if key.value in seen:
            return f"{key.value} is written twice; the first is in line {_place(seen[key.value])[0]}: keep one"
        return ""

    def _say(self, node: Node, path: tuple[str, ...], message: str) -> None:
        line, column = _place(node)
        self.problems.append(Problem(message=message, path=".".join(path), file=self._file, line=line, column=column))


_MOST_CURES: Final = 50
"""The most expressions of a file that are searched for what YAML cut from them: the search takes long."""


def _is_plain(node: ScalarNode) -> bool:
    return node.style is None or node.style == ""  # the second is how C says it


_TOO_BIG: Final = f"more than {MOST_NODES} values or {DEEPEST} levels once its aliases (*name) are followed: write less"


def _tag(tag: str) -> str:
    return "!!" + tag.removeprefix("tag:yaml.org,2002:") if tag.startswith("tag:yaml.org") else tag


def scalar(written: str) -> Json:
    """The meaning of an unquoted scalar."""
    if written in _WORDS:
        return _WORDS[written]
    if len(written) > traps.LONGEST_NUMBER:
        return written
    if _INTEGER.fullmatch(written):
        return int(written)
    if _DECIMAL.fullmatch(written) and any(character.isdigit() for character in written.lower().partition("e")[0]):
        return Decimal(written)
    return written
