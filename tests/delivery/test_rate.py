"""How often something may be asked: pure, the clock is an argument."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.rate import RateLimit


def test_turns_come_at_even_distances_in_the_order_in_which_they_were_taken():
    rate_limit = RateLimit(10)
    assert [0.0, 0.1, 0.2, 0.3] == [round(rate_limit.delay(5.0), 6) for _ in range(4)]
    assert 0.0 == rate_limit.delay(9.0)


def test_nobody_begins_who_would_wait_much_longer_than_a_second():
    rate_limit = RateLimit(10)
    assert 10 == rate_limit.available(0.0)
    for _ in range(11):
        rate_limit.delay(0.0)
    assert [0, 0, 5, 10] == [rate_limit.available(now) for now in (0.0, 0.05, 0.55, 1.05)]


def test_however_slow_it_is_one_may_begin_where_nobody_waits():
    rate_limit = RateLimit(0.01)
    rate_limit.delay(0.0)
    assert 1 == rate_limit.available(0.0)
    rate_limit.delay(0.0)
    assert [0, 1] == [rate_limit.available(now) for now in (0.0, 100.0)]


@given(rate=st.floats(0.1, 1000), gaps=st.lists(st.floats(0, 3), min_size=2, max_size=50))
def test_no_second_has_more_turns_than_the_rate_allows(rate, gaps):
    rate_limit, now, turns = RateLimit(rate), 0.0, []
    for gap in gaps:
        now += gap
        turns.append(now + rate_limit.delay(now))
    assert sorted(turns) == turns
    assert all(after - before > 1 / rate - 1e-6 for before, after in pairwise(turns))
