"""`schema`: what editors know of a configuration, and fields from samples."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import read
from bridge.mapping.inference import from_schema, inferred
from bridge.mapping.loader import load
from tests.cli.conftest import CONFIG
from tests.cli.test_plan import ENVIRON

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(ROOT.glob("connectors/*/examples/cases*/bridge.yaml"))


def test_an_example_says_to_an_editor_where_its_schema_is():
    assert EXAMPLES
    for path in EXAMPLES:
        (named,) = re.findall(r"^# yaml-language-server: \$schema=(.*)$", path.read_text(), re.MULTILINE)
        assert (path.parent / named).resolve() == ROOT / "docs" / "bridge.schema.json"


def test_samples_give_the_fields_that_fit_them_all(typed, tmp_path):
    (tmp_path / "a.json").write_text('{"id": 1, "at": "2026-11-20T13:00:00Z", "sum": "9.90", "rows": [], "x": null}')
    (tmp_path / "b.jsonl").write_text(
        '{"id": 2, "rows": [{"n": 1}, {"n": 1.5, "note": "a"}], "x": null}\n{"new": true}\n'
    )
    told = typed("schema", "infer", "a.json", "b.jsonl")
    assert {
        "id": "integer", "at": "time", "sum": "money", "rows": [{"n": "number", "note": "text"}], "x": "any",
        "new": "boolean",
    } == load(told.output, "x").value  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "shape"),
    [
        (["79.90"], "money"),
        (["79.9000"], "number"),
        (["79.9"], "number"),
        (["79.9", "79.90"], "money"),
        (["80", "79.9000"], "number"),
        (["80", "79.90", None], "money"),
        (["-1.00000"], "number"),
        (["80"], "text"),
        (["80", "x"], "text"),
        (["79.9", "x"], "text"),
        (["79.9", "2026-11-20T13:00:00Z"], "text"),
        (["007.5"], "text"),
        (["0000471142"], "text"),
        (["1.2.3"], "text"),
        (["1e5"], "text"),
        ([79.9, "79.9"], "any"),
        ([80, 79.9], "number"),
    ],
)
def test_numbers_in_texts_are_numbers(typed, tmp_path, seen, shape):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"sum": each, "all": seen}) + "\n" for each in seen))
    assert {"sum": shape, "all": [shape]} == load(typed("schema", "infer", "a.jsonl").output, "x").value


NUMERALS = st.sampled_from(["80", "79.9", "79.90", "0.12345", "2026-11-20T13:00:00Z"])


@given(
    st.recursive(
        st.none()
        | NUMERALS
        | st.booleans()
        | st.integers()
        | st.text()
        | st.decimals(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, dict))
)
def test_whatever_was_seen_fits_what_was_inferred_from_it(document):
    assert _fits(document, inferred([document, {}]))


def _fits(value, shape):
    kinds = {"integer": int, "number": (int, Decimal, str), "text": str, "boolean": bool, "money": str, "time": str}
    if value is None or shape == "any":
        return True
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_fits(each, shape[key]) for key, each in value.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(each, shape[0]) for each in value)
    return isinstance(value, kinds[shape])


def test_a_json_schema_describes_fields_as_far_as_shapes_go():
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": ["integer", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "buyer": {"$ref": "#/$defs/buyer"},
            "rows": {"type": "array", "items": {"allOf": [{"$ref": "#/$defs/buyer"}, {"properties": {"n": {}}}]}},
            "either": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "odd": {"oneOf": [{"type": "string"}, {"type": "number"}]},
            "loop": {"$ref": "#/properties/loop"},
        },
        "$defs": {"buyer": {"properties": {"name": {"type": "string"}}}},
    }
    assert {
        "id": "integer", "at": "time", "buyer": {"name": "text"}, "rows": [{"name": "text", "n": "any"}],
        "either": "boolean", "odd": "any", "loop": "any",
    } == from_schema(schema)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("more.yaml", "loyalty: {tier: text}\n"),
        ("more.json", '{"properties": {"loyalty": {"properties": {"tier": {"type": "string"}}}}}'),
    ],
)
def test_fields_come_from_a_file_beside_the_configuration(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    more = f"fields: {{order: {name}}}\nrules: {{placed: {{when: '= order.loyalty.tier == \"gold\"'}}}}\n"
    assert read(CONFIG + more, file=str(tmp_path / "bridge.yaml"), environ=ENVIRON).files.keys() >= {tmp_path / name}
