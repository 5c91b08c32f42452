"""Docstrings are read without the name above them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    str(path.relative_to(ROOT)) for folder in ("bridge", "connectors") for path in (ROOT / folder).rglob("*.py")
)
FRAGMENTS = frozenset(
    (
        *("After", "As", "Beside", "By", "For", "From", "In", "Of", "To", "With", "Without"),
        *("It", "Its", "These", "Those", "When", "Where", "Which", "Whoever", "Whom", "Whose"),
        *("Made", "No", "Nobody", "Nothing", "Still"),
    )
)
"""First words of a text that is half of a sentence, or that needs the name above it."""


def texts(source):
    """The docstrings of a module, and the texts below its names, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def fragments(source):
    """The first line of each docstring that begins with the wrong word."""
    for line, text in texts(source):
        word = re.search(r"\w+", text)
        if word and word[0] in FRAGMENTS:
            yield line, text.splitlines()[0]


def test_the_sources_are_found():
    assert {"bridge/contract.py", "connectors/shopify/__init__.py"} < {*SOURCES}


def test_docstrings_and_texts_below_names_are_found():
    source = '"""Of a module."""\nX = 1\n"""By name."""\ndef f():\n    """Find it.\n\n    In time.\n    """\n'
    assert [(1, "Of a module."), (3, "By name.")] == list(fragments(source))


@pytest.mark.parametrize("source", SOURCES)
def test_a_docstring_begins_with_a_verb_or_a_noun(source):
    assert [] == list(fragments((ROOT / source).read_text(encoding="utf-8")))
