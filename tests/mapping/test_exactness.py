"""Money and time, drawn and compared with Python written by hand."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bridge.mapping.values import Failed
from tests.mapping.rules_of import value

EXPONENTS = {"JPY": 0, "KRW": 0, "EUR": 2, "USD": 2, "KWD": 3, "BHD": 3, "CLF": 4}
CURRENCIES = some.sampled_from(sorted(EXPONENTS))
AMOUNTS = some.decimals(-(10**9), 10**9, places=6)
MOMENTS = some.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=some.just(UTC))  # noqa: DTZ001


def number(amount):
    return f"number('{amount:f}')"


@given(AMOUNTS, CURRENCIES)
def test_rounding_money_is_half_up_to_the_currencys_exponent(amount, currency):
    with localcontext() as context:
        context.prec = 60
        expected = amount.quantize(Decimal(1).scaleb(-EXPONENTS[currency]), ROUND_HALF_UP)
    assert expected == value(f"round_money({number(amount)}, '{currency}')")


@given(some.integers(-(10**15), 10**15), CURRENCIES)
def test_minor_units_and_back_is_the_same(minor, currency):
    assert minor == value(f"to_minor(from_minor({minor}, '{currency}'), '{currency}')")
    assert Fraction(minor, 10 ** EXPONENTS[currency]) == Fraction(value(f"from_minor({minor}, '{currency}')"))


@given(AMOUNTS, CURRENCIES)
def test_a_fraction_of_a_minor_unit_is_never_rounded_silently(amount, currency):
    exact = Fraction(amount) * 10 ** EXPONENTS[currency]
    source = f"to_minor({number(amount)}, '{currency}')"
    if exact.denominator == 1:
        assert exact == value(source)
    else:
        with pytest.raises(Failed, match="fraction"):
            value(source)


@given(some.integers(-(10**9), 10**9), some.integers(1, 10**6))
def test_a_quotient_is_exact_or_must_be_rounded_by_name(a, b):
    rest = b
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    ends = Fraction(a, rest).denominator == 1
    if ends:
        assert Fraction(a, b) == Fraction(value(f"number('{a}') / {b}"))
    else:
        with pytest.raises(Failed, match="write round"):
            value(f"number('{a}') / {b}")
    scaled = Fraction(a, b) * 100
    half_up = (abs(scaled) + Fraction(1, 2)) // 1 * (1 if scaled >= 0 else -1)
    assert Fraction(half_up, 100) == Fraction(value(f"round(number('{a}') / {b}, 2)"))


@given(MOMENTS, some.integers(-14 * 60, 14 * 60))
def test_a_time_is_its_instant_whatever_its_zone_and_unit(moment, offset):
    shifted = (moment + timedelta(minutes=offset)).replace(tzinfo=None).isoformat()
    sign, minutes = "+" if offset >= 0 else "-", abs(offset)
    text = f"{shifted}{sign}{minutes // 60:02}:{minutes % 60:02}"
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert moment == value(f"time('{text}')")
    assert micros // 1_000_000 == value(f"epoch(time('{text}'))")
    assert micros // 1_000 == value(f"epoch_ms(time('{text}'))")
    assert moment.replace(microsecond=0) == value(f"from_epoch({micros // 1_000_000})")
    assert moment == value(f"from_epoch_ms({Decimal(micros).scaleb(-3):f})")
    with pytest.raises(Failed, match="without a zone"):
        value(f"time('{shifted}')")


@given(some.integers(0, 10**12), some.integers(0, 99), some.sampled_from([".", " ", "'", "\u00a0"]))
def test_a_number_with_a_decimal_comma_is_exact(whole, cents, mark):
    written = f"{whole:,}".replace(",", mark) + f",{cents:02}"
    assert Decimal(whole) + Decimal(cents) / 100 == value("number(doc.name, ',')", {"name": written})
