from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bridge.errors import ConfigurationError
from bridge.mapping.loader import load


def said(text):
    with pytest.raises(ConfigurationError) as caught:
        load(text, "bridge.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "word", ["NO", "no", "on", "off", "yes", "Y", "2026-11-20", "1:30", "0x1F", "0o7", "1_000", "007"]
)
def test_only_true_and_false_and_plain_numbers_are_not_texts(word):
    assert {"a": word} == load(f"a: {word}", "f").value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("5", 5),
        ("-5", -5),
        ("1e3", Decimal("1E+3")),
        ("'5'", "5"),
        ('"true"', "true"),
    ],
)
def test_the_core_types_of_yaml_1_2_are_read(written, meant):
    assert {"a": meant} == load(f"a: {written}", "f").value


def test_a_number_keeps_its_zeros():
    assert "10.10" == str(load("a: 10.10", "f").value["a"])


def test_keys_are_texts():
    assert {"on": 1, "5": 2} == load("on: 1\n5: 2", "f").value


def test_an_empty_file_has_no_value():
    document = load("# nothing\n", "f")
    assert (None, (1, 1)) == (document.value, document.where(["a", 0]))


def test_every_node_has_its_place():
    document = load("a:\n  b: [1,\n      2]\nc: x\n", "f")
    places = [document.where(path) for path in ([], ["a"], ["a", "b"], ["a", "b", 1], ["c"], ["c", "d"], ["a", "z"])]
    assert [(1, 1), (1, 1), (2, 6), (3, 7), (4, 4), (4, 4), (1, 1)] == places


def test_an_alias_gives_the_same_value_again():
    assert {"a": {"x": 1}, "b": {"x": 1}} == load("a: &a {x: 1}\nb: *a", "f").value


def test_all_problems_are_said_at_once_in_their_order():
    told = said("a: 1\na: 2\nb: !foo 3\nc: {<<: 1}\n")
    assert ["bridge.yaml:2:1", "bridge.yaml:3:4", "bridge.yaml:4:5"] == [line.partition(": ")[0] for line in told]


def test_a_key_that_is_written_twice_is_refused():
    assert ["bridge.yaml:3:1: a is written twice; the first is in line 1: keep one"] == said("a: 1\nb: 1\na: 2\n")


def test_merge_keys_are_refused():
    (told,) = said("a: &a {x: 1}\nb: {<<: *a}\n")
    assert "merge keys (<<) are not used here: write the keys out, or share a whole value with an alias (*name)" in told


def test_a_text_that_is_two_angle_brackets_is_a_text():
    assert {"a": "<<", "<<": 1} == load("a: <<\n'<<': 1\n", "f").value


def test_aliases_cannot_make_a_billion_values():
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    (told,) = said("a0: &a0 [1]\n" + levels)
    assert "more than 100000 values" in told


def test_an_alias_of_itself_is_refused():
    (told,) = said("a: &a [*a]\n")
    assert "60 levels" in told


@pytest.mark.parametrize("deep", ["[" * 200_000, "- " * 100_000, "{a: " * 100_000, "? " * 100_000])
def test_deep_nesting_is_refused_and_ends_no_process(deep):
    assert ["nested deeper than 60 levels"] == [line.partition("not YAML: ")[2] for line in said(deep)]


def test_two_documents_in_a_file_are_refused():
    assert ["bridge.yaml:3:1: not YAML: a file holds one document: leave out the line ---"] == said(
        "---\na: 1\n---\nb: 2\n"
    )


def test_huge_numbers_stay_texts():
    assert {"a": "1e9999", "b": "9" * 60} == load(f"a: 1e9999\nb: {'9' * 60}\n", "f").value


def _floats(value):
    if isinstance(value, dict):
        return any(map(_floats, value.values()))
    return any(map(_floats, value)) if isinstance(value, list) else isinstance(value, float)


@given(some.text(alphabet="ab01.:-#{}[],'\"=&*!<>|%@ \n\te+~", max_size=60))
def test_any_text_gives_a_document_without_floats_or_its_problems(text):
    document = None
    problems = ()
    try:
        document = load(text, "f")
    except ConfigurationError as error:
        problems = error.problems
    assert (document is None) == bool(problems)
    assert all(problem.line >= 1 for problem in problems)
    assert document is None or not _floats(document.value)


def test_what_an_alias_shares_is_wrong_once():
    shared = "a: &give {note: = text(order.name, 5)}\nb: *give\nc: {give: *give}\n"
    with pytest.raises(ConfigurationError) as caught:
        load(shared, "x.yaml")
    assert ["a.note"] == [problem.path for problem in caught.value.problems]
