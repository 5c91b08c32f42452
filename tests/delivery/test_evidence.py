"""Whom a refusal is about: pure, the clock is an argument."""

from itertools import count

import pytest

from bridge.contract import Delivered, Paused, Reason, Rejected, Retry, Skipped, Uncertain
from bridge.delivery.evidence import Evidence, Scope

NO = Paused(Reason.NOT_ALLOWED, "403")
WAIT = Retry(Reason.THROTTLED, "429")
YES = Delivered()
STRANGE = Uncertain(Reason.NOT_UNDERSTOOD, "200")


def scopes(*told):
    """One fact after the other: what became of it, its rule, its lane."""
    evidence, clock = Evidence(), count()
    return [evidence.scope(outcome, rule, (lane,), began=next(clock), now=next(clock)) for outcome, rule, lane in told]


def alternating(outcome, rule, lane, other, times, *, others="other lane"):
    return [(outcome, rule, lane), (YES, other, others)] * (times - 1) + [(outcome, rule, lane)]


@pytest.mark.parametrize("no", [NO, WAIT, STRANGE])
def test_what_is_refused_while_others_are_accepted_is_about_its_rule(no):
    found = scopes(*alternating(no, "redeemed", "a", "placed", 5))
    assert [Scope.ALL] * 8 + [Scope.RULE] == found


@pytest.mark.parametrize("no", [NO, WAIT, STRANGE])
def test_what_is_refused_while_others_of_its_rule_are_accepted_is_about_the_fact(no):
    found = scopes(*alternating(no, "placed", "a", "placed", 10))
    assert [Scope.ALL] * 18 + [Scope.FACT] == found


def test_what_is_refused_alone_is_about_everybody_however_often():
    assert {Scope.ALL} == set(scopes(*[(NO, "placed", lane) for lane in range(500)]))


def test_two_rules_that_are_refused_are_no_evidence_for_each_other():
    assert {Scope.ALL} == set(scopes(*[(NO, rule, lane) for lane in range(100) for rule in ("placed", "redeemed")]))


def test_a_token_that_was_refused_for_a_while_is_about_everybody():
    told = [(YES, "placed", 0), *[(NO, "redeemed", lane) for lane in range(50)], (YES, "placed", 1)]
    assert {Scope.ALL} == set(scopes(*told, (YES, "redeemed", 2), *told))


def test_what_is_accepted_in_the_end_was_not_about_its_rule():
    nearly = alternating(NO, "redeemed", "a", "placed", 4)
    assert {Scope.ALL} == set(scopes(*nearly, (YES, "redeemed", "b"), *nearly))


def test_what_was_begun_before_the_refusal_is_no_evidence():
    evidence = Evidence()
    for attempt in range(0, 100, 10):
        assert Scope.ALL is evidence.scope(NO, "redeemed", ("a",), began=attempt, now=attempt + 1)
        evidence.scope(YES, "placed", ("b",), began=attempt, now=attempt + 5)


def test_refusals_of_many_at_once_are_one():
    evidence = Evidence()
    for attempt in range(4):
        for lane in range(64):
            assert Scope.ALL is evidence.scope(NO, "redeemed", (lane,), began=10 * attempt, now=10 * attempt + 1)
        evidence.scope(YES, "placed", ("b",), began=10 * attempt + 2, now=10 * attempt + 3)


def test_the_same_refusal_of_facts_by_themselves_twenty_times_running_is_about_the_rule():
    no = Rejected(Reason.REFUSED, "422")
    assert [Scope.ALL] * 19 + [Scope.RULE] * 2 == scopes(*[(no, "placed", lane) for lane in range(21)])
    others = [(no, "placed", 0)] * 19
    assert {Scope.ALL} == set(scopes(*others, (Rejected(Reason.REFUSED, "404"), "placed", 0), *others))
    assert {Scope.ALL} == set(scopes(*others, (YES, "placed", 0), *others))


def test_what_says_nothing_is_no_evidence():
    for outcome in (Skipped(Reason.NO_IDENTITY), Retry(Reason.TIMED_OUT), Uncertain(Reason.NO_ANSWER)):
        assert {Scope.ALL} == set(scopes(*alternating(outcome, "redeemed", "a", "placed", 20)))


def test_the_rules_that_were_denied_are_known_until_one_of_their_facts_is_accepted_or_they_are_others():
    evidence = Evidence()
    for rule, attempt in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
        evidence.scope(NO, rule, (rule,), began=attempt, now=attempt)
    evidence.scope(WAIT, "d", ("d",), began=5, now=5)
    evidence.scope(YES, "b", ("x",), began=6, now=6)
    evidence.forget("c")
    assert {"a": 4} == evidence.denied


def test_it_remembers_a_bounded_number_of_facts():
    evidence = Evidence()
    for lane in range(3000):
        evidence.scope(NO, "placed", (lane,), began=lane, now=lane)
    assert len(evidence._facts) <= 1000
