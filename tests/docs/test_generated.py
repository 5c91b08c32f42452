"""The pages that are made from the program say what it says now, and leave nothing out."""

import re

import pytest

from bridge.config.json_schema import schema
from tests.docs.generated import DOCS, PAGES
from tests.docs.settings import keys


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_the_one_that_the_program_makes(name):
    assert PAGES[name]() == (DOCS / name).read_text(encoding="utf-8"), "run `make docs`"


KEYS = dict(keys(schema()))


def test_every_section_is_looked_at():
    assert {
        "door.port",
        "journal.keep.bodies",
        "sources.*.shops.*.secrets",
        "sources.*.topics.*.lane",
        "destinations.*.delivery.rate",
        "rules.*.once",
    } < {*KEYS}


@pytest.mark.parametrize("path", KEYS)
def test_every_key_of_the_configuration_is_described(path):
    """Write the text under the key in its settings class: a sentence that begins with a noun or a verb."""
    assert re.fullmatch(r"[A-Z`].*\.", KEYS[path].get("description", ""), re.DOTALL)


def test_a_key_without_a_description_is_found():
    section = {"anyOf": [{"properties": {"b": {}}}, {"type": "null"}]}
    assert ["a", "a.*.c", "a.b"] == [
        path for path, _ in keys({"properties": {"a": {**section, "additionalProperties": {"properties": {"c": {}}}}}})
    ]
