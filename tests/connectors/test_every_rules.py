"""Default rules are tested as users test theirs: by the cases that a connector ships."""

import random
from pathlib import Path

import pytest

from bridge.dry_run import cases
from bridge.dry_run.deliveries import settings_of

CONNECTORS = Path(__file__).parents[2] / "connectors"
FOLDERS = [folder for root in sorted(CONNECTORS.glob("*/examples/cases*")) for folder in cases.found(root)]


@pytest.fixture(scope="module")
def settings_for():
    made = {}
    return lambda root: made[root] if root in made else made.setdefault(root, settings_of(root / "bridge.yaml"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: str(folder.relative_to(CONNECTORS)))
def case_and_settings(request, settings_for):
    settings = settings_for(request.param.parent)
    return cases.read(request.param, settings), settings


def test_a_case_sends_the_exact_requests(case_and_settings):
    case, settings = case_and_settings
    assert case.expected() == case.outcome(settings)


def test_connectors_that_ship_rules_ship_cases():
    with_rules = {path.parents[1].name for path in CONNECTORS.glob("*/rules/*.yaml")}
    assert with_rules <= {folder.relative_to(CONNECTORS).parts[0] for folder in FOLDERS}


def test_a_case_sends_the_same_facts_however_its_deliveries_come(case_and_settings):
    case, settings = case_and_settings
    usual, chance = case.facts(settings, case.deliveries), random.Random(1)
    for _ in range(10):
        assert usual == case.facts(settings, case.shuffled(chance))
