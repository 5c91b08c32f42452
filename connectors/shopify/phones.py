"""Under which numbers a person is found: as they were typed, and as they are dialled from abroad."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import msgspec
import phonenumbers

_LONGEST = 60
_FROM_ABROAD = ("+", "00")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A postal address, as far as it helps to find an order again. Its phone is free text (contract/shopify.md 3)."""

    phone: object = None
    country_code: object = None


def numbers(typed: Iterable[object], addresses: Iterable[object]) -> Iterator[object]:
    """Each number as it stands; one without a country also as E.164, in each country that the addresses name.

    Those of addresses count where there is no other, as in the default rules: a parcel for somebody else is not hers.
    """
    known = [address for address in addresses if isinstance(address, Address)]
    countries = {address.country_code: None for address in known if type(address.country_code) is str}
    own = [number for number in typed if number]
    for number in own or [address.phone for address in known]:
        yield number
        if type(number) is str and number and not number.lstrip().startswith(_FROM_ABROAD):
            for country in countries:
                yield _e164(number[:_LONGEST], country)


@lru_cache(maxsize=4096)
def _e164(number: str, country: str) -> str | None:
    """As the default rules send it; None: it is no valid one there."""
    try:
        read = phonenumbers.parse(number, country.upper())
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(read):
        return None
    return str(phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164))
