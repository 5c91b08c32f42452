"""The page of the architecture names folders, files and functions that there are."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.files import files, sentence

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGE)))
FILES = sorted(set(re.findall(r"`([\w/]+\.py)(?::[\w.]+)?`", PAGE)))


def path_of(name):
    return next((path for path in (ROOT / "bridge" / name, ROOT / name) if path.exists()), None)


def is_defined(path, name):
    """A function or class, the latter's method after a dot."""
    body = ast.parse(path.read_text()).body
    for part in name.split("."):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        found = next((each for each in body if isinstance(each, kinds) and each.name == part), None)
        if found is None:
            return False
        body = found.body
    return True


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_function_that_the_page_names_is_there(file, name):
    path = path_of(file)
    assert path is not None
    assert is_defined(path, name)


@pytest.mark.parametrize("file", FILES)
def test_every_file_that_the_page_names_is_there(file):
    assert path_of(file) is not None


def test_the_walks_are_looked_at():
    assert len(NAMED) > 60


def test_every_folder_is_in_the_list():
    listed = set(re.findall(r"^\| `((?:bridge|connectors)/[\w/]*)` \|", PAGE, re.MULTILINE))
    assert {f"{path.parent}/" for path in files()} == listed


@pytest.mark.parametrize("path", [path for path in files() if (ROOT / path).stat().st_size], ids=str)
def test_every_file_says_what_it_is(path):
    assert re.match("[A-Z`]", sentence(path))


def test_a_name_that_is_not_there_is_found():
    path = ROOT / "bridge/deadlines.py"
    assert is_defined(path, "Deadlines.open")
    assert not is_defined(path, "Deadlines.close_all")
    assert not is_defined(path, "open")
