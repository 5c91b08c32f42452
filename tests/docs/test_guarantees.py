"""The page of guarantees names checks that there are, and every promise has its conditions and its checks."""

import re
from pathlib import Path

import pytest

from tests.docs.test_architecture import is_defined
from tests.prove.__main__ import there

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guarantees.md").read_text()
CHECKS = sorted(set(re.findall(r"`(tests/[\w/]+\.py):(\w+)`", PAGE)))
PROMISES = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)[1:]


@pytest.mark.parametrize(("file", "name"), CHECKS)
def test_every_check_that_the_page_names_is_there(file, name):
    assert is_defined(ROOT / file, name)


def test_the_checks_are_found():
    assert len(CHECKS) > 40
    assert not is_defined(ROOT / CHECKS[0][0], "test_that_nobody_wrote")


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_says_on_what_it_depends_and_what_shows_it(promise):
    section = PAGE.partition(f"\n## {promise}\n")[2].partition("\n## ")[0]
    assert ["Conditions", "Not promised", "Checks"] == re.findall(r"^\*\*(.*)\.\*\*$", section, re.MULTILINE)
    checks = section.partition("**Checks.**")[2]
    assert [] == [line for line in checks.splitlines() if line and not re.match(r"- `tests/[\w/]+\.py:\w+` ", line)]
    assert f"| [{promise}](#" in PAGE


def test_the_parts_of_the_proof_are_those_that_there_are():
    assert set(there()) == set(re.findall(r"^\| `(\w+)` \| It ", PAGE, re.MULTILINE))
    assert set(re.findall(r"PART=(\w+)", PAGE)) <= set(there())
