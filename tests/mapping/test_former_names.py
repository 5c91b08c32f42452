"""Which names are one fact, by what rules say and what a journal remembers."""

from bridge.mapping.former_names import family


def names(fact, *made, written=None, united=()):
    return set(family(fact, made={fact, *made}, written=written or {}, united=frozenset(united)))


def test_a_fact_has_the_names_that_its_rule_says():
    assert {"b", "a"} == names("b", written={"b": ["a"]})
    assert {"b"} == names("b", written={"b": []})


def test_what_is_remembered_counts_in_both_directions():
    assert {"b", "a"} == names("b", united=[("b", "a")])
    assert {"b", "a"} == names("a", united=[("b", "a")])


def test_names_that_were_ever_one_stay_one_over_any_way():
    assert {"a", "b", "c"} == names("a", united=[("b", "a"), ("c", "b")])
    assert {"a", "b", "c"} == names("c", united=[("b", "a"), ("c", "a")]), "taken back, and renamed to another one"
    assert {"a", "b", "c"} == names("c", written={"c": ["b"]}, united=[("b", "a")])


def test_two_facts_that_are_made_side_by_side_are_two():
    split = {"b": ["a"], "c": ["a"]}
    assert {"b", "a"} == names("b", "c", written=split)
    assert {"a", "b", "c"} == names("a", united=[("b", "a"), ("c", "a")]), "taken back before the split"
    assert {"b"} == names("b", "a", united=[("b", "a")])
    assert {"a"} == names("a", "b", written={"b": ["a"]}, united=[("b", "a")])
    assert {"a", "b"} == names("b", "a", written={"b": ["a"]}), "what a rule says of its own fact holds"
