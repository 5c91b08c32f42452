"""A number that stands for itself says its unit, or what it counts, beside it or in its docstring."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for package in ("bridge", "connectors") for path in (ROOT / package).rglob("*.py"))


def _is_number(value):
    match value:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=int() | float()):
            return True
        case ast.BinOp(left=left, right=right):
            return _is_number(left) and _is_number(right)
        case ast.UnaryOp(operand=operand):
            return _is_number(operand)
        case ast.Tuple(elts=elements):
            return bool(elements) and all(map(_is_number, elements))
        case _:
            return False


def _bare(path):
    """The constants of a module that are numbers without a word."""
    text = path.read_text(encoding="utf-8")
    lines, body = text.splitlines(), ast.parse(text).body
    for node, following in zip(body, [*body[1:], None], strict=False):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ) if _is_number(value):
                is_documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                if not (is_documented or "  # " in lines[node.end_lineno - 1]):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_number_says_what_it_counts(path):
    assert [] == list(_bare(path))
