"""Lookup tables from files: a YAML mapping, or CSV with a line of names, whose first column is the key."""

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from bridge.contract import Json
from bridge.errors import ConfigurationError, Problem
from bridge.mapping import values
from bridge.mapping.loader import load
from bridge.mapping.values import Failed

MOST_ROWS: Final = 100_000  # rows
_TWO: Final = 2  # columns at the least


def table(text: str, file: str) -> Mapping[str, Json]:
    """Read a table. Its keys are canonical texts, as `lookup` asks for them. Raises ConfigurationError with every
    problem."""
    return _from_csv(text, file) if file.endswith(".csv") else _from_yaml(text, file)


def _from_yaml(text: str, file: str) -> Mapping[str, Json]:
    value = load(text, file).value
    if not isinstance(value, dict):
        raise ConfigurationError([Problem(message="a table is a mapping: a key and its entry a line", file=file)])
    return value


def _from_csv(text: str, file: str) -> Mapping[str, Json]:
    """Read CSV. Two columns give key to text. More columns give key to a mapping of their names to texts; empty cells
    are absent."""
    lines = _lines(text.removeprefix("\ufeff"), file)
    if not lines:
        raise ConfigurationError([Problem(message="is empty: the first line names the columns", file=file)])
    problems = list(_problems(lines, file))
    if problems:
        raise ConfigurationError(problems)
    names = [name.strip() for name in lines[0]]
    rows = {_key(line[0]): line for line in lines[1:] if line}
    if len(names) == _TWO:
        return {key: line[1] for key, line in rows.items() if line[1]}
    return {
        key: {name: cell for name, cell in zip(names[1:], line[1:], strict=True) if cell} for key, line in rows.items()
    }


def _lines(text: str, file: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text), strict=True, delimiter=_separator(text))
    try:
        return list(reader)
    except csv.Error as problem:
        said = next((better for words, better in _SAID if words in str(problem)), str(problem))
        raise ConfigurationError([Problem(message=f"not CSV: {said}", file=file, line=reader.line_num)]) from None


_SAID: Final = (
    ("unexpected end of data", "a quote is opened and not closed"),
    ("expected after", "text stands behind a closing quote: write a quote inside of a text twice"),
    ("field larger", f"a cell of more than {csv.field_size_limit()} characters; is a quote opened and not closed?"),
)


def _key(written: str) -> str:
    try:
        return values.canonical(written.strip())
    except Failed:
        return written


def _separator(text: str) -> str:
    """The separator: a semicolon if a spreadsheet of a country with decimal commas wrote the file."""
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _problems(lines: list[list[str]], file: str) -> Iterator[Problem]:
    width, seen = len(lines[0]), dict[str, int]()
    if width < _TWO:
        yield Problem(message="has one column: write the key, and what it stands for", file=file, line=1)
    if len(lines) > MOST_ROWS:
        yield Problem(message=f"has more than {MOST_ROWS} lines: a table is kept in memory", file=file)
    if any(left == right for left, right in pairwise(sorted(lines[0]))):
        yield Problem(message="two columns have the same name", file=file, line=1)
    for number, line in enumerate(lines[1:], 2):
        if line and len(line) != width:
            yield Problem(message=f"has {len(line)} cells, and the first line {width}", file=file, line=number)
        elif line and _key(line[0]) in seen:
            twice = f"{_key(line[0])} is written twice; the first is in line {seen[_key(line[0])]}: keep one"
            yield Problem(message=twice, file=file, line=number)
        elif line:
            seen[_key(line[0])] = number
