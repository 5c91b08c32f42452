"""Generate Python source: lines, temporary names, and the objects that the source refers to by name."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bridge.mapping import arithmetic, values

_NAME: Final = re.compile(r"[^\W\d]\w*")
_BUILT_IN: Final = (str, int, len, Exception, AttributeError)
_GIVEN: Final = {name: thing for room in (values, arithmetic) for name, thing in vars(room).items() if name[0] != "_"}


class PythonSource:
    """Gathers the source of one function. Functions that it needs are written beside it, into the same namespace."""

    def __init__(self, space: dict[str, Any], indent: int = 1) -> None:
        self.space = space
        self.loops = 0
        self.shared: Mapping[int, Callable[..., Any]] = {}
        """Structures (by identity) that several rules share, each with the function that calculates it."""
        self._lines: list[str] = []
        self._indent = indent

    def line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    @contextmanager
    def indented(self, head: str) -> Iterator[None]:
        self.line(head)
        self._indent += 1
        yield
        self._indent -= 1

    @contextmanager
    def looping(self, head: str) -> Iterator[None]:
        self.loops += 1
        with self.indented(head):
            yield
        self.loops -= 1

    def fresh(self, letter: str = "t") -> str:
        """A name that nothing else in this namespace has."""
        self.space["names"] = self.space.get("names", 0) + 1
        return f"{letter}{self.space['names']}"

    def known(self, thing: object) -> str:
        """The name under which the source finds this object."""
        name = self.fresh("k")
        self.space[name] = thing
        return name

    def function(self, key: int, parameters: str, write: Callable[["PythonSource"], None]) -> str:
        """The name of a function beside this one that does what is written. A namespace has one function for each
        key."""
        names: dict[int, str] = self.space.setdefault("functions", {})
        if key not in names:
            name, inner = self.fresh("f"), PythonSource(self.space)
            write(inner)
            compiled(f"def {name}({parameters}):", inner, self.space)
            names[key] = name
        return names[key]

    def source(self, head: str) -> str:
        return "\n".join((head, *self._lines)) + "\n"


def variable(name: str) -> str:
    """The name in Python of a name in a rule. It differs from all others, and is always a name."""
    if _NAME.fullmatch(name) is None:
        raise ValueError("not a name")
    return f"v_{name}"


def namespace() -> dict[str, Any]:
    """The names that generated source can reach: the functions of values.py and arithmetic.py, and no builtins."""
    return {**_GIVEN, "__builtins__": {}, **{thing.__name__: thing for thing in _BUILT_IN}}


def compiled(head: str, writer: PythonSource, space: dict[str, Any]) -> Callable[..., Any]:
    """The function that starts with this line. Only constants that repr() wrote and checked names are in the source."""
    source = writer.source(head)
    exec(compile(source, "<rule>", "exec"), space)  # noqa: S102 - we wrote it from checked terms: no text of a rule is in it but as repr()
    name = head.removeprefix("def ").partition("(")[0]
    function: Callable[..., Any] = space[name]
    return function


def expression_of(source: str) -> ast.Expression:
    """Parse the text behind a `=`. Raises SyntaxError whatever is wrong with it."""
    try:
        return ast.parse(source, mode="eval")
    except (ValueError, RecursionError, MemoryError) as problem:
        raise SyntaxError(str(problem) or "too deeply nested") from None
