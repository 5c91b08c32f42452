"""The power is cut at many moments of a bridge's life, and the next start finds all that was promised.

One cut is one disk: see tests/power/disk.py for what a disk may have lost.
"""

import os
import random

import pytest

from tests.packages import NotToBeHad
from tests.power import tracer
from tests.power.scenarios import SCENARIOS
from tests.power.trial import trial

_CUTS = 40  # cuts of one scenario


@pytest.fixture(scope="module", autouse=True)
def _tracer():
    try:
        tracer.program()
    except NotToBeHad as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_a_disk_that_lost_its_power_has_all_that_was_promised(scenario):
    counted = trial(1, scenario=scenario, cuts=_CUTS)
    assert _CUTS == counted["cuts"]
    assert counted["steps"] > 100


def test_a_life_that_is_drawn_by_chance_keeps_its_promises_too(chance: random.Random):
    assert _CUTS == trial(chance.getrandbits(32), cuts=_CUTS)["cuts"]
