"""Find what YAML does to expressions that are not quoted, and say how to write them.

YAML takes ` #` for a comment, `: ` for a key and braces, brackets and commas for structure. Each is recognised where it
breaks an expression, and answered with the quoted form to paste.
"""

import ast
import re
from collections.abc import Sequence
from typing import Final

from yaml.nodes import Node, ScalarNode

from bridge.errors import Problem

LONGEST_NUMBER: Final = 45  # characters
LONGEST_LINE: Final = 2_100
"""The most characters of a line that are searched for an expression, which has fewer."""

_MOST_ENDS: Final = 100
"""The most places where an expression may end that are tried, the last of the line first."""
_BEGINNING: Final = re.compile(r"(?:^|[:\[{,-])\s*=(?=\s)")
_SAFE: Final = re.compile(r"=[^:#,{}\[\]]*")


_SAID: Final = (
    ("\\t", "a tab stands where YAML wants spaces: indent with spaces"),
    (
        "cannot start any token",
        "a text cannot begin with this sign, and lines are not indented with tabs: quote the text",
    ),
    ("mapping values are not allowed", "a second `: ` stands in this line: quote the text that holds it"),
    ("another document", "a file holds one document: leave out the line ---"),
)


def quoted(expression: str) -> str:
    """The expression as a YAML text in quotes."""
    if '"' not in expression and "\\" not in expression:
        return f'"{expression}"'
    return "'" + expression.replace("'", "''") + "'"


def parses(expression: str) -> bool:
    """Whether it is a whole Python expression behind its `=`."""
    if len(expression) > LONGEST_LINE:
        return False
    try:
        tree = ast.parse(expression.removeprefix("=").strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return not isinstance(tree.body, ast.Tuple)


def cut(node: ScalarNode, lines: Sequence[str]) -> str:
    """Say what YAML cut from the expression of this scalar, or nothing."""
    end = node.end_mark
    rest = lines[end.line][end.column :] if end.line < len(lines) else ""
    if parses(node.value) or not rest.strip():
        return ""
    whole = _whole(node, lines)
    if len(whole) < len(node.value):
        return ""  # nothing was cut from it: it is no expression with what follows, either
    if rest.lstrip().startswith("#"):
        return f"YAML takes what follows ` #` for a comment and cuts the expression: quote it: {quoted(whole)}"
    return f"YAML ends an unquoted expression at {rest.strip()[0]}: quote it: {quoted(whole)}"


def broken(key: Node, lines: Sequence[str]) -> str:
    """Say that an expression was taken for a key because of a `: ` in it."""
    start = key.start_mark
    whole = quoted(_upto(lines[start.line][start.column :]))
    return f"YAML takes what stands before `: ` for a key: quote the expression: {whole}"


def _whole(node: ScalarNode, lines: Sequence[str]) -> str:
    start, end = node.start_mark, node.end_mark
    return _upto(
        " ".join((node.value, lines[end.line][end.column :].lstrip()))
        if end.line != start.line
        else lines[start.line][start.column :]
    )


def _upto(rest: str) -> str:
    """The longest beginning that is an expression, ending at a place where YAML could have gone on."""
    rest = rest[:LONGEST_LINE].rstrip()
    ends = [len(rest), *(at for at in range(len(rest) - 1, 0, -1) if rest[at] in ",}] ")]
    return next((rest[:at].rstrip() for at in ends[:_MOST_ENDS] if parses(rest[:at].rstrip())), rest)


def syntax(said: str, text: str, file: str, at: tuple[int, int], context: int) -> Problem:
    """The problem that a YAML error stands for: an unquoted expression if there is one, else what YAML says."""
    line, column = at
    lines = text.splitlines()
    for number in dict.fromkeys((line, line - 1, context)):
        if 0 <= number < len(lines) and (found := _unquoted(lines[number])) is not None:
            start, expression = found
            why = "YAML reads braces, brackets, commas and `: ` in an expression as its own"
            message = f"{why}: quote it: {quoted(expression)}"
            return Problem(message=message, file=file, line=number + 1, column=start + 1)
    said = next((better for words, better in _SAID if words in said), said)
    return Problem(message=f"not YAML: {said}", file=file, line=line + 1, column=column + 1)


def _unquoted(line: str) -> tuple[int, str] | None:
    """The first expression of a line that YAML cannot read without quotes, and where it begins."""
    for match in _BEGINNING.finditer(line):
        expression = _upto(line[match.end() - 1 :])
        if not _SAFE.fullmatch(expression):
            return match.end() - 1, expression
    return None
