"""The clock and the source of chance are the system's, unless others are installed."""

import time
from datetime import UTC, datetime, timedelta
from random import Random

from bridge import chance, clock
from tests.clocks import Shifted, Stopped


def test_the_clock_is_the_systems():
    before = datetime.now(UTC) - timedelta(
        microseconds=1
    )  # a float of nanoseconds since 1970 is good to a quarter of it
    now, microseconds, seconds = clock.now(), clock.microseconds(), clock.seconds()
    after = datetime.now(UTC) + timedelta(microseconds=1)
    assert before <= now <= after
    assert before.timestamp() <= microseconds / 1e6 <= after.timestamp()
    assert before.timestamp() <= seconds <= after.timestamp()
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()


def test_another_clock_is_everybodys_while_it_is_installed():
    with clock.installed(Stopped(1_500_000)):
        assert (1_500, 0.0015) == (clock.microseconds(), clock.seconds())
        assert datetime(1970, 1, 1, microsecond=1_500, tzinfo=UTC) == clock.now()
        with clock.installed(Shifted(timedelta(days=365))):
            assert clock.now() - datetime.now(UTC) > timedelta(days=364)
        assert 1_500 == clock.microseconds()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_clock_that_was_wrong_when_it_was_read_was_set_twice():
    times = clock.times_set()
    with clock.installed(Shifted(timedelta(days=1))):
        clock.microseconds()
    assert times + 2 == clock.times_set() == clock.times_set()
    with clock.installed(Shifted(timedelta(seconds=20))):
        clock.now()
    assert times + 2 == clock.times_set(), "clocks are set right by some seconds now and then"


def test_the_same_seed_draws_the_same():
    def drawn():
        return chance.fraction(), chance.octets(16), chance.number(52), chance.uuid()

    with chance.installed(Random(7)):
        first = drawn()
    with chance.installed(Random(7)):
        assert first == drawn()
    assert first != drawn()
    assert "4" == first[3][14], "of version 4"
