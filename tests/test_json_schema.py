"""The JSON Schema takes every configuration that is good, and refuses what a person types wrong."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from bridge.cli import command
from bridge.config.json_schema import schema

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/mapping.md"]
SHOWN = [
    (page, block)
    for page in PAGES
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    if "sources:" in block
]
GOOD = """
sources: {shop: {connector: shopify, shops: {a.myshopify.com: {secrets: [env:S]}}}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
"""


def _document(text):
    """As an editor's YAML 1.2 sees it: no dates."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


@pytest.fixture(scope="module")
def refused():
    """The messages about a configuration."""
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    return lambda text: [error.message for error in validator.iter_errors(_document(text))]


@pytest.mark.parametrize("block", [block for _, block in SHOWN])
def test_what_the_pages_show_is_taken(refused, block):
    assert [] == refused(block)


@pytest.mark.parametrize(
    "more",
    [
        "journal: {path: x.db}",
        "journal: {kind: postgres, url: env:U, schema: shop, lease: 10s}",
        "rules: {placed: false}",
        "rules: {placed: {max_age: 3d}}",
        "door: {port: 80}\nlogs: {style: json}",
    ],
)
def test_what_is_good_is_taken(refused, more):
    assert [] == refused(GOOD + more)


@pytest.mark.parametrize(
    "more",
    [
        "journal: {kind: oracle}",
        "journal: {kind: postgres}",
        "journal: {pth: x.db}",
        "rules: {placed: 5}",
        "rules: {placed: {wen: x}}",
        "door: {port: eighty}",
        "delivery: {grace: 5}",
        "dor: {}",
    ],
)
def test_what_is_mistyped_is_refused(refused, more):
    assert refused(GOOD + more)


def test_a_secret_written_as_itself_is_refused(refused):
    assert refused(GOOD.replace("env:T", "geheim"))


def test_the_command_prints_it_with_durations_as_people_write_them():
    printed = json.loads(CliRunner().invoke(command, ["schema"]).stdout)
    assert schema() == printed
    assert ("14d", "4s") == tuple(
        printed["$defs"]["DeliverySettings"]["properties"][name]["default"] for name in ("give_up", "keep_alive")
    )
    assert "396d" == printed["$defs"]["Keep"]["properties"]["history"]["default"]
